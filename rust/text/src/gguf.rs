//! A tokenizer from a GGUF file's own vocabulary (`tokenizer.ggml.*`).
//!
//! The file keeps tokens, merges or scores, and the name of the pre-tokenizer; the rest of the pipeline is what the
//! published tokenizer.json of that family has, so the ids are those of the original.

use ahash::{AHashMap, AHashSet};
use serde_json::{json, Value};
use tokenizers::{AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper};

use crate::failure::{Failure, Result};
use crate::gguf_models::{self, Parts};
use crate::limits::MAX_TOKEN;
use crate::tokenizer::{Tokenizer, END_TEXTS, MAX_TOKENS};

/// The types of a token, as the GGUF specification numbers them.
pub(crate) mod token_type {
    pub const NORMAL: i32 = 1;
    pub const UNKNOWN: i32 = 2;
    pub const CONTROL: i32 = 3;
    pub const USER_DEFINED: i32 = 4;
}

/// A GGUF file's vocabulary. Ids and flags are `None` where the file does not say.
#[derive(Clone, Debug, Default)]
pub struct Vocab<'a> {
    /// `tokenizer.ggml.model`
    pub model: &'a str,
    /// `tokenizer.ggml.pre`
    pub pre: &'a str,
    /// Texts by id.
    pub tokens: Vec<&'a str>,
    /// Merges by rank, two texts with a space between.
    pub merges: Vec<&'a str>,
    /// One a token, or none.
    pub scores: &'a [f64],
    /// One a token, or none.
    pub types: &'a [i32],
    /// Beginning of text.
    pub bos: Option<u32>,
    /// End of text.
    pub eos: Option<u32>,
    /// End of a turn.
    pub eot: Option<u32>,
    /// End of a message.
    pub eom: Option<u32>,
    /// Unknown.
    pub unk: Option<u32>,
    /// Whether encoding starts with bos.
    pub add_bos: Option<bool>,
    /// Whether encoding ends with eos.
    pub add_eos: Option<bool>,
    /// Whether text is encoded as if a space stood before it (SentencePiece).
    pub add_space_prefix: Option<bool>,
    /// Before each text, for encoders.
    pub cls: Option<u32>,
    /// After each text, for encoders.
    pub sep: Option<u32>,
    /// Whether letters become lower case first (WordPiece).
    pub lowercase: Option<bool>,
    /// Whether accents are left out first (WordPiece).
    pub strip_accents: Option<bool>,
    /// SentencePiece's compiled normalizer, or empty.
    pub charsmap: &'a [u8],
}

impl Vocab<'_> {
    fn check(&self) -> Result<()> {
        let n = self.tokens.len();
        if n == 0 {
            return Err(Failure::unusable("the vocabulary is empty"));
        }
        if n > MAX_TOKENS as usize {
            return Err(Failure::unusable(format!("the vocabulary has {n} tokens, more than {MAX_TOKENS}")));
        }
        if let Some(id) = self.tokens.iter().position(|token| token.len() > MAX_TOKEN) {
            return Err(Failure::unusable(format!("token {id} of {} bytes is too long", self.tokens[id].len())));
        }
        for (name, size) in [("scores", self.scores.len()), ("types", self.types.len())] {
            if size != 0 && size != n {
                return Err(Failure::unusable(format!("the vocabulary has {n} tokens but {size} {name}")));
            }
        }
        for (name, id) in [
            ("bos", self.bos),
            ("eos", self.eos),
            ("eot", self.eot),
            ("eom", self.eom),
            ("unknown", self.unk),
            ("cls", self.cls),
            ("sep", self.sep),
        ] {
            if id.is_some_and(|id| id as usize >= n) {
                return Err(Failure::unusable(format!("the {name} token is outside the vocabulary of {n} tokens")));
            }
        }
        Ok(())
    }

    pub(crate) fn kind(&self, id: usize) -> i32 {
        self.types.get(id).copied().unwrap_or(token_type::NORMAL)
    }

    pub(crate) fn map(&self) -> Result<AHashMap<String, u32>> {
        let mut map = AHashMap::with_capacity(self.tokens.len());
        for (id, token) in self.tokens.iter().enumerate() {
            if let Some(first) = map.insert((*token).to_owned(), id as u32) {
                return Err(Failure::unusable(format!("tokens {first} and {id} have the same text")));
            }
        }
        Ok(map)
    }

    /// Tokens that are recognised in text before anything else.
    fn added(&self) -> Vec<AddedToken> {
        let mut added = Vec::new();
        // What a GGUF cannot say: Phi-3's marks take the white space after them, XLM-RoBERTa's mask that before it.
        let phi3 = self.model == "llama" && self.tokens.contains(&"<|placeholder1|>");
        for (id, token) in self.tokens.iter().enumerate() {
            let special = match self.kind(id) {
                token_type::CONTROL | token_type::UNKNOWN => true,
                token_type::USER_DEFINED => false,
                _ => continue,
            };
            let mut token = AddedToken::from(*token, special).normalized(false);
            token.rstrip = phi3 && !["<unk>", "<s>", "<|endoftext|>"].contains(&token.content.as_str());
            token.lstrip = special && token.content == "<mask>";
            added.push(token);
        }
        added
    }

    fn end_tokens(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = [self.eos, self.eot, self.eom].into_iter().flatten().collect();
        for (id, token) in self.tokens.iter().enumerate() {
            let marked = matches!(self.kind(id), token_type::CONTROL | token_type::USER_DEFINED);
            if marked && END_TEXTS.contains(token) && !ids.contains(&(id as u32)) {
                ids.push(id as u32);
            }
        }
        ids
    }

    pub(crate) fn text(&self, id: Option<u32>) -> String {
        id.map(|id| self.tokens[id as usize].to_owned()).unwrap_or_default()
    }
}

/// Builds the tokenizer, or says by name what is not supported.
pub fn build(vocab: &Vocab) -> Result<Tokenizer> {
    vocab.check()?;
    let parts = match vocab.model {
        "gpt2" => gguf_models::byte_level(vocab)?,
        "llama" => gguf_models::sentence_piece(vocab)?,
        "gemma4" => gguf_models::gemma4(vocab)?,
        "bert" => gguf_models::word_piece(vocab)?,
        "t5" => gguf_models::unigram(vocab)?,
        other => {
            let known = "gpt2, llama, gemma4, bert, t5";
            return Err(Failure::unusable(format!(
                "tokenizer.ggml.model '{other}' is not supported (supported: {known})"
            )));
        }
    };
    finish(vocab, parts)
}

fn finish(vocab: &Vocab, parts: Parts) -> Result<Tokenizer> {
    let wrong = |e: serde_json::Error| Failure::internal(format!("tokenizer part: {e}"));
    let mut tokenizer = tokenizers::Tokenizer::new(parts.model);
    let mut normalizers: Vec<NormalizerWrapper> = parts.precompiled.into_iter().collect();
    if let Some(normalizer) = parts.normalizer {
        normalizers.push(serde_json::from_value(normalizer).map_err(wrong)?);
    }
    let normalizer = match normalizers.len() {
        0 | 1 => normalizers.pop(),
        _ => Some(tokenizers::normalizers::Sequence::new(normalizers).into()),
    };
    tokenizer.with_normalizer(normalizer).map_err(|e| Failure::internal(e.to_string()))?;
    if let Some(pre_tokenizer) = parts.pre_tokenizer {
        let pre_tokenizer: PreTokenizerWrapper = serde_json::from_value(pre_tokenizer).map_err(wrong)?;
        tokenizer.with_pre_tokenizer(Some(pre_tokenizer));
    }
    let decoder: DecoderWrapper = serde_json::from_value(parts.decoder).map_err(wrong)?;
    tokenizer.with_decoder(Some(decoder));
    if parts.first.is_some() || parts.last.is_some() {
        let post = wrap_template(vocab, parts.first, parts.last);
        let post: PostProcessorWrapper = serde_json::from_value(post).map_err(wrong)?;
        tokenizer.with_post_processor(Some(post));
    }
    tokenizer.add_tokens(vocab.added()).map_err(|e| Failure::unusable(format!("special tokens: {e}")))?;
    Tokenizer::new(
        tokenizer,
        vocab.tokens.len() as u32,
        vocab.end_tokens(),
        vocab.text(vocab.bos),
        vocab.text(vocab.eos),
    )
}

/// The post-processor that puts bos before and eos after the text.
fn wrap_template(vocab: &Vocab, bos: Option<u32>, eos: Option<u32>) -> Value {
    let mut single = Vec::new();
    let mut specials = serde_json::Map::new();
    let mut seen = AHashSet::new();
    let mut special = |id: u32| {
        let text = vocab.tokens[id as usize];
        if seen.insert(id) {
            specials.insert(text.to_owned(), json!({"id": text, "ids": [id], "tokens": [text]}));
        }
        json!({"SpecialToken": {"id": text, "type_id": 0}})
    };
    if let Some(id) = bos {
        single.push(special(id));
    }
    single.push(json!({"Sequence": {"id": "A", "type_id": 0}}));
    if let Some(id) = eos {
        single.push(special(id));
    }
    let pair = vec![json!({"Sequence": {"id": "A", "type_id": 0}}), json!({"Sequence": {"id": "B", "type_id": 0}})];
    json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": specials})
}
