//! Values written as Python writes them: `str()`, `repr()` and `json.dumps`.

use std::sync::LazyLock;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};
use regex::Regex;

/// Nesting beyond which a value is refused.
const MAX_DEPTH: usize = 200;

/// Text that may grow to a limit and no further.
pub struct Sink {
    text: String,
    limit: usize,
}

impl Sink {
    /// An empty text of at most `limit` bytes.
    pub fn new(limit: usize) -> Sink {
        Sink { text: String::new(), limit }
    }

    /// What was written.
    pub fn into_text(self) -> String {
        self.text
    }

    fn push(&mut self, text: &str) -> Result<(), Error> {
        if text.len() > self.limit - self.text.len() {
            return Err(Error::new(ErrorKind::OutOfFuel, "a value is too large to write"));
        }
        self.text.push_str(text);
        Ok(())
    }
}

fn refuse(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

/// `repr()` of a float: shortest digits that read back the same; an exponent outside 1e-4 … 1e16.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    // Rust changes to an exponent at the same sizes, but writes e16 where Python writes e+16.
    let text = format!("{value:?}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => text,
    }
}

/// The float in a value that is a float and not an integer.
fn as_float(value: &Value) -> Option<f64> {
    if value.kind() == ValueKind::Number && !value.is_integer() {
        f64::try_from(value.clone()).ok()
    } else {
        None
    }
}

/// Whether `str()` of it needs this file; the others print right as they are.
pub fn prints_differently(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Number => !value.is_integer(),
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => true,
        _ => false,
    }
}

/// `str(value)`.
pub fn write_str(value: &Value, out: &mut Sink) -> Result<(), Error> {
    match value.as_str() {
        Some(text) => out.push(text),
        None if value.is_undefined() => Ok(()),
        None => write_repr(value, out, 0),
    }
}

fn write_repr(value: &Value, out: &mut Sink, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(refuse("a value is nested too deeply to write"));
    }
    match value.kind() {
        ValueKind::Undefined => out.push("Undefined"),
        ValueKind::Number => match as_float(value) {
            Some(number) => out.push(&float(number)),
            None => out.push(&value.to_string()),
        },
        ValueKind::Seq | ValueKind::Iterable => {
            let (open, close) = if value.is_tuple() { ("(", ")") } else { ("[", "]") };
            out.push(open)?;
            let mut count = 0;
            for item in value.try_iter()?.checked() {
                if count > 0 {
                    out.push(", ")?;
                }
                write_repr(&item?, out, depth + 1)?;
                count += 1;
            }
            if value.is_tuple() && count == 1 {
                out.push(",")?;
            }
            out.push(close)
        }
        ValueKind::Map => {
            out.push("{")?;
            for (i, key) in value.try_iter()?.checked().enumerate() {
                let key = key?;
                if i > 0 {
                    out.push(", ")?;
                }
                write_repr(&key, out, depth + 1)?;
                out.push(": ")?;
                write_repr(&value.get_item(&key)?, out, depth + 1)?;
            }
            out.push("}")
        }
        ValueKind::String => out.push(&quoted(value.as_str().unwrap_or_default())),
        _ => out.push(&value.to_string()),
    }
}

/// `repr()` of a string: the quote that needs no escape where there is one, and escapes for what does not print.
fn quoted(text: &str) -> String {
    static UNPRINTABLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\p{C}\p{Z}&&[^ ]]").ok());
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        let code = c as u32;
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ if !UNPRINTABLE.as_ref().is_some_and(|r| r.is_match(c.encode_utf8(&mut [0; 4]))) => out.push(c),
            _ if code < 0x100 => out.push_str(&format!("\\x{code:02x}")),
            _ if code < 0x10000 => out.push_str(&format!("\\u{code:04x}")),
            _ => out.push_str(&format!("\\U{code:08x}")),
        }
    }
    out.push(quote);
    out
}

/// The arguments of `json.dumps`.
#[derive(Clone, Debug)]
pub struct Dumps {
    /// Everything outside ASCII as `\uXXXX`.
    pub ensure_ascii: bool,
    /// What one level is indented by; none writes one line.
    pub indent: Option<String>,
    /// Between items.
    pub item_separator: String,
    /// Between key and value.
    pub key_separator: String,
    /// Keys in order.
    pub sort_keys: bool,
}

impl Default for Dumps {
    fn default() -> Dumps {
        Dumps {
            ensure_ascii: false,
            indent: None,
            item_separator: ", ".into(),
            key_separator: ": ".into(),
            sort_keys: false,
        }
    }
}

impl Dumps {
    /// `json.dumps(value, …)`.
    pub fn write(&self, value: &Value, out: &mut Sink) -> Result<(), Error> {
        self.value(value, out, 0)
    }

    fn value(&self, value: &Value, out: &mut Sink, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(refuse("a value is nested too deeply for JSON"));
        }
        match value.kind() {
            ValueKind::None => out.push("null"),
            ValueKind::Bool => out.push(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push(&number(value)),
            ValueKind::String => self.string(value.as_str().unwrap_or_default(), out),
            ValueKind::Seq | ValueKind::Iterable => self.array(value, out, depth),
            ValueKind::Map => self.object(value, out, depth),
            kind => Err(refuse(format!("a value of type {kind} is not JSON serializable"))),
        }
    }

    fn array(&self, value: &Value, out: &mut Sink, depth: usize) -> Result<(), Error> {
        let mut empty = true;
        for item in value.try_iter()?.checked() {
            self.before_item(out, if empty { "[" } else { &self.item_separator }, depth + 1)?;
            empty = false;
            self.value(&item?, out, depth + 1)?;
        }
        self.close(out, empty, "[]", depth)
    }

    fn object(&self, value: &Value, out: &mut Sink, depth: usize) -> Result<(), Error> {
        let mut keys: Vec<Value> = value.try_iter()?.checked().collect::<Result<_, _>>()?;
        if self.sort_keys {
            keys.sort();
        }
        let empty = keys.is_empty();
        for (i, key) in keys.iter().enumerate() {
            self.before_item(out, if i == 0 { "{" } else { &self.item_separator }, depth + 1)?;
            self.string(&key_text(key)?, out)?;
            out.push(&self.key_separator)?;
            self.value(&value.get_item(key)?, out, depth + 1)?;
        }
        self.close(out, empty, "{}", depth)
    }

    fn before_item(&self, out: &mut Sink, lead: &str, depth: usize) -> Result<(), Error> {
        out.push(lead)?;
        self.line(out, depth)
    }

    fn close(&self, out: &mut Sink, empty: bool, brackets: &str, depth: usize) -> Result<(), Error> {
        if empty {
            return out.push(brackets);
        }
        self.line(out, depth)?;
        out.push(&brackets[1..])
    }

    fn line(&self, out: &mut Sink, depth: usize) -> Result<(), Error> {
        if let Some(indent) = &self.indent {
            out.push("\n")?;
            for _ in 0..depth {
                out.push(indent)?;
            }
        }
        Ok(())
    }

    fn string(&self, text: &str, out: &mut Sink) -> Result<(), Error> {
        let mut quoted = String::with_capacity(text.len() + 2);
        quoted.push('"');
        for c in text.chars() {
            match c {
                '"' => quoted.push_str("\\\""),
                '\\' => quoted.push_str("\\\\"),
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                '\t' => quoted.push_str("\\t"),
                '\u{8}' => quoted.push_str("\\b"),
                '\u{c}' => quoted.push_str("\\f"),
                c if (c as u32) < 0x20 => quoted.push_str(&format!("\\u{:04x}", c as u32)),
                c if self.ensure_ascii && (c as u32) > 0x7e => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        quoted.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => quoted.push(c),
            }
        }
        quoted.push('"');
        out.push(&quoted)
    }
}

/// A number as JSON as Python writes it; NaN and infinities are words.
fn number(value: &Value) -> String {
    match as_float(value) {
        Some(x) if x.is_nan() => "NaN".into(),
        Some(x) if x.is_infinite() => if x > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        Some(x) => float(x),
        None => value.to_string(),
    }
}

fn key_text(key: &Value) -> Result<String, Error> {
    Ok(match key.kind() {
        ValueKind::String => key.as_str().unwrap_or_default().to_owned(),
        ValueKind::None => "null".into(),
        ValueKind::Bool => if key.is_true() { "true" } else { "false" }.into(),
        ValueKind::Number => number(key),
        kind => return Err(refuse(format!("keys must be strings or numbers, not {kind}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut Sink) -> Result<(), Error>) -> String {
        let mut sink = Sink::new(1 << 20);
        write(&mut sink).unwrap();
        sink.into_text()
    }

    #[test]
    fn floats_as_python_writes_them() {
        for (value, expected) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (1e-5, "1e-05"),
            (123456789012345.6, "123456789012345.6"),
            (-2.5e-300, "-2.5e-300"),
            (1e22, "1e+22"),
            (0.0001, "0.0001"),
        ] {
            assert_eq!(float(value), expected);
        }
    }

    #[test]
    fn containers_as_python_prints_them() {
        let value = Value::from(vec![
            Value::from("it's"),
            Value::from(true),
            Value::from(()),
            Value::from(1.0),
            Value::from_pairs([("k", Value::from("a\n\"b\""))]),
        ]);
        assert_eq!(text(|out| write_str(&value, out)), r#"["it's", True, None, 1.0, {'k': 'a\n"b"'}]"#);
    }

    #[test]
    fn json_with_and_without_indent() {
        let value = Value::from_pairs([
            ("b", Value::from(vec![1, 2])),
            ("a", Value::from("é\u{1}\u{7f}<")),
            ("c", Value::from(Vec::<Value>::new())),
        ]);
        let plain = Dumps::default();
        assert_eq!(text(|out| plain.write(&value, out)), "{\"b\": [1, 2], \"a\": \"é\\u0001\u{7f}<\", \"c\": []}");
        let pretty = Dumps {
            indent: Some("  ".into()),
            item_separator: ",".into(),
            sort_keys: true,
            ensure_ascii: true,
            ..Dumps::default()
        };
        assert_eq!(
            text(|out| pretty.write(&value, out)),
            "{\n  \"a\": \"\\u00e9\\u0001\\u007f<\",\n  \"b\": [\n    1,\n    2\n  ],\n  \"c\": []\n}"
        );
    }

    #[test]
    fn a_value_larger_than_the_sink_is_refused() {
        let value = Value::from("x".repeat(100));
        assert!(Dumps::default().write(&value, &mut Sink::new(50)).is_err());
    }
}
