//! Python's methods of `str`, `list` and `dict` where templates use them. What is not here, or not different, is
//! minijinja-contrib's.

use minijinja::value::{from_args, Kwargs, Rest, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

/// `str.isspace` of one character: Unicode's White_Space and the four information separators.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The hook of the engine for methods that a value does not have itself.
pub fn call(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    // The engine charges for results only; a search reads all of a text and gives back a number.
    let size = value.as_str().map_or_else(|| value.len().map_or(0, |n| n.saturating_mul(16)), str::len);
    state.consume_fuel((size / 64) as u64)?;
    let own = match value.kind() {
        ValueKind::String => string(state, value.as_str().unwrap_or_default(), method, args)?,
        ValueKind::Seq | ValueKind::Iterable => sequence(value, method, args)?,
        ValueKind::Map => mapping(value, method, args)?,
        _ => None,
    };
    match own {
        Some(result) => Ok(result),
        None => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn string(state: &State, s: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "strip" => strip(s, args, true, true)?,
        "lstrip" => strip(s, args, true, false)?,
        "rstrip" => strip(s, args, false, true)?,
        "split" => split(s, args, false)?,
        "rsplit" => split(s, args, true)?,
        "splitlines" => split_lines(s, args)?,
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            partition(s, separator, method == "rpartition")?
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Value::from(s.strip_prefix(prefix).unwrap_or(s))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Value::from(s.strip_suffix(suffix).unwrap_or(s))
        }
        "title" => {
            let () = from_args(args)?;
            Value::from(title(s))
        }
        "capitalize" => {
            let () = from_args(args)?;
            let mut chars = s.chars();
            let mut out = String::with_capacity(s.len());
            chars.next().into_iter().for_each(|c| push_title(c, &mut out));
            Value::from(out + &chars.as_str().to_lowercase())
        }
        "swapcase" => {
            let () = from_args(args)?;
            Value::from(s.chars().map(swapped).collect::<String>())
        }
        "casefold" => {
            let () = from_args(args)?;
            Value::from(s.to_lowercase())
        }
        "join" => join(state, s, args)?,
        "index" | "rindex" => {
            let (what,): (&str,) = from_args(args)?;
            let found = if method == "index" { s.find(what) } else { s.rfind(what) };
            match found {
                Some(at) => Value::from(s[..at].chars().count()),
                None => return Err(Error::new(ErrorKind::InvalidOperation, "substring not found")),
            }
        }
        "isspace" => {
            let () = from_args(args)?;
            Value::from(!s.is_empty() && s.chars().all(is_space))
        }
        "ljust" | "rjust" | "center" | "zfill" => pad(state, s, method, args)?,
        _ => return Ok(None),
    }))
}

fn strip(s: &str, args: &[Value], left: bool, right: bool) -> Result<Value, Error> {
    let (set,): (Option<&str>,) = from_args(args)?;
    let cut = |c: char| set.map_or_else(|| is_space(c), |set| set.contains(c));
    let mut rest = s;
    if left {
        rest = rest.trim_start_matches(cut);
    }
    if right {
        rest = rest.trim_end_matches(cut);
    }
    Ok(Value::from(rest))
}

fn split(s: &str, args: &[Value], from_right: bool) -> Result<Value, Error> {
    let (positional, kwargs): (Rest<Value>, Kwargs) = from_args(args)?;
    let argument = |i: usize, name: &str| -> Result<Option<Value>, Error> {
        match positional.get(i) {
            Some(value) => Ok(Some(value.clone())),
            None => kwargs.get(name),
        }
    };
    let separator = argument(0, "sep")?.filter(|v| !v.is_none());
    let most = match argument(1, "maxsplit")? {
        Some(count) => i64::try_from(count)?,
        None => -1,
    };
    kwargs.assert_all_used()?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let parts: Vec<&str> = match &separator {
        None => split_spaces(s, most, from_right),
        Some(separator) => {
            let Some(separator) = separator.as_str().filter(|text| !text.is_empty()) else {
                return Err(Error::new(ErrorKind::InvalidOperation, "split needs a separator that is not empty"));
            };
            if from_right {
                let mut parts: Vec<&str> = s.rsplitn(most.saturating_add(1), separator).collect();
                parts.reverse();
                parts
            } else {
                s.splitn(most.saturating_add(1), separator).collect()
            }
        }
    };
    Ok(Value::from(parts.into_iter().map(Value::from).collect::<Vec<Value>>()))
}

/// Words between runs of white space; after `most` cuts the rest is one word.
fn split_spaces(s: &str, most: usize, from_right: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = if from_right { s.trim_end_matches(is_space) } else { s.trim_start_matches(is_space) };
    while !rest.is_empty() {
        if parts.len() == most {
            // The rest keeps its white space on the far side.
            parts.push(rest);
            break;
        }
        if from_right {
            let at = rest.char_indices().rev().find(|(_, c)| is_space(*c)).map_or(0, |(i, c)| i + c.len_utf8());
            parts.push(&rest[at..]);
            rest = rest[..at].trim_end_matches(is_space);
        } else {
            let at = rest.find(is_space).unwrap_or(rest.len());
            parts.push(&rest[..at]);
            rest = rest[at..].trim_start_matches(is_space);
        }
    }
    if from_right {
        parts.reverse();
    }
    parts
}

fn split_lines(s: &str, args: &[Value]) -> Result<Value, Error> {
    let (keep, kwargs): (Option<bool>, Kwargs) = from_args(args)?;
    let keep = match keep {
        Some(keep) => keep,
        None => kwargs.get::<Option<bool>>("keepends")?.unwrap_or(false),
    };
    kwargs.assert_all_used()?;
    Ok(Value::from(lines(s, keep).into_iter().map(Value::from).collect::<Vec<Value>>()))
}

/// `str.splitlines(keepends)`.
pub fn lines(s: &str, keep: bool) -> Vec<&str> {
    let ends = |c: char| {
        matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
    };
    let mut lines = Vec::new();
    let mut rest = s;
    while !rest.is_empty() {
        let Some(at) = rest.find(ends) else {
            lines.push(rest);
            break;
        };
        let end = if rest[at..].starts_with("\r\n") {
            at + 2
        } else {
            at + rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        lines.push(&rest[..if keep { end } else { at }]);
        rest = &rest[end..];
    }
    lines
}

fn partition(s: &str, separator: &str, from_right: bool) -> Result<Value, Error> {
    if separator.is_empty() {
        return Err(Error::new(ErrorKind::InvalidOperation, "empty separator"));
    }
    let found = if from_right { s.rfind(separator) } else { s.find(separator) };
    let parts = match (found, from_right) {
        (Some(at), _) => [&s[..at], separator, &s[at + separator.len()..]],
        (None, false) => [s, "", ""],
        (None, true) => ["", "", s],
    };
    Ok(Value::from(minijinja::value::Tuple::from(parts.map(Value::from))))
}

/// `str.title`: a capital after every character that has no case.
fn title(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    let mut inside = false;
    for c in s.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            push_title(c, &mut out);
        }
        inside = c.is_lowercase() || c.is_uppercase();
    }
    out
}

/// The title case of a character: what is two letters in one, or becomes several, has only its first one capital.
fn push_title(c: char, out: &mut String) {
    match c {
        'Ǆ'..='ǆ' => out.push('ǅ'),
        'Ǉ'..='ǉ' => out.push('ǈ'),
        'Ǌ'..='ǌ' => out.push('ǋ'),
        'Ǳ'..='ǳ' => out.push('ǲ'),
        // Georgian has capitals, but none in titles.
        'ა'..='ჿ' => out.push(c),
        _ => {
            let mut upper = c.to_uppercase();
            out.extend(upper.next());
            upper.for_each(|rest| out.extend(rest.to_lowercase()));
        }
    }
}

/// `str.join`, of strings only.
fn join(state: &State, separator: &str, args: &[Value]) -> Result<Value, Error> {
    let (items,): (&Value,) = from_args(args)?;
    let mut out = String::new();
    for (i, item) in items.try_iter()?.checked().enumerate() {
        let item = item?;
        let Some(text) = item.as_str() else {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("join needs strings; item {i} is a {}", item.kind()),
            ));
        };
        let before = if i > 0 { separator } else { "" };
        state.consume_fuel(((before.len() + text.len()) / 64) as u64)?;
        out.push_str(before);
        out.push_str(text);
    }
    Ok(Value::from(out))
}

fn swapped(c: char) -> char {
    let one = |mut chars: Box<dyn Iterator<Item = char>>| chars.next().unwrap_or(c);
    if c.is_uppercase() {
        one(Box::new(c.to_lowercase()))
    } else {
        one(Box::new(c.to_uppercase()))
    }
}

fn pad(state: &State, s: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (width, fill): (i64, Option<&str>) = from_args(args)?;
    let fill = match (method, fill) {
        ("zfill", _) => '0',
        (_, None) => ' ',
        (_, Some(text)) => text.chars().next().unwrap_or(' '),
    };
    let missing = usize::try_from(width).unwrap_or(0).saturating_sub(s.chars().count());
    state.consume_fuel((missing / 16) as u64)?;
    let run = |count: usize| std::iter::repeat_n(fill, count).collect::<String>();
    Ok(Value::from(match method {
        "ljust" => format!("{s}{}", run(missing)),
        "rjust" => format!("{}{s}", run(missing)),
        "zfill" => {
            let digits = s.strip_prefix(['+', '-']).unwrap_or(s);
            format!("{}{}{digits}", &s[..s.len() - digits.len()], run(missing))
        }
        // Python puts the odd one on the left where the width is odd.
        _ => {
            let left = missing / 2 + (missing & width as usize & 1);
            format!("{}{s}{}", run(left), run(missing - left))
        }
    }))
}

fn sequence(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    match method {
        "index" => {
            let (what,): (&Value,) = from_args(args)?;
            for (i, item) in value.try_iter()?.checked().enumerate() {
                if item? == *what {
                    return Ok(Some(Value::from(i)));
                }
            }
            Err(Error::new(ErrorKind::InvalidOperation, "the value is not in the list"))
        }
        "count" => {
            let (what,): (&Value,) = from_args(args)?;
            let mut count = 0;
            for item in value.try_iter()?.checked() {
                count += usize::from(item? == *what);
            }
            Ok(Some(Value::from(count)))
        }
        "copy" => {
            let () = from_args(args)?;
            Ok(Some(value.clone()))
        }
        "append" | "extend" | "insert" | "pop" | "remove" | "clear" | "sort" | "reverse" => Err(immutable(method)),
        _ => Ok(None),
    }
}

fn mapping(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    match method {
        "copy" => {
            let () = from_args(args)?;
            Ok(Some(value.clone()))
        }
        "update" | "pop" | "popitem" | "setdefault" | "clear" => Err(immutable(method)),
        _ => Ok(None),
    }
}

/// Chat templates run in Jinja's immutable sandbox: nothing changes a list or a mapping.
fn immutable(method: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("access to '{method}' is unsafe: values cannot be changed"))
}
