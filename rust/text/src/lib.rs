//! Tokenizers and chat templates for Glia's `text` room, by the libraries that the field itself uses: Hugging Face's
//! `tokenizers` and `minijinja`, behind one C ABI.

mod bytes;
mod engine;
pub mod failure;
pub mod ffi;
pub mod gguf;
mod gguf_models;
mod limits;
mod literal;
mod methods;
pub mod pre;
mod program;
mod python;
pub mod stream;
mod strftime;
pub mod template;
pub mod tokenizer;
