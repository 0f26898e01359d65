//! What a tokenizer may cost, whatever its file says: growth of a text on its way, length of tokens and words, and
//! patterns that never end.

use std::time::Duration;

use rustix::time::{clock_gettime, ClockId};
use serde_json::Value;
use tokenizers::{DecoderWrapper, ModelWrapper, NormalizerWrapper};

use crate::failure::{Failure, Result};

/// Longest token, in bytes as the vocabulary writes it. Published ones have up to some 256; prompts are refused unread by
/// this.
pub const MAX_TOKEN: usize = 512;
/// Most bytes that a text may become before it is split, and ids when they are decoded.
pub const MAX_GROWN: u64 = 1 << 30;
/// Most that a pipeline may make of a byte. Published ones make some 40 at most.
const MAX_GROWTH: u64 = 1024;
/// Longest word that WordPiece may look into, in characters; it takes time by the square of it. Published: 100.
const MAX_WORD: usize = 4096;
/// No text of a few KiB may take longer, in time of this thread: a busy machine refuses no tokenizer.
const PROBE_TIME: Duration = Duration::from_secs(2);

/// How many bytes a byte can become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Before splitting.
    pub encode: u64,
    /// On the way from tokens to text.
    pub decode: u64,
}

/// Refuses a model that would hang, or differ from run to run.
pub fn check_model(model: &ModelWrapper) -> Result<()> {
    match model {
        ModelWrapper::WordPiece(model) if model.max_input_chars_per_word > MAX_WORD => {
            Err(Failure::unusable(format!("words of {} characters are too long", model.max_input_chars_per_word)))
        }
        ModelWrapper::BPE(model) if model.dropout.is_some_and(|dropout| dropout != 0.0) => {
            Err(Failure::unusable("a tokenizer with dropout gives other ids each time"))
        }
        _ => Ok(()),
    }
}

/// Bounds what the pipeline makes of a text.
pub fn growth(normalizer: Option<&NormalizerWrapper>, decoder: Option<&DecoderWrapper>) -> Result<Growth> {
    let json = |value: serde_json::Result<Value>| value.map_err(|e| Failure::unusable(format!("a pipeline: {e}")));
    let grown = Growth {
        encode: factor(&json(serde_json::to_value(normalizer))?),
        decode: factor(&json(serde_json::to_value(decoder))?),
    };
    if grown.encode.max(grown.decode) > MAX_GROWTH {
        return Err(Failure::unusable("the pipeline makes too much of a text"));
    }
    Ok(grown)
}

/// Replacements and what is put in front, one after the other.
fn factor(step: &Value) -> u64 {
    match step {
        Value::Array(steps) => steps.iter().map(factor).fold(1, u64::saturating_mul),
        Value::Object(fields) => {
            let text = |key: &str| fields.get(key).and_then(Value::as_str).map_or(0, str::len) as u64;
            let own = match fields.get("type").and_then(Value::as_str) {
                Some("Replace") => match fields.get("pattern").and_then(|pattern| pattern["String"].as_str()) {
                    Some(from) if !from.is_empty() => text("content").div_ceil(from.len() as u64).max(1),
                    // A pattern may match nothing, before each character.
                    _ => text("content") + 1,
                },
                Some("Prepend") => text("prepend") + 1,
                // Of all characters, none decomposes into more bytes for each of its own.
                Some("NFD" | "NFKD" | "NFKC" | "Precompiled") => 12,
                _ => 1,
            };
            fields.values().map(factor).fold(own, u64::saturating_mul)
        }
        _ => 1,
    }
}

/// Tries texts that wake patterns with too many ways to match: longer and longer, until one takes too much time.
pub fn probe(tokenizer: &tokenizers::Tokenizer) -> Result<()> {
    // A search begins only where what it needs comes later.
    let rest: String = ('\u{1}'..'\u{7f}').collect();
    let slow = || Failure::unusable("the tokenizer takes too long over a short text");
    for unit in ["a", " ", "\n", "7", "!", "aB", "a ", "é", "'s", "<"] {
        for length in [32, 256, 2048] {
            let text = unit.repeat(length) + &rest;
            let start = thread_time();
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tokenizer.encode_fast(text.as_str(), false)))
            {
                // A text that cannot be encoded is for encode to say.
                Ok(_) => {}
                Err(panic) if gave_up(panic.as_ref()) => return Err(slow()),
                Err(panic) => std::panic::resume_unwind(panic),
            }
            if thread_time().saturating_sub(start) > PROBE_TIME {
                return Err(slow());
            }
        }
    }
    Ok(())
}

/// That this thread has run.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Whether a panic is the regular expression library's, out of its limit of steps.
pub fn gave_up(panic: &(dyn std::any::Any + Send)) -> bool {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.is_some_and(|text| text.starts_with("Onig: Regex"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn growth_multiplies_along_a_pipeline() {
        let ten = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaaaa"});
        assert_eq!(factor(&json!({"type": "Sequence", "normalizers": [ten, ten, {"type": "NFC"}]})), 100);
        assert_eq!(factor(&json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})), 3);
        assert_eq!(factor(&json!({"type": "Replace", "pattern": {"Regex": ""}, "content": "ab"})), 3);
        assert_eq!(factor(&Value::Null), 1);
    }
}
