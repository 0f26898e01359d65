//! The parts of a tokenizer for each `tokenizer.ggml.model`: what the file's tokens, merges and scores become, and the
//! pipeline around them as the published tokenizer.json of that kind has it.

use ahash::AHashMap;
use serde_json::{json, Value};
use tokenizers::models::bpe::BPE;
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::Precompiled;
use tokenizers::{ModelWrapper, NormalizerWrapper};

use crate::failure::{Failure, Result};
use crate::gguf::{token_type, Vocab};
use crate::pre;

/// What `gguf::build` puts together. Values are parts of a tokenizer.json.
pub(crate) struct Parts {
    pub model: ModelWrapper,
    /// Goes before the other normalizer.
    pub precompiled: Option<NormalizerWrapper>,
    pub normalizer: Option<Value>,
    pub pre_tokenizer: Option<Value>,
    pub decoder: Value,
    /// The token before a text that is encoded with special tokens.
    pub first: Option<u32>,
    /// The token after it.
    pub last: Option<u32>,
}

fn merges(vocab: &Vocab) -> Result<Vec<(String, String)>> {
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
    Ok(merges)
}

fn misfit(error: impl std::fmt::Display) -> Failure {
    Failure::unusable(format!("the merges do not fit the vocabulary: {error}"))
}

/// GPT-2's: BPE over bytes, split by the family that `tokenizer.ggml.pre` names.
pub(crate) fn byte_level(vocab: &Vocab) -> Result<Parts> {
    let pre = pre::find(vocab.pre)?;
    let model = BPE::builder()
        .vocab_and_merges(vocab.map()?, merges(vocab)?)
        .ignore_merges(pre.ignore_merges)
        .build()
        .map_err(misfit)?;
    Ok(Parts {
        model: model.into(),
        precompiled: None,
        normalizer: pre.normalizer,
        pre_tokenizer: Some(pre.pre_tokenizer),
        decoder: json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}),
        first: vocab.bos.filter(|_| vocab.add_bos.unwrap_or(pre.add_bos)),
        last: vocab.eos.filter(|_| vocab.add_eos.unwrap_or(false)),
    })
}

/// SentencePiece's BPE, as Llama 2, Mistral and Gemma use it: scores stand for merges, unknown characters are bytes.
pub(crate) fn sentence_piece(vocab: &Vocab) -> Result<Parts> {
    if vocab.scores.is_empty() {
        return Err(Failure::unusable("a vocabulary of model 'llama' needs tokenizer.ggml.scores"));
    }
    let map = vocab.map()?;
    let merges = merges_from_scores(vocab, &map)?;
    with_spaces(vocab, map, merges, vocab.add_space_prefix.unwrap_or(true), vocab.add_bos.unwrap_or(true))
}

/// Gemma 4's: the same pipeline, but the file carries the merges.
pub(crate) fn gemma4(vocab: &Vocab) -> Result<Parts> {
    with_spaces(
        vocab,
        vocab.map()?,
        merges(vocab)?,
        vocab.add_space_prefix.unwrap_or(false),
        vocab.add_bos.unwrap_or(true),
    )
}

fn with_spaces(
    vocab: &Vocab,
    map: AHashMap<String, u32>,
    merges: Vec<(String, String)>,
    prefix: bool,
    add_bos: bool,
) -> Result<Parts> {
    let mut builder = BPE::builder().vocab_and_merges(map, merges).fuse_unk(true).byte_fallback(true);
    if let Some(unk) = vocab.unk {
        builder = builder.unk_token(vocab.tokens[unk as usize].to_owned());
    }
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
    Ok(Parts {
        model: builder.build().map_err(misfit)?.into(),
        precompiled: None,
        normalizer: Some(normalizer),
        pre_tokenizer: None,
        decoder: json!({"type": "Sequence", "decoders": decoders}),
        first: vocab.bos.filter(|_| add_bos),
        last: vocab.eos.filter(|_| vocab.add_eos.unwrap_or(false)),
    })
}

/// BERT's WordPiece. The file writes a word's beginning as `▁word` and what goes on as `part`, where the published
/// vocabulary has `word` and `##part`.
pub(crate) fn word_piece(vocab: &Vocab) -> Result<Parts> {
    let mut map = AHashMap::with_capacity(vocab.tokens.len());
    for (id, token) in vocab.tokens.iter().enumerate() {
        let text = match (vocab.kind(id), token.strip_prefix('▁')) {
            (token_type::NORMAL, Some("") | None) => format!("##{token}"),
            // `▁word` once more is what goes on with a mark of its own.
            (token_type::NORMAL, Some(word)) if map.contains_key(word) => format!("##{token}"),
            (token_type::NORMAL, Some(word)) => word.to_owned(),
            _ => (*token).to_owned(),
        };
        if let Some(first) = map.insert(text, id as u32) {
            return Err(Failure::unusable(format!("tokens {first} and {id} have the same text")));
        }
    }
    let unk = vocab.unk.map_or_else(|| "[UNK]".to_owned(), |unk| vocab.tokens[unk as usize].to_owned());
    let model = WordPiece::builder()
        .vocab(map)
        .unk_token(unk)
        .build()
        .map_err(|e| Failure::unusable(format!("the vocabulary is not WordPiece's: {e}")))?;
    let lowercase = vocab.lowercase.unwrap_or(true);
    let find = |name: &str| vocab.tokens.iter().position(|token| *token == name).map(|id| id as u32);
    Ok(Parts {
        model: model.into(),
        precompiled: None,
        normalizer: Some(json!({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                                "strip_accents": vocab.strip_accents, "lowercase": lowercase})),
        pre_tokenizer: Some(json!({"type": "BertPreTokenizer"})),
        decoder: json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
        first: vocab.cls.or(vocab.bos).or_else(|| find("[CLS]")).filter(|_| vocab.add_bos.unwrap_or(true)),
        last: vocab.sep.or(vocab.eos).or_else(|| find("[SEP]")).filter(|_| vocab.add_eos.unwrap_or(true)),
    })
}

/// SentencePiece's unigram model, as T5 and XLM-RoBERTa use it.
pub(crate) fn unigram(vocab: &Vocab) -> Result<Parts> {
    if vocab.scores.is_empty() {
        return Err(Failure::unusable("a vocabulary of model 't5' needs tokenizer.ggml.scores"));
    }
    if let Some(id) = vocab.scores.iter().position(|score| score.is_nan()) {
        return Err(Failure::unusable(format!("the score of token {id} is not a number")));
    }
    vocab.map()?;
    let pieces: Vec<(String, f64)> =
        vocab.tokens.iter().zip(vocab.scores).map(|(token, score)| ((*token).to_owned(), *score)).collect();
    let bytes = vocab.tokens.contains(&"<0x00>");
    let model = Unigram::from(pieces, vocab.unk.map(|id| id as usize), bytes)
        .map_err(|e| Failure::unusable(format!("the vocabulary is not a unigram model's: {e}")))?;
    let precompiled = match vocab.charsmap {
        [] => None,
        bytes => {
            let map = Precompiled::from(bytes);
            Some(map.map_err(|e| Failure::unusable(format!("tokenizer.ggml.precompiled_charsmap: {e}")))?.into())
        }
    };
    let scheme = if vocab.add_space_prefix.unwrap_or(true) { "always" } else { "never" };
    let spaces = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true});
    let words = json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, spaces]});
    Ok(Parts {
        model: model.into(),
        precompiled,
        normalizer: None,
        pre_tokenizer: Some(words),
        decoder: spaces,
        first: vocab.bos.filter(|_| vocab.add_bos.unwrap_or(false)),
        last: vocab.eos.filter(|_| vocab.add_eos.unwrap_or(true)),
    })
}

/// The merges that SentencePiece's scores stand for: every way to build a piece of two others, best score first; of
/// equal scores the longer left side, then the longer right side, then vocabulary order (as transformers converts).
fn merges_from_scores(vocab: &Vocab, map: &AHashMap<String, u32>) -> Result<Vec<(String, String)>> {
    let mut found: Vec<(f64, u32, u32)> = Vec::new();
    for (id, piece) in vocab.tokens.iter().enumerate() {
        if !matches!(vocab.kind(id), token_type::NORMAL | token_type::USER_DEFINED) {
            continue;
        }
        let score = vocab.scores[id];
        if score.is_nan() {
            return Err(Failure::unusable(format!("the score of token {id} is not a number")));
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
