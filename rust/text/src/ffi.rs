//! The C face. See `include/glia_text_rs.h` for what each function promises.

use std::panic::{self, AssertUnwindSafe};
use std::slice;
use std::sync::{Arc, Once};

use crate::failure::{Failure, Kind, Result};
use crate::gguf::{self, Vocab};
use crate::limits;
use crate::stream::Stream;
use crate::template::{Input, Template};
use crate::tokenizer::{Tokenizer, MAX_TOKENS};

/// Borrowed bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct GliaBytes {
    data: *const u8,
    size: usize,
}

/// Owned text.
#[repr(C)]
pub struct GliaText {
    data: *mut u8,
    size: usize,
    capacity: usize,
}

/// Owned ids.
#[repr(C)]
pub struct GliaIds {
    data: *mut i32,
    size: usize,
    capacity: usize,
}

/// A GGUF file's vocabulary.
#[repr(C)]
pub struct GliaGgufVocab {
    model: GliaBytes,
    pre: GliaBytes,
    tokens: *const GliaBytes,
    token_count: usize,
    merges: *const GliaBytes,
    merge_count: usize,
    scores: *const f64,
    score_count: usize,
    types: *const i32,
    type_count: usize,
    bos: i64,
    eos: i64,
    eot: i64,
    eom: i64,
    unk: i64,
    add_bos: i32,
    add_eos: i32,
    add_space_prefix: i32,
    cls: i64,
    sep: i64,
    lowercase: i32,
    strip_accents: i32,
    charsmap: GliaBytes,
}

/// A tokenizer for C.
pub struct GliaTokenizer(Arc<Tokenizer>);
/// A stream for C.
pub struct GliaStream(Stream);
/// A template for C.
pub struct GliaTemplate(Template);

/// # Safety
/// `data` points at `size` values that live as long as `'a`, or `size` is 0.
unsafe fn slice_of<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if size == 0 || data.is_null() {
        &[]
    } else {
        unsafe { slice::from_raw_parts(data, size) }
    }
}

impl GliaBytes {
    /// # Safety
    /// As `slice_of`.
    unsafe fn text<'a>(self, what: &str, failure: fn(String) -> Failure) -> Result<&'a str> {
        let bytes = unsafe { slice_of(self.data, self.size) };
        std::str::from_utf8(bytes)
            .map_err(|e| failure(format!("{what} is not valid UTF-8 at byte {}", e.valid_up_to())))
    }
}

impl From<String> for GliaText {
    fn from(text: String) -> GliaText {
        let mut bytes = std::mem::ManuallyDrop::new(text.into_bytes());
        GliaText { data: bytes.as_mut_ptr(), size: bytes.len(), capacity: bytes.capacity() }
    }
}

impl From<Vec<i32>> for GliaIds {
    fn from(ids: Vec<i32>) -> GliaIds {
        let mut ids = std::mem::ManuallyDrop::new(ids);
        GliaIds { data: ids.as_mut_ptr(), size: ids.len(), capacity: ids.capacity() }
    }
}

/// Steps back that a regular expression may take in one search: more than a text of MAX_TEXT bytes needs, and less than
/// a second.
const MAX_RETRIES: std::ffi::c_ulong = 50_000_000;

/// Once: panics are answers here, not lines on stderr that could show a piece of a prompt; and no pattern of a tokenizer
/// may search forever.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|_| {}));
        // SAFETY: plain numbers of the library, set before any search.
        unsafe {
            onig_sys::onig_set_retry_limit_in_match(MAX_RETRIES);
            onig_sys::onig_set_retry_limit_in_search(MAX_RETRIES);
        }
    });
}

/// Runs `work`, writes its value to `out` or its failure to `error`, and never lets a panic through.
///
/// # Safety
/// `out` may be written; `error` may be written or is null.
unsafe fn guard<T>(out: *mut T, error: *mut GliaText, work: impl FnOnce() -> Result<T>) -> i32 {
    prepare();
    let result = panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(match limits::gave_up(panic.as_ref()) {
            true => Failure::input("a pattern of the tokenizer takes too long over the text"),
            false => Failure::internal("the text library stopped at a fault of its own"),
        })
    });
    match result {
        Ok(value) => {
            unsafe { out.write(value) };
            0
        }
        Err(failure) => {
            let kind: Kind = failure.kind;
            if !error.is_null() {
                unsafe { error.write(failure.message.into()) };
            }
            kind as i32
        }
    }
}

/// Gives back a text.
///
/// # Safety
/// `text` came from this library and was not given back yet.
#[no_mangle]
pub unsafe extern "C" fn glia_text_free(text: GliaText) {
    if !text.data.is_null() {
        drop(unsafe { Vec::from_raw_parts(text.data, text.size, text.capacity) });
    }
}

/// Gives back ids.
///
/// # Safety
/// `ids` came from this library and was not given back yet.
#[no_mangle]
pub unsafe extern "C" fn glia_ids_free(ids: GliaIds) {
    if !ids.data.is_null() {
        drop(unsafe { Vec::from_raw_parts(ids.data, ids.size, ids.capacity) });
    }
}

fn boxed(tokenizer: Tokenizer) -> *mut GliaTokenizer {
    Box::into_raw(Box::new(GliaTokenizer(Arc::new(tokenizer))))
}

/// A tokenizer from the contents of tokenizer.json and tokenizer_config.json.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_tokenizer_from_json(
    tokenizer_json: GliaBytes,
    config_json: GliaBytes,
    out: *mut *mut GliaTokenizer,
    error: *mut GliaText,
) -> i32 {
    unsafe {
        guard(out, error, || {
            let json = tokenizer_json.text("tokenizer.json", Failure::unusable)?;
            let config = config_json.text("tokenizer_config.json", Failure::unusable)?;
            Tokenizer::from_json(json, config).map(boxed)
        })
    }
}

/// A tokenizer from a GGUF file's vocabulary.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_tokenizer_from_gguf(
    vocab: *const GliaGgufVocab,
    out: *mut *mut GliaTokenizer,
    error: *mut GliaText,
) -> i32 {
    unsafe {
        guard(out, error, || {
            let v = &*vocab;
            let texts = |data, size, what: &str| -> Result<Vec<&str>> {
                let list: &[GliaBytes] = slice_of(data, size);
                list.iter().enumerate().map(|(i, item)| item.text(&format!("{what} {i}"), Failure::unusable)).collect()
            };
            let id = |id: i64, what: &str| match id {
                ..0 => Ok(None),
                id if id < i64::from(MAX_TOKENS) => Ok(Some(id as u32)),
                _ => Err(Failure::unusable(format!("the {what} token's id is too large"))),
            };
            let flag = |flag: i32| (flag >= 0).then_some(flag != 0);
            gguf::build(&Vocab {
                model: v.model.text("tokenizer.ggml.model", Failure::unusable)?,
                pre: v.pre.text("tokenizer.ggml.pre", Failure::unusable)?,
                tokens: texts(v.tokens, v.token_count, "token")?,
                merges: texts(v.merges, v.merge_count, "merge")?,
                scores: slice_of(v.scores, v.score_count),
                types: slice_of(v.types, v.type_count),
                bos: id(v.bos, "bos")?,
                eos: id(v.eos, "eos")?,
                eot: id(v.eot, "eot")?,
                eom: id(v.eom, "eom")?,
                unk: id(v.unk, "unknown")?,
                add_bos: flag(v.add_bos),
                add_eos: flag(v.add_eos),
                add_space_prefix: flag(v.add_space_prefix),
                cls: id(v.cls, "cls")?,
                sep: id(v.sep, "sep")?,
                lowercase: flag(v.lowercase),
                strip_accents: flag(v.strip_accents),
                charsmap: slice_of(v.charsmap.data, v.charsmap.size),
            })
            .map(boxed)
        })
    }
}

/// Frees a tokenizer.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_tokenizer_free(tokenizer: *mut GliaTokenizer) {
    if !tokenizer.is_null() {
        drop(unsafe { Box::from_raw(tokenizer) });
    }
}

/// Text to ids.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_tokenizer_encode(
    tokenizer: *const GliaTokenizer,
    text: GliaBytes,
    add_special: i32,
    out: *mut GliaIds,
    error: *mut GliaText,
) -> i32 {
    unsafe {
        guard(out, error, || {
            let text = text.text("the text", Failure::input)?;
            (*tokenizer).0.encode(text, add_special != 0).map(GliaIds::from)
        })
    }
}

/// A prompt, rendered with `literal`, to ids.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_tokenizer_encode_prompt(
    tokenizer: *const GliaTokenizer,
    text: GliaBytes,
    out: *mut GliaIds,
    error: *mut GliaText,
) -> i32 {
    unsafe {
        guard(out, error, || {
            let text = text.text("the prompt", Failure::input)?;
            (*tokenizer).0.encode_prompt(text).map(GliaIds::from)
        })
    }
}

/// Ids to text.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_tokenizer_decode(
    tokenizer: *const GliaTokenizer,
    ids: *const i32,
    count: usize,
    skip_special: i32,
    out: *mut GliaText,
    error: *mut GliaText,
) -> i32 {
    unsafe {
        guard(out, error, || {
            let ids: Vec<u32> = slice_of(ids, count).iter().filter_map(|id| u32::try_from(*id).ok()).collect();
            (*tokenizer).0.decode(&ids, skip_special != 0).map(GliaText::from)
        })
    }
}

/// One more than the largest id.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_tokenizer_vocab_size(tokenizer: *const GliaTokenizer) -> i32 {
    unsafe { (*tokenizer).0.vocab_size() as i32 }
}

/// Ids after which generation ends.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_tokenizer_end_tokens(
    tokenizer: *const GliaTokenizer,
    out: *mut GliaIds,
    error: *mut GliaText,
) -> i32 {
    unsafe {
        guard(out, error, || Ok((*tokenizer).0.end_tokens().iter().map(|id| *id as i32).collect::<Vec<i32>>().into()))
    }
}

/// The id of a token's text, or -1.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_tokenizer_token_id(tokenizer: *const GliaTokenizer, token: GliaBytes) -> i32 {
    let mut id = -1;
    unsafe {
        guard(&mut id, std::ptr::null_mut(), || {
            let token = token.text("the token", Failure::input)?;
            Ok((*tokenizer).0.token_id(token).map_or(-1, |id| id as i32))
        });
    }
    id
}

/// A token's text, empty outside the vocabulary.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_tokenizer_token_text(
    tokenizer: *const GliaTokenizer,
    id: i32,
    out: *mut GliaText,
    error: *mut GliaText,
) -> i32 {
    unsafe {
        guard(out, error, || {
            let text = u32::try_from(id).map(|id| (*tokenizer).0.token_text(id)).unwrap_or_default();
            Ok(text.into())
        })
    }
}

/// The texts of bos and eos.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_tokenizer_bos_eos(
    tokenizer: *const GliaTokenizer,
    bos: *mut GliaText,
    eos: *mut GliaText,
    error: *mut GliaText,
) -> i32 {
    unsafe {
        guard(bos, error, || {
            eos.write((*tokenizer).0.eos().to_owned().into());
            Ok((*tokenizer).0.bos().to_owned().into())
        })
    }
}

/// A stream at its beginning.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_stream_new(
    tokenizer: *const GliaTokenizer,
    skip_special: i32,
    out: *mut *mut GliaStream,
    error: *mut GliaText,
) -> i32 {
    unsafe {
        guard(out, error, || {
            let stream = Stream::new((*tokenizer).0.clone(), skip_special != 0)?;
            Ok(Box::into_raw(Box::new(GliaStream(stream))))
        })
    }
}

/// What became certain with this id.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_stream_push(
    stream: *mut GliaStream,
    id: i32,
    out: *mut GliaText,
    error: *mut GliaText,
) -> i32 {
    unsafe {
        guard(out, error, || match u32::try_from(id) {
            Ok(id) => (*stream).0.push(id).map(GliaText::from),
            Err(_) => Ok(String::new().into()),
        })
    }
}

/// What was held back.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_stream_finish(stream: *mut GliaStream, out: *mut GliaText, error: *mut GliaText) -> i32 {
    unsafe { guard(out, error, || (*stream).0.finish().map(GliaText::from)) }
}

/// Frees a stream.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_stream_free(stream: *mut GliaStream) {
    if !stream.is_null() {
        drop(unsafe { Box::from_raw(stream) });
    }
}

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
