//! A tokenizer with what a model needs to know of it: special texts, the ids that end generation.

use std::borrow::Cow;
use std::sync::OnceLock;

use serde_json::{json, Value};
use tokenizers::{
    truncate_encodings, AddedToken, NormalizerWrapper, PostProcessor, TruncationDirection, TruncationParams,
    TruncationStrategy,
};

use crate::failure::{Failure, Result};
use crate::limits::{self, Growth, MAX_GROWN, MAX_TOKEN};
use crate::literal::{Marker, MARK};

/// Most tokens that a vocabulary may have, and one more than its largest id.
pub const MAX_TOKENS: u32 = 1 << 24;

/// Longest text that is encoded, in bytes.
pub const MAX_TEXT: usize = 32 << 20;

/// Most bytes that looking back from tokens may read in one text (`lstrip`, `single_word`); else a text of them alone
/// would take time by the square of its length.
const MAX_LOOKING_BACK: usize = 1 << 31;

/// Texts of tokens that end a turn or a text in published chat models. A vocabulary that marks one as special means it.
pub const END_TEXTS: [&str; 16] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|endofprompt|>",
    "<|eot|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<|END_OF_TURN_TOKEN|>",
    "<EOT>",
    "</s>",
    "<｜end▁of▁sentence｜>",
];

/// A text, or a pair of them, as an encoder reads it.
pub struct Encoded {
    pub ids: Vec<i32>,
    /// Which text of the pair, by token.
    pub types: Vec<i32>,
    /// Tokens that there was no room for.
    pub dropped: usize,
}

/// A tokenizer and its special tokens. Shared by every thread.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    vocab_size: u32,
    end_tokens: Vec<u32>,
    bos: String,
    eos: String,
    /// Tokens before which all text so far is looked at again, each time.
    costly: Vec<String>,
    growth: Growth,
    marker: Marker,
    /// The same tokenizer for marked texts (see `literal`), made when the first one comes.
    unmarking: OnceLock<Option<Box<tokenizers::Tokenizer>>>,
}

impl Tokenizer {
    /// Takes over a tokenizer. Truncation and padding that a tokenizer.json may carry are dropped: they would change
    /// what is encoded.
    pub fn new(
        mut inner: tokenizers::Tokenizer,
        vocab_size: u32,
        end_tokens: Vec<u32>,
        bos: String,
        eos: String,
    ) -> Result<Tokenizer> {
        inner.with_truncation(None).map_err(|e| Failure::unusable(e.to_string()))?;
        inner.with_padding(None);
        limits::check_model(inner.get_model())?;
        let growth = limits::growth(inner.get_normalizer(), inner.get_decoder())?;
        limits::probe(&inner)?;
        let specials = inner.get_added_vocabulary().get_added_tokens_decoder().values();
        let specials = specials.filter(|token| token.special).map(|token| token.content.clone()).collect();
        let marker = Marker::new(specials)?;
        let costly = inner
            .get_added_vocabulary()
            .get_added_tokens_decoder()
            .values()
            .filter(|token| (token.lstrip || token.single_word) && !token.content.is_empty())
            .map(|token| token.content.clone())
            .collect();
        let unmarking = OnceLock::new();
        Ok(Tokenizer { inner, vocab_size, end_tokens, bos, eos, costly, growth, marker, unmarking })
    }

    /// From the contents of tokenizer.json and, unless empty, of tokenizer_config.json.
    pub fn from_json(tokenizer_json: &str, config_json: &str) -> Result<Tokenizer> {
        let mut inner: tokenizers::Tokenizer =
            tokenizer_json.parse().map_err(|e| Failure::unusable(format!("tokenizer.json: {e}")))?;
        let config: Value = if config_json.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(config_json).map_err(|e| Failure::unusable(format!("tokenizer_config.json: {e}")))?
        };
        inner
            .add_tokens(config_tokens(&config))
            .map_err(|e| Failure::unusable(format!("tokenizer_config.json: {e}")))?;
        let vocab = inner.get_vocab(true);
        if vocab.is_empty() {
            return Err(Failure::unusable("the vocabulary is empty"));
        }
        if let Some(long) = vocab.keys().map(String::len).find(|size| *size > MAX_TOKEN) {
            return Err(Failure::unusable(format!("a token of {long} bytes is too long")));
        }
        let last = vocab.values().copied().max().unwrap_or(0);
        if last >= MAX_TOKENS {
            return Err(Failure::unusable(format!("token id {last} is too large")));
        }
        let text = |key: &str| special_text(&config, key);
        let (bos, eos) = (text("bos_token"), text("eos_token"));
        let mut end_tokens: Vec<u32> = inner.token_to_id(&eos).into_iter().filter(|_| !eos.is_empty()).collect();
        let mut marked: Vec<(u32, &AddedToken)> =
            inner.get_added_vocabulary().get_added_tokens_decoder().iter().map(|(id, token)| (*id, token)).collect();
        marked.sort_by_key(|(id, _)| *id);
        for (id, token) in marked {
            if token.special && END_TEXTS.contains(&token.content.as_str()) && !end_tokens.contains(&id) {
                end_tokens.push(id);
            }
        }
        Tokenizer::new(inner, last + 1, end_tokens, bos, eos)
    }

    /// Ids of a text. Special tokens written in it are recognised.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<i32>> {
        self.encode_by(&self.inner, text, add_special)
    }

    /// Ids of a prompt whose messages went through `literal`.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<i32>> {
        if !text.contains(MARK) {
            return self.encode(text, false);
        }
        match self.unmarking.get_or_init(|| self.make_unmarking().ok().map(Box::new)) {
            Some(unmarking) => self.encode_by(unmarking, text, false),
            None => Err(Failure::internal("no tokenizer for marked texts")),
        }
    }

    /// A text, or a pair, with the special tokens of the post-processor, in at most `most` tokens: what is too much is
    /// dropped from the end of whichever text is longer.
    pub fn encode_whole(&self, text: &str, pair: Option<&str>, most: usize) -> Result<Encoded> {
        let mut first = self.encoding_by(&self.inner, text, false)?;
        let mut second = pair.map(|pair| self.encoding_by(&self.inner, pair, false)).transpose()?;
        let special = self.inner.get_post_processor().map_or(0, |p| p.added_tokens(pair.is_some()));
        let all = first.len() + second.as_ref().map_or(0, |pair| pair.len());
        let Some(room) = most.checked_sub(special).filter(|room| *room > 0) else {
            return Err(Failure::input(format!("{most} tokens have no room for a text")));
        };
        if all > room {
            let cut = TruncationParams {
                max_length: room,
                strategy: TruncationStrategy::LongestFirst,
                stride: 0,
                direction: TruncationDirection::Right,
            };
            (first, second) = truncate_encodings(first, second, &cut).map_err(|e| Failure::internal(e.to_string()))?;
        }
        let whole = self.inner.post_process(first, second, true).map_err(|e| Failure::internal(e.to_string()))?;
        Ok(Encoded {
            ids: whole.get_ids().iter().map(|id| *id as i32).collect(),
            types: whole.get_type_ids().iter().map(|id| *id as i32).collect(),
            dropped: all.saturating_sub(room),
        })
    }

    /// A text of a message with the special tokens that it spells marked as text.
    pub fn literal<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.marker.mark(text)
    }

    fn make_unmarking(&self) -> Result<tokenizers::Tokenizer> {
        let wrong = |e: &dyn std::fmt::Display| Failure::internal(format!("marked texts: {e}"));
        let mut inner = self.inner.clone();
        let unmark = json!({"type": "Replace", "pattern": {"String": MARK.to_string()}, "content": ""});
        let unmark: NormalizerWrapper = serde_json::from_value(unmark).map_err(|e| wrong(&e))?;
        let steps = std::iter::once(unmark).chain(inner.get_normalizer().cloned()).collect();
        let steps = tokenizers::normalizers::Sequence::new(steps);
        inner.with_normalizer(Some(steps)).map_err(|e| wrong(&e))?;
        // Special tokens are looked for while the marks are still there.
        let tokens = inner.get_added_vocabulary().get_added_tokens_decoder().values();
        let late =
            tokens.filter(|token| token.special && token.normalized).map(|token| token.clone().normalized(false));
        let late: Vec<AddedToken> = late.collect();
        inner.add_tokens(late).map_err(|e| wrong(&e))?;
        Ok(inner)
    }

    fn encode_by(&self, inner: &tokenizers::Tokenizer, text: &str, add_special: bool) -> Result<Vec<i32>> {
        let encoding = self.encoding_by(inner, text, add_special)?;
        Ok(encoding.get_ids().iter().map(|id| *id as i32).collect())
    }

    fn encoding_by(
        &self,
        inner: &tokenizers::Tokenizer,
        text: &str,
        add_special: bool,
    ) -> Result<tokenizers::Encoding> {
        if text.len() > MAX_TEXT || (text.len() as u64).saturating_mul(self.growth.encode) > MAX_GROWN {
            return Err(Failure::input(format!("a text of {} bytes is too long", text.len())));
        }
        for token in &self.costly {
            if text.matches(token.as_str()).count().saturating_mul(text.len()) > MAX_LOOKING_BACK {
                return Err(Failure::input(format!("the text has '{token}' too many times")));
            }
        }
        inner.encode_fast(text, add_special).map_err(|e| Failure::input(format!("the text cannot be encoded: {e}")))
    }

    /// The text of ids. Ids outside the vocabulary have none.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        if ids.is_empty() {
            return Ok(String::new());
        }
        if (ids.len() as u64).saturating_mul(self.growth.decode) > MAX_GROWN / MAX_TOKEN as u64 {
            // Many ids; what they come to is seldom anywhere near what it could.
            let bytes: u64 =
                ids.iter().map(|id| self.inner.id_to_token(*id).map_or(0, |token| token.len() as u64)).sum();
            if bytes.saturating_mul(self.growth.decode) > MAX_GROWN {
                return Err(Failure::input(format!("{} ids are too many to decode", ids.len())));
            }
        }
        self.inner.decode(ids, skip_special).map_err(|e| Failure::internal(format!("decoding: {e}")))
    }

    /// The text that the decoder is given for an id; nothing when it is skipped or outside the vocabulary.
    pub(crate) fn piece(&self, id: u32, skip_special: bool) -> Option<String> {
        let added = self.inner.get_added_vocabulary();
        let piece = added.simple_id_to_token(id).or_else(|| {
            use tokenizers::Model;
            self.inner.get_model().id_to_token(id)
        })?;
        if skip_special && added.is_special_token(&piece) {
            return None;
        }
        Some(piece)
    }

    pub(crate) fn decoder(&self) -> Option<&tokenizers::DecoderWrapper> {
        self.inner.get_decoder()
    }

    /// One more than the largest id.
    pub fn vocab_size(&self) -> u32 {
        self.vocab_size
    }

    /// Ids after which generation ends.
    pub fn end_tokens(&self) -> &[u32] {
        &self.end_tokens
    }

    /// The id of a token's text.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The text of an id, empty outside the vocabulary.
    pub fn token_text(&self, id: u32) -> String {
        self.inner.id_to_token(id).unwrap_or_default()
    }

    /// Text of the beginning-of-text token, or empty.
    pub fn bos(&self) -> &str {
        &self.bos
    }

    /// Text of the end-of-text token, or empty.
    pub fn eos(&self) -> &str {
        &self.eos
    }
}

/// `"bos_token": "<s>"` or `{"content": "<s>", …}`.
fn special_text(config: &Value, key: &str) -> String {
    let value = &config[key];
    value.as_str().or_else(|| value["content"].as_str()).unwrap_or_default().to_owned()
}

/// `added_tokens_decoder` of tokenizer_config.json, by id.
fn config_tokens(config: &Value) -> Vec<AddedToken> {
    let Some(entries) = config["added_tokens_decoder"].as_object() else {
        return Vec::new();
    };
    let mut tokens: Vec<(u32, AddedToken)> = Vec::new();
    for (id, entry) in entries {
        let (Ok(id), Some(content)) = (id.parse::<u32>(), entry["content"].as_str()) else {
            continue;
        };
        let flag = |key: &str| entry[key].as_bool().unwrap_or(false);
        let token = AddedToken::from(content, flag("special"))
            .lstrip(flag("lstrip"))
            .rstrip(flag("rstrip"))
            .single_word(flag("single_word"))
            .normalized(flag("normalized"));
        tokens.push((id, token));
    }
    tokens.sort_by_key(|(id, _)| *id);
    tokens.into_iter().map(|(_, token)| token).collect()
}
