//! What stands before byte-level BPE, by the name that `tokenizer.ggml.pre` gives it: the normalizer, the split and the
//! flags of the published tokenizer.json of each family.

use serde_json::{json, Value};

use crate::failure::{Failure, Result};

/// The parts of a family.
#[derive(Clone, Debug, PartialEq)]
pub struct Pre {
    /// Of tokenizer.json.
    pub normalizer: Option<Value>,
    /// Of tokenizer.json.
    pub pre_tokenizer: Value,
    /// Whether a word that is a token needs no merges.
    pub ignore_merges: bool,
    /// Whether encoding starts with bos where the file does not say.
    pub add_bos: bool,
}

const LLAMA3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const QWEN2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const QWEN35: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}",
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const GPT_4O: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// What llama.cpp does where a file names no pre-tokenizer; four splits, one after the other.
const DEFAULT: [&str; 4] = [
    r"[\p{P}\$\+<=>\^~\|]+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
    r"\p{N}+",
    r"[0-9][0-9][0-9]",
];

fn byte_level(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

fn split(pattern: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
}

fn sequence(steps: Vec<Value>) -> Value {
    json!({"type": "Sequence", "pretokenizers": steps})
}

fn digits(individual: bool) -> Value {
    json!({"type": "Digits", "individual_digits": individual})
}

fn nfc() -> Option<Value> {
    Some(json!({"type": "NFC"}))
}

fn plain(pre_tokenizer: Value) -> Pre {
    Pre { normalizer: None, pre_tokenizer, ignore_merges: false, add_bos: false }
}

/// The family of that name; an unknown name is refused, as a wrong split makes silently wrong ids.
pub fn find(name: &str) -> Result<Pre> {
    let by_pattern = |pattern: &str| plain(sequence(vec![split(pattern), byte_level(false)]));
    Ok(match name {
        "gpt-2" | "gpt2" | "phi-2" | "olmo" => plain(byte_level(true)),
        "mpt" => Pre { normalizer: nfc(), ..plain(byte_level(true)) },
        "smollm" | "starcoder" | "refact" | "codeshell" => plain(sequence(vec![digits(true), byte_level(true)])),
        "command-r" => Pre { normalizer: nfc(), ..plain(sequence(vec![digits(true), byte_level(true)])) },
        "falcon" => plain(sequence(vec![
            json!({"type": "Punctuation", "behavior": "Contiguous"}),
            byte_level(true),
            digits(false),
            split("[0-9][0-9][0-9]"),
        ])),
        "llama3" | "llama-v3" | "llama-bpe" => Pre { ignore_merges: true, add_bos: true, ..by_pattern(LLAMA3) },
        "dbrx" | "smaug-bpe" => by_pattern(LLAMA3),
        "qwen2" | "deepseek-r1-qwen" => Pre { normalizer: nfc(), ..by_pattern(QWEN2) },
        "qwen35" => Pre { normalizer: nfc(), ..by_pattern(QWEN35) },
        "stablelm2" => by_pattern(QWEN2),
        "tekken" => Pre { ignore_merges: true, add_bos: true, ..by_pattern(TEKKEN) },
        "gpt-4o" => by_pattern(GPT_4O),
        "default" | "" => {
            let mut steps: Vec<Value> = DEFAULT.iter().map(|pattern| split(pattern)).collect();
            steps.push(byte_level(false));
            plain(sequence(steps))
        }
        other => return Err(Failure::unusable(format!("tokenizer.ggml.pre '{other}' is not supported"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_a_pre_tokenizer() {
        let names = "gpt-2 mpt smollm command-r falcon llama-bpe dbrx qwen2 qwen35 stablelm2 tekken gpt-4o default";
        for name in names.split(' ') {
            let pre = find(name).unwrap();
            serde_json::from_value::<tokenizers::PreTokenizerWrapper>(pre.pre_tokenizer).expect(name);
        }
    }

    #[test]
    fn an_unknown_family_is_refused_by_name() {
        let failure = find("next-years").unwrap_err();
        assert_eq!(failure.message, "tokenizer.ggml.pre 'next-years' is not supported");
    }
}
