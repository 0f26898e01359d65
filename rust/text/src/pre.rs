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

const DEEPSEEK_V3: &str = concat!(
    r"[!\x22#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+",
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const BAILING: &str = concat!(
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
);
const SEED: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}",
    r"| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const EXAONE_MOE: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
);
const KIMI: &str = concat!(
    r"[\p{Han}]+",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const BLOOM: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";
const HAN_KANA: &str = "[一-龥\u{3040}-ゟ゠-ヿ]+";
const HAN_HANGUL: &str = "[一-龥ࠀ-一가-\u{d7ff}]+";

/// Letters as DeepSeek LLM's split lists them.
const DEEPSEEK_LETTERS: &str = concat!(
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅ",
    "ὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-",
    "ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃",
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
    let by_steps = |mut steps: Vec<Value>| {
        steps.push(byte_level(false));
        plain(sequence(steps))
    };
    let by_patterns = |patterns: &[&str]| by_steps(patterns.iter().map(|pattern| split(pattern)).collect());
    let by_pattern = |pattern: &str| by_patterns(&[pattern]);
    Ok(match name {
        "gpt-2" | "gpt2" | "phi-2" | "jais" | "gigachat" | "a.x-4.0" | "mellum" | "exaone4" | "trillion"
        | "granite-docling" => plain(byte_level(true)),
        // Of the GPT-NeoX family, all with its normalizer.
        "mpt" | "olmo" => Pre { normalizer: nfc(), ..plain(byte_level(true)) },
        "smollm" | "starcoder" | "refact" | "codeshell" | "exaone" | "minerva-7b" | "mellum2" => {
            plain(sequence(vec![digits(true), byte_level(true)]))
        }
        "command-r" => Pre { normalizer: nfc(), ..plain(sequence(vec![digits(true), byte_level(true)])) },
        "falcon" => plain(sequence(vec![
            json!({"type": "Punctuation", "behavior": "Contiguous"}),
            byte_level(true),
            digits(false),
            split("[0-9][0-9][0-9]"),
        ])),
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0" | "lfm2" => {
            Pre { ignore_merges: true, add_bos: true, ..by_pattern(LLAMA3) }
        }
        "dbrx" | "smaug-bpe" | "chatglm-bpe" | "glm4" => by_pattern(LLAMA3),
        "qwen2" | "deepseek-r1-qwen" | "megrez" => Pre { normalizer: nfc(), ..by_pattern(QWEN2) },
        "qwen35" => Pre { normalizer: nfc(), ..by_pattern(QWEN35) },
        "stablelm2" | "hunyuan" | "solar-open" | "grok-2" => by_pattern(QWEN2),
        "tekken" => Pre { ignore_merges: true, add_bos: true, ..by_pattern(TEKKEN) },
        "gpt-4o" | "llama4" | "kanana2" | "minimax-m2" => by_pattern(GPT_4O),
        "tiny_aya" | "cohere2moe" => by_patterns(&[r"\d{1,3}(?=(?:\d{3})*\b)", GPT_4O]),
        "kimi-k2" => by_pattern(KIMI),
        "deepseek-llm" => {
            let words = format!(r"\s?[{DEEPSEEK_LETTERS}]+");
            let marks = r"\s?[!-/:-~！-／：-～‘-‟　-。]+";
            by_steps(vec![
                split(r"[\r\n]"),
                split(&words),
                split(marks),
                split(r"\s+$"),
                split(HAN_HANGUL),
                digits(true),
            ])
        }
        "deepseek-coder" => {
            by_steps(vec![split(r"[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(HAN_HANGUL), digits(true)])
        }
        "deepseek-v3" | "hunyuan-dense" | "joyai-llm" => by_patterns(&[r"\p{N}{1,3}", HAN_KANA, DEEPSEEK_V3]),
        "bailingmoe" | "bailingmoe2" | "llada-moe" => by_pattern(BAILING),
        "seed-coder" => by_pattern(SEED),
        "exaone-moe" => by_pattern(EXAONE_MOE),
        "bloom" | "poro-chat" | "gpt3-finnish" => by_pattern(BLOOM),
        "viking" => by_patterns(&[BLOOM, r"\p{N}"]),
        "default" | "" => by_patterns(&DEFAULT),
        other => return Err(Failure::unusable(format!("tokenizer.ggml.pre '{other}' is not supported"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_a_pre_tokenizer() {
        let names =
            "gpt-2 mpt smollm command-r falcon llama-bpe dbrx qwen2 qwen35 stablelm2 tekken gpt-4o tiny_aya kimi-k2 \
                     deepseek-llm deepseek-coder deepseek-v3 bailingmoe seed-coder exaone-moe bloom viking default";
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
