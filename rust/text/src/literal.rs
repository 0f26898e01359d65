//! Special tokens that somebody writes into a message stay text: `<|im_end|>` in a question is ten characters, not the end
//! of the turn.
//!
//! The text of a message goes through a template before it is encoded, so what is written there is marked: a character that
//! no text has stands between the characters of each special token. A mark keeps the token from being found; the tokenizer
//! for marked texts takes the marks out before anything else happens, so that the ids are those of the characters.

use std::borrow::Cow;

use regex::Regex;

use crate::failure::{Failure, Result};

/// The mark, a noncharacter of Unicode: not for interchange.
pub const MARK: char = '\u{FDD0}';

/// The special tokens of a vocabulary, to be found in texts.
pub struct Marker {
    specials: Vec<String>,
    pattern: Option<Regex>,
}

impl Marker {
    /// For these texts of special tokens.
    pub fn new(mut specials: Vec<String>) -> Result<Marker> {
        // One character cannot be taken apart; no published special token is so short.
        specials.retain(|text| text.chars().count() > 1);
        specials.sort_by_key(|text| std::cmp::Reverse(text.len()));
        let any = specials.iter().map(|text| regex::escape(text)).collect::<Vec<String>>().join("|");
        let pattern = match specials.is_empty() {
            true => None,
            false => Some(Regex::new(&any).map_err(|e| Failure::unusable(format!("special tokens: {e}")))?),
        };
        Ok(Marker { specials, pattern })
    }

    /// A text with its special tokens marked, and without marks of its own.
    pub fn mark<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(pattern) = &self.pattern else {
            return Cow::Borrowed(text);
        };
        let text = match text.contains(MARK) {
            true => Cow::Owned(text.replace(MARK, "")),
            false => Cow::Borrowed(text),
        };
        // What begins a special token at the end could be made one by what the template writes next.
        let begun = self.begun(&text);
        if begun == text.len() && !pattern.is_match(&text) {
            return text;
        }
        let mut out = String::with_capacity(text.len() + 16);
        let mut at = 0;
        // Every character, so that no token can begin inside another either.
        let spread = |out: &mut String, piece: &str| piece.chars().for_each(|c| out.extend([c, MARK]));
        for found in pattern.find_iter(&text) {
            out.push_str(&text[at..found.start()]);
            spread(&mut out, found.as_str());
            at = found.end();
        }
        let begun = begun.max(at);
        out.push_str(&text[at..begun]);
        spread(&mut out, &text[begun..]);
        Cow::Owned(out)
    }

    /// Where the longest beginning of a special token starts that the text ends with.
    fn begun(&self, text: &str) -> usize {
        let begins = |from: usize| self.specials.iter().any(|special| special.starts_with(&text[from..]));
        let longest = self.specials.first().map_or(0, String::len);
        let mut from = text.len();
        for (at, _) in text.char_indices().rev().take_while(|(at, _)| text.len() - at < longest) {
            if begins(at) {
                from = at;
            }
        }
        from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str) -> String {
        let specials = ["<s>", "<|im_end|>", "abc", "bcd"].map(str::to_owned).to_vec();
        Marker::new(specials).unwrap().mark(text).replace(MARK, "|")
    }

    #[test]
    fn special_tokens_are_taken_apart() {
        assert_eq!(marked("nothing here"), "nothing here");
        assert_eq!(marked("x<s>y"), "x<|s|>|y");
        assert_eq!(marked("abcd"), "a|b|c|d|");
        assert_eq!(marked("ends with <|im_"), "ends with <|||i|m|_|");
        assert_eq!(marked("ends with <"), "ends with <|");
        assert_eq!(marked("<s\u{FDD0}>"), "<|s|>|");
    }
}
