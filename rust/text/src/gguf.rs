//! A tokenizer from a GGUF file's own vocabulary (`tokenizer.ggml.*`).
//!
//! The file keeps tokens, merges or scores, and the name of the pre-tokenizer; the rest of the pipeline is what the
//! published tokenizer.json of that family has, so the ids are those of the original.

use ahash::{AHashMap, AHashSet};
use serde_json::{json, Value};
use tokenizers::models::bpe::BPE;
use tokenizers::{
    AddedToken, DecoderWrapper, ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
};

use crate::failure::{Failure, Result};
use crate::pre;
use crate::tokenizer::{Tokenizer, END_TEXTS, MAX_TOKENS};

/// The types of a token, as the GGUF specification numbers them.
mod token_type {
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
        for (name, size) in [("scores", self.scores.len()), ("types", self.types.len())] {
            if size != 0 && size != n {
                return Err(Failure::unusable(format!("the vocabulary has {n} tokens but {size} {name}")));
            }
        }
        for (name, id) in
            [("bos", self.bos), ("eos", self.eos), ("eot", self.eot), ("eom", self.eom), ("unknown", self.unk)]
        {
            if id.is_some_and(|id| id as usize >= n) {
                return Err(Failure::unusable(format!("the {name} token is outside the vocabulary of {n} tokens")));
            }
        }
        Ok(())
    }

    fn kind(&self, id: usize) -> i32 {
        self.types.get(id).copied().unwrap_or(token_type::NORMAL)
    }

    fn map(&self) -> Result<AHashMap<String, u32>> {
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
        for (id, token) in self.tokens.iter().enumerate() {
            let special = match self.kind(id) {
                token_type::CONTROL | token_type::UNKNOWN => true,
                token_type::USER_DEFINED => false,
                _ => continue,
            };
            added.push(AddedToken::from(*token, special).normalized(false));
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

    fn text(&self, id: Option<u32>) -> String {
        id.map(|id| self.tokens[id as usize].to_owned()).unwrap_or_default()
    }
}

/// Builds the tokenizer, or says by name what is not supported.
pub fn build(vocab: &Vocab) -> Result<Tokenizer> {
    vocab.check()?;
    match vocab.model {
        "gpt2" => byte_level(vocab),
        "llama" => sentence_piece(vocab),
        other => {
            Err(Failure::unusable(format!("tokenizer.ggml.model '{other}' is not supported (supported: gpt2, llama)")))
        }
    }
}

fn byte_level(vocab: &Vocab) -> Result<Tokenizer> {
    let pre = pre::find(vocab.pre)?;
    let mut merges = Vec::with_capacity(vocab.merges.len());
    for (rank, merge) in vocab.merges.iter().enumerate() {
        // A token may itself begin with a space, so the first byte is never the separator.
        let space = merge.bytes().skip(1).position(|b| b == b' ').map(|at| at + 1);
        let (left, right) = match space {
            Some(at) => (&merge[..at], &merge[at + 1..]),
            None => return Err(Failure::unusable(format!("merge {rank} is not two tokens"))),
        };
        merges.push((left.to_owned(), right.to_owned()));
    }
    let model = BPE::builder()
        .vocab_and_merges(vocab.map()?, merges)
        .ignore_merges(pre.ignore_merges)
        .build()
        .map_err(|e| Failure::unusable(format!("the merges do not fit the vocabulary: {e}")))?;
    finish(
        vocab,
        model,
        Parts {
            normalizer: pre.normalizer,
            pre_tokenizer: Some(pre.pre_tokenizer),
            decoder: json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}),
            add_bos: vocab.add_bos.unwrap_or(pre.add_bos),
        },
    )
}

fn sentence_piece(vocab: &Vocab) -> Result<Tokenizer> {
    if vocab.scores.is_empty() {
        return Err(Failure::unusable("a vocabulary of model 'llama' needs tokenizer.ggml.scores"));
    }
    let map = vocab.map()?;
    let merges = merges_from_scores(vocab, &map)?;
    let mut builder = BPE::builder().vocab_and_merges(map, merges).fuse_unk(true).byte_fallback(true);
    if let Some(unk) = vocab.unk {
        builder = builder.unk_token(vocab.tokens[unk as usize].to_owned());
    }
    let model = builder.build().map_err(|e| Failure::unusable(format!("the merges do not fit the vocabulary: {e}")))?;
    let prefix = vocab.add_space_prefix.unwrap_or(true);
    let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let normalizer = if prefix {
        json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, spaces]})
    } else {
        spaces
    };
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefix {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    finish(
        vocab,
        model,
        Parts {
            normalizer: Some(normalizer),
            pre_tokenizer: None,
            decoder: json!({"type": "Sequence", "decoders": decoders}),
            add_bos: vocab.add_bos.unwrap_or(true),
        },
    )
}

/// The merges that SentencePiece's scores stand for: every way to build a piece of two others, best score first; of
/// equal scores the longer left side, then the longer right side, then vocabulary order (as transformers converts).
fn merges_from_scores(vocab: &Vocab, map: &AHashMap<String, u32>) -> Result<Vec<(String, String)>> {
    const MAX_WORK: u64 = 1 << 32;
    let mut work = 0u64;
    let mut found: Vec<(f64, u32, u32)> = Vec::new();
    for (id, piece) in vocab.tokens.iter().enumerate() {
        if !matches!(vocab.kind(id), token_type::NORMAL | token_type::USER_DEFINED) {
            continue;
        }
        let score = vocab.scores[id];
        if score.is_nan() {
            return Err(Failure::unusable(format!("the score of token {id} is not a number")));
        }
        work = work.saturating_add((piece.len() as u64).saturating_mul(piece.len() as u64));
        if work > MAX_WORK {
            return Err(Failure::unusable("the vocabulary's tokens are too long"));
        }
        let first = found.len();
        for (at, _) in piece.char_indices().skip(1) {
            let (left, right) = piece.split_at(at);
            if let (Some(l), Some(r)) = (map.get(left), map.get(right)) {
                found.push((score, *l, *r));
            }
        }
        found[first..].sort_by_key(|&(_, l, r)| (l, r));
    }
    let chars = |id: u32| vocab.tokens[id as usize].chars().count();
    // A stable sort: what ties on all three keeps vocabulary order.
    found.sort_by(|a, b| {
        b.0.total_cmp(&a.0).then_with(|| chars(b.1).cmp(&chars(a.1))).then_with(|| chars(b.2).cmp(&chars(a.2)))
    });
    let text = |id: u32| vocab.tokens[id as usize].to_owned();
    Ok(found.into_iter().map(|(_, l, r)| (text(l), text(r))).collect())
}

struct Parts {
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    decoder: Value,
    add_bos: bool,
}

fn finish(vocab: &Vocab, model: BPE, parts: Parts) -> Result<Tokenizer> {
    let wrong = |e: serde_json::Error| Failure::internal(format!("tokenizer part: {e}"));
    let mut tokenizer = tokenizers::Tokenizer::new(ModelWrapper::BPE(model));
    if let Some(normalizer) = parts.normalizer {
        let normalizer: NormalizerWrapper = serde_json::from_value(normalizer).map_err(wrong)?;
        tokenizer.with_normalizer(Some(normalizer)).map_err(|e| Failure::internal(e.to_string()))?;
    }
    if let Some(pre_tokenizer) = parts.pre_tokenizer {
        let pre_tokenizer: PreTokenizerWrapper = serde_json::from_value(pre_tokenizer).map_err(wrong)?;
        tokenizer.with_pre_tokenizer(Some(pre_tokenizer));
    }
    let decoder: DecoderWrapper = serde_json::from_value(parts.decoder).map_err(wrong)?;
    tokenizer.with_decoder(Some(decoder));
    let bos = vocab.bos.filter(|_| parts.add_bos);
    let eos = vocab.eos.filter(|_| vocab.add_eos.unwrap_or(false));
    if bos.is_some() || eos.is_some() {
        let post: PostProcessorWrapper = serde_json::from_value(wrap_template(vocab, bos, eos)).map_err(wrong)?;
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
