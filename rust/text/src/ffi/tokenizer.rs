//! Tokenizers.

use std::sync::Arc;

use super::{guard, slice_of, GliaBytes, GliaEncoded, GliaIds, GliaText};
use crate::failure::{Failure, Result};
use crate::gguf::{self, Vocab};
use crate::tokenizer::{Tokenizer, MAX_TOKENS};

/// A tokenizer for C.
pub struct GliaTokenizer(pub(super) Arc<Tokenizer>);

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

/// A text or a pair with special tokens, cut to `most` tokens.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_tokenizer_encode_whole(
    tokenizer: *const GliaTokenizer,
    text: GliaBytes,
    pair: *const GliaBytes,
    most: usize,
    out: *mut GliaEncoded,
    error: *mut GliaText,
) -> i32 {
    unsafe {
        guard(out, error, || {
            let text = text.text("the text", Failure::input)?;
            let pair = pair.as_ref().map(|pair| pair.text("the second text", Failure::input)).transpose()?;
            let whole = (*tokenizer).0.encode_whole(text, pair, most)?;
            Ok(GliaEncoded { ids: whole.ids.into(), types: whole.types.into(), dropped: whole.dropped })
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
