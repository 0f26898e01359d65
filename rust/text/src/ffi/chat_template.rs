//! Chat templates.

use super::tokenizer::GliaTokenizer;
use super::{guard, GliaBytes, GliaText};
use crate::failure::Failure;
use crate::template::{Input, Template};

/// A template for C.
pub struct GliaTemplate(Template);

/// A parsed chat template.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_template_new(
    source: GliaBytes,
    bos: GliaBytes,
    eos: GliaBytes,
    out: *mut *mut GliaTemplate,
    error: *mut GliaText,
) -> i32 {
    unsafe {
        guard(out, error, || {
            let source = source.text("the chat template", Failure::unusable)?;
            let bos = bos.text("the bos token", Failure::unusable)?;
            let eos = eos.text("the eos token", Failure::unusable)?;
            Ok(Box::into_raw(Box::new(GliaTemplate(Template::new(source, bos, eos)?))))
        })
    }
}

/// The prompt of messages.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_template_render(
    chat_template: *const GliaTemplate,
    messages_json: GliaBytes,
    tools_json: GliaBytes,
    extra_json: GliaBytes,
    add_generation_prompt: i32,
    now_unix_s: i64,
    literal: *const GliaTokenizer,
    out: *mut GliaText,
    error: *mut GliaText,
) -> i32 {
    unsafe {
        guard(out, error, || {
            let input = Input {
                messages: messages_json.text("messages", Failure::input)?,
                tools: tools_json.text("tools", Failure::input)?,
                extra: extra_json.text("variables", Failure::input)?,
                add_generation_prompt: add_generation_prompt != 0,
                now_unix_s,
                literal: literal.as_ref().map(|tokenizer| &*tokenizer.0),
            };
            (*chat_template).0.render(&input).map(GliaText::from)
        })
    }
}

/// Frees a template.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_template_free(chat_template: *mut GliaTemplate) {
    if !chat_template.is_null() {
        drop(unsafe { Box::from_raw(chat_template) });
    }
}
