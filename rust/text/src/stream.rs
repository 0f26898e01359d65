//! Ids to text piece by piece. The pieces joined are exactly what decoding all ids at once gives, and no piece ends
//! inside a character.
//!
//! A decoder is a chain of steps over the list of tokens. Each step becomes a stage that takes one token at a time and
//! gives out what can no longer change. A step whose result may change with any later token (a regular expression over
//! the whole text, say) makes the stage that holds everything back until the end: slow to show, never wrong.

use std::sync::Arc;

use tokenizers::{Decoder, DecoderWrapper};

use crate::failure::{Failure, Result};
use crate::tokenizer::Tokenizer;

/// One step of the chain.
enum Stage {
    /// Each token by itself.
    Each(DecoderWrapper),
    /// The first token one way, each later one another.
    FirstDiffers { decoder: DecoderWrapper, first: bool },
    /// The last token one way, each earlier one another.
    LastDiffers { decoder: DecoderWrapper, held: Option<String> },
    /// Equal neighbours count once, then each by itself.
    Distinct { decoder: DecoderWrapper, previous: Option<String> },
    /// Tokens that stand for bytes; from here on the text is one token.
    Bytes { carry: Vec<u8> },
    /// Runs of `<0xNN>`: a run is text if all of it is UTF-8, else a U+FFFD for each.
    ByteRuns { run: Vec<u8> },
    /// Tokens become one.
    Fuse,
    /// Characters cut from the ends of the one token.
    Trim { content: char, start: usize, stop: usize, held: String },
    /// A text replaced in the one token.
    ReplaceText { from: String, to: String, held: String },
    /// Everything, at the end, by the decoders themselves.
    Hold { decoders: Vec<DecoderWrapper>, tokens: Vec<String>, fused: bool },
    /// No decoder: tokens with a space between.
    Spaces { first: bool },
}

/// Decodes one answer.
pub struct Stream {
    tokenizer: Arc<Tokenizer>,
    skip_special: bool,
    stages: Vec<Stage>,
    finished: bool,
}

impl Stream {
    /// A stream at its beginning.
    pub fn new(tokenizer: Arc<Tokenizer>, skip_special: bool) -> Result<Stream> {
        let stages = match tokenizer.decoder() {
            Some(decoder) => stages(decoder)?,
            None => vec![Stage::Spaces { first: true }],
        };
        Ok(Stream { tokenizer, skip_special, stages, finished: false })
    }

    /// What became certain with this id.
    pub fn push(&mut self, id: u32) -> Result<String> {
        if self.finished {
            return Err(Failure::input("the stream has ended"));
        }
        match self.tokenizer.piece(id, self.skip_special) {
            Some(piece) => self.run(0, vec![piece]),
            None => Ok(String::new()),
        }
    }

    /// What was held back.
    pub fn finish(&mut self) -> Result<String> {
        if std::mem::replace(&mut self.finished, true) {
            return Ok(String::new());
        }
        let mut out = String::new();
        for i in 0..self.stages.len() {
            let last = self.stages[i].finish()?;
            out.push_str(&self.run(i + 1, last)?);
        }
        Ok(out)
    }

    fn run(&mut self, from: usize, mut tokens: Vec<String>) -> Result<String> {
        for stage in &mut self.stages[from..] {
            let mut next = Vec::new();
            for token in tokens {
                stage.push(token, &mut next)?;
            }
            tokens = next;
        }
        Ok(tokens.concat())
    }
}

/// The stages of a decoder. Sequences are laid out flat.
fn stages(decoder: &DecoderWrapper) -> Result<Vec<Stage>> {
    let mut chain = Vec::new();
    flatten(decoder, &mut chain);
    let mut stages = Vec::new();
    let mut fused = false;
    for (i, step) in chain.iter().enumerate() {
        let stage = match step {
            DecoderWrapper::Sequence(_) => continue,
            DecoderWrapper::Fuse(_) if fused => continue,
            DecoderWrapper::Fuse(_) => Stage::Fuse,
            DecoderWrapper::Strip(strip) if fused => {
                Stage::Trim { content: strip.content, start: strip.start, stop: strip.stop, held: String::new() }
            }
            DecoderWrapper::Replace(_) if fused => match replaced_text(step)? {
                Some((from, to)) => Stage::ReplaceText { from, to, held: String::new() },
                None => hold(&chain[i..], fused),
            },
            _ if fused => hold(&chain[i..], fused),
            DecoderWrapper::Replace(_) | DecoderWrapper::Strip(_) => Stage::Each(step.clone()),
            DecoderWrapper::WordPiece(_) | DecoderWrapper::Metaspace(_) => {
                Stage::FirstDiffers { decoder: step.clone(), first: true }
            }
            DecoderWrapper::BPE(_) => Stage::LastDiffers { decoder: step.clone(), held: None },
            DecoderWrapper::CTC(_) => Stage::Distinct { decoder: step.clone(), previous: None },
            DecoderWrapper::ByteLevel(_) => Stage::Bytes { carry: Vec::new() },
            DecoderWrapper::ByteFallback(_) => Stage::ByteRuns { run: Vec::new() },
        };
        fused |= matches!(stage, Stage::Fuse | Stage::Bytes { .. });
        let last = matches!(stage, Stage::Hold { .. });
        stages.push(stage);
        if last {
            break;
        }
    }
    Ok(stages)
}

fn flatten(decoder: &DecoderWrapper, chain: &mut Vec<DecoderWrapper>) {
    match decoder {
        DecoderWrapper::Sequence(sequence) => sequence.get_decoders().iter().for_each(|d| flatten(d, chain)),
        other => chain.push(other.clone()),
    }
}

fn hold(rest: &[DecoderWrapper], fused: bool) -> Stage {
    Stage::Hold { decoders: rest.to_vec(), tokens: Vec::new(), fused }
}

/// The two texts of a Replace that has no regular expression.
fn replaced_text(step: &DecoderWrapper) -> Result<Option<(String, String)>> {
    let json = serde_json::to_value(step).map_err(|e| Failure::internal(e.to_string()))?;
    match (json["pattern"]["String"].as_str(), json["content"].as_str()) {
        (Some(from), Some(to)) if !from.is_empty() => Ok(Some((from.to_owned(), to.to_owned()))),
        _ => Ok(None),
    }
}

fn decode(decoder: &DecoderWrapper, tokens: Vec<String>) -> Result<Vec<String>> {
    decoder.decode_chain(tokens).map_err(|e| Failure::internal(format!("decoding: {e}")))
}

impl Stage {
    fn push(&mut self, token: String, out: &mut Vec<String>) -> Result<()> {
        match self {
            Stage::Each(decoder) => out.extend(decode(decoder, vec![token])?),
            Stage::FirstDiffers { decoder, first } => {
                if std::mem::replace(first, false) {
                    out.extend(decode(decoder, vec![token])?);
                } else {
                    out.extend(decode(decoder, vec![String::new(), token])?.into_iter().skip(1));
                }
            }
            Stage::LastDiffers { decoder, held } => {
                if let Some(earlier) = held.replace(token) {
                    out.extend(decode(decoder, vec![earlier, String::new()])?.into_iter().take(1));
                }
            }
            Stage::Distinct { decoder, previous } => {
                if previous.as_ref() != Some(&token) {
                    *previous = Some(token.clone());
                    out.extend(decode(decoder, vec![token])?);
                }
            }
            Stage::Bytes { carry } => {
                push_bytes(&token, carry);
                out.push(take_certain(carry));
            }
            Stage::ByteRuns { run } => match byte_token(&token) {
                Some(byte) => run.push(byte),
                None => {
                    end_run(run, out);
                    out.push(token);
                }
            },
            Stage::Fuse => out.push(token),
            Stage::Trim { content, start, stop, held } => {
                held.push_str(&token);
                trim_start(held, *content, start);
                if *start == 0 {
                    out.push(take_untrimmable(held, *content, *stop));
                }
            }
            Stage::ReplaceText { from, to, held } => {
                held.push_str(&token);
                out.push(take_replaced(held, from, to));
            }
            Stage::Hold { tokens, fused, .. } => match tokens.last_mut() {
                Some(last) if *fused => last.push_str(&token),
                _ => tokens.push(token),
            },
            Stage::Spaces { first } => {
                let space = if std::mem::replace(first, false) { "" } else { " " };
                out.push(format!("{space}{token}"));
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<String>> {
        let mut out = Vec::new();
        match self {
            Stage::LastDiffers { decoder, held } => {
                if let Some(last) = held.take() {
                    out = decode(decoder, vec![last])?;
                }
            }
            Stage::Bytes { carry } => out.push(String::from_utf8_lossy(&std::mem::take(carry)).into_owned()),
            Stage::ByteRuns { run } => end_run(run, &mut out),
            Stage::Trim { content, stop, held, .. } => {
                for _ in 0..*stop {
                    if held.ends_with(*content) {
                        held.pop();
                    }
                }
                out.push(std::mem::take(held));
            }
            Stage::ReplaceText { held, .. } => out.push(std::mem::take(held)),
            Stage::Hold { decoders, tokens, .. } => {
                out = std::mem::take(tokens);
                // Some decoders cannot be asked about no tokens at all.
                let steps: &[DecoderWrapper] = if out.is_empty() { &[] } else { decoders };
                for decoder in steps {
                    out = decode(decoder, out)?;
                }
            }
            _ => {}
        }
        Ok(out)
    }
}

/// The bytes that a token of a byte-level vocabulary stands for; a token with a character outside the alphabet is text.
fn push_bytes(token: &str, carry: &mut Vec<u8>) {
    match token.chars().map(crate::bytes::of_char).collect::<Option<Vec<u8>>>() {
        Some(bytes) => carry.extend(bytes),
        None => carry.extend(token.as_bytes()),
    }
}

/// Takes what can no longer change; an unfinished character stays.
fn take_certain(carry: &mut Vec<u8>) -> String {
    let mut out = String::new();
    let mut at = 0;
    while at < carry.len() {
        match std::str::from_utf8(&carry[at..]) {
            Ok(text) => {
                out.push_str(text);
                at = carry.len();
            }
            Err(error) => {
                let valid = at + error.valid_up_to();
                out.push_str(&String::from_utf8_lossy(&carry[at..valid]));
                at = valid;
                match error.error_len() {
                    Some(bad) => {
                        out.push(char::REPLACEMENT_CHARACTER);
                        at += bad;
                    }
                    None => break,
                }
            }
        }
    }
    carry.drain(..at);
    out
}

/// As the ByteFallback decoder reads a token.
fn byte_token(token: &str) -> Option<u8> {
    if token.len() == 6 && token.starts_with("<0x") && token.ends_with('>') {
        token.get(3..5).and_then(|hex| u8::from_str_radix(hex, 16).ok())
    } else {
        None
    }
}

fn end_run(run: &mut Vec<u8>, out: &mut Vec<String>) {
    if run.is_empty() {
        return;
    }
    let count = run.len();
    match String::from_utf8(std::mem::take(run)) {
        Ok(text) => out.push(text),
        Err(_) => out.push("\u{FFFD}".repeat(count)),
    }
}

/// Cuts leading `content`, at most `left` in all; `left` becomes 0 at the first other character.
fn trim_start(held: &mut String, content: char, left: &mut usize) {
    while *left > 0 {
        match held.chars().next() {
            Some(c) if c == content => {
                held.remove(0);
                *left -= 1;
            }
            Some(_) => *left = 0,
            None => break,
        }
    }
}

/// Takes all but the last `stop` characters that are `content`, which may yet be cut.
fn take_untrimmable(held: &mut String, content: char, stop: usize) -> String {
    let mut keep = held.len();
    for (at, c) in held.char_indices().rev().take(stop) {
        if c != content {
            break;
        }
        keep = at;
    }
    let rest = held.split_off(keep);
    std::mem::replace(held, rest)
}

/// Takes all that cannot be the beginning of `from`, with each `from` replaced.
fn take_replaced(held: &mut String, from: &str, to: &str) -> String {
    let mut out = String::new();
    let mut at = 0;
    while let Some(found) = held[at..].find(from) {
        out.push_str(&held[at..at + found]);
        out.push_str(to);
        at += found + from.len();
    }
    let rest = &held[at..];
    let keep = (0..rest.len())
        .filter(|i| rest.is_char_boundary(*i) && rest.len() - i < from.len())
        .find(|i| from.starts_with(&rest[*i..]))
        .unwrap_or(rest.len());
    out.push_str(&rest[..keep]);
    *held = rest[keep..].to_owned();
    out
}
