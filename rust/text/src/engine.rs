//! The template engine as transformers sets Jinja up: its globals, and the filters and tests that differ from minijinja's.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use minijinja::value::{Kwargs, Rest, Tuple, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use regex::Regex;

use crate::methods;
use crate::python::{self, Dumps, Sink};

/// Longest rendered text, in bytes.
pub const MAX_OUTPUT: usize = 32 << 20;
/// Deepest nesting of blocks, macros and loops.
const MAX_NESTING: usize = 200;

/// The text that a template gave to `raise_exception`.
#[derive(Debug)]
pub struct Raised(pub String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

/// What `+` calls (see `program`); no variable can have this name.
pub const PLUS: &str = "+";

/// What `%` calls.
pub const PERCENT: &str = "%";

/// Python's `a % b`: texts are formats, and a remainder has the sign of `b`.
fn percent(state: &mut State, a: &Value, b: &Value) -> Result<Value, Error> {
    if a.as_str().is_some() {
        let mut args = vec![a.clone()];
        if b.is_tuple() {
            args.extend(b.try_iter()?);
        } else if b.kind() == ValueKind::Map {
            let mut entries = Vec::new();
            for key in b.try_iter()?.checked() {
                let key = key?;
                entries.push((key.to_string(), b.get_item(&key)?));
            }
            args.push(Kwargs::from_iter(entries).into());
        } else {
            args.push(b.clone());
        }
        return state.apply_filter("format", &args);
    }
    let zero = || Error::new(ErrorKind::InvalidOperation, "modulo by zero");
    if let (Some(x), Some(y)) = (whole(a), whole(b)) {
        let rest = x.checked_rem(y).ok_or_else(zero)?;
        let rest = if rest != 0 && (rest < 0) != (y < 0) { rest + y } else { rest };
        return Ok(i64::try_from(rest).map_or(Value::from(rest), Value::from));
    }
    if is_number(a) && is_number(b) {
        let (x, y) = (number(a)?, number(b)?);
        if y == 0.0 {
            return Err(zero());
        }
        let rest = x % y;
        return Ok(Value::from(if rest != 0.0 && (rest < 0.0) != (y < 0.0) { rest + y } else { rest }));
    }
    let what = format!("unsupported operand types for %: {} and {}", a.kind(), b.kind());
    Err(Error::new(ErrorKind::InvalidOperation, what))
}

fn is_number(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Number | ValueKind::Bool)
}

fn whole(value: &Value) -> Option<i128> {
    Some(value).filter(|v| is_number(v) && !is_float(v)).and_then(|v| i128::try_from(v.clone()).ok())
}

/// Python's `a + b`.
fn plus(state: &State, a: &Value, b: &Value) -> Result<Value, Error> {
    if let (Some(left), Some(right)) = (a.as_str(), b.as_str()) {
        state.consume_fuel(((left.len() + right.len()) / 64) as u64)?;
        return Ok(match (a.is_safe(), b.is_safe()) {
            (false, false) => Value::from([left, right].concat()),
            (true, true) => Value::from_safe_string([left, right].concat()),
            (true, false) => Value::from_safe_string([left, &escaped(right)].concat()),
            (false, true) => Value::from_safe_string([&escaped(left), right].concat()),
        });
    }
    let is_list = |value: &Value| matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable);
    if is_list(a) && is_list(b) && a.is_tuple() == b.is_tuple() {
        // The engine charges for the list that comes back, but only then.
        let size = a.len().unwrap_or(0).saturating_add(b.len().unwrap_or(0));
        if state.fuel_levels().is_some_and(|(_, left)| size as u64 / 2 > left) {
            return Err(Error::from(ErrorKind::OutOfFuel));
        }
        let items: Vec<Value> = a.try_iter()?.checked().chain(b.try_iter()?.checked()).collect::<Result<_, _>>()?;
        return Ok(if a.is_tuple() { Value::from(Tuple::from(items)) } else { Value::from(items) });
    }
    if is_number(a) && is_number(b) {
        let sum = match (whole(a), whole(b)) {
            (Some(x), Some(y)) => x.checked_add(y).map(|sum| i64::try_from(sum).map_or(Value::from(sum), Value::from)),
            _ => Some(Value::from(number(a)? + number(b)?)),
        };
        return sum.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "a sum is too large"));
    }
    let what = format!("unsupported operand types for +: {} and {}", a.kind(), b.kind());
    Err(Error::new(ErrorKind::InvalidOperation, what))
}

fn is_float(value: &Value) -> bool {
    value.kind() == ValueKind::Number && !value.is_integer()
}

fn number(value: &Value) -> Result<f64, Error> {
    match value.kind() {
        ValueKind::Bool => Ok(f64::from(u8::from(value.is_true()))),
        _ => f64::try_from(value.clone()),
    }
}

/// The engine with everything a chat template may use.
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_recursion_limit(MAX_NESTING);
    environment.set_debug(false);
    environment.set_unknown_method_callback(methods::call);
    environment.set_formatter(|out, state, value| {
        if python::prints_differently(value) {
            let text = python_str(state, value)?;
            out.write_str(&text).map_err(Error::from)
        } else {
            write!(out, "{value}").map_err(Error::from)
        }
    });
    environment.add_filter("tojson", to_json);
    environment.add_filter("string", |state: &State, value: &Value| match value.as_str() {
        Some(_) => Ok(value.clone()),
        None => python_str(state, value).map(Value::from),
    });
    environment.add_filter("trim", trim);
    environment.add_filter("indent", indent);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("wordcount", |text: &str| {
        static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\w+").ok());
        WORD.as_ref().map_or(0, |word| word.find_iter(text).count())
    });
    for name in ["e", "escape", "forceescape"] {
        environment.add_filter(name, escape);
    }
    environment.add_test("sequence", |value: &Value| {
        let kind = value.kind();
        value.is_undefined() || matches!(kind, ValueKind::Seq | ValueKind::String | ValueKind::Map) || is_list(value)
    });
    environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    environment.add_test("callable", |value: &Value| {
        value.kind() == ValueKind::Plain || value.as_object().is_some_and(|o| o.type_name().ends_with("::Macro"))
    });
    environment.add_function(PLUS, plus);
    environment.add_function(PERCENT, percent);
    environment.add_function("dict", dict);
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    environment.add_function("cycler", |items: Rest<Value>| minijinja_contrib::globals::cycler(items.0));
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, "raise_exception").with_source(Raised(message)))
    });
    environment
}

/// Slices and concatenations are lists in Python; the engine has them as sized iterables.
fn is_list(value: &Value) -> bool {
    value.kind() == ValueKind::Iterable && value.len().is_some()
}

/// How much a value may be written into, by the fuel that is left: writing costs a quarter of a step a byte.
fn sink(state: &State) -> Sink {
    let left = state.fuel_levels().map_or(u64::MAX, |(_, left)| left);
    Sink::new(usize::try_from(left.saturating_mul(4)).unwrap_or(usize::MAX).min(MAX_OUTPUT))
}

fn pay(state: &State, sink: Sink) -> Result<String, Error> {
    let text = sink.into_text();
    state.consume_fuel(text.len() as u64 / 4)?;
    Ok(text)
}

fn python_str(state: &State, value: &Value) -> Result<String, Error> {
    let mut out = sink(state);
    python::write_str(value, &mut out)?;
    pay(state, out)
}

/// transformers' `tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
fn to_json(state: &State, value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let argument = |i: usize, name: &str| -> Result<Option<Value>, Error> {
        let value = match positional.get(i) {
            Some(value) => Some(value.clone()),
            None => kwargs.get::<Option<Value>>(name)?,
        };
        Ok(value.filter(|v| !v.is_none() && !v.is_undefined()))
    };
    let mut dumps = Dumps {
        ensure_ascii: argument(0, "ensure_ascii")?.is_some_and(|v| v.is_true()),
        sort_keys: argument(3, "sort_keys")?.is_some_and(|v| v.is_true()),
        ..Dumps::default()
    };
    if let Some(indent) = argument(1, "indent")? {
        dumps.indent = Some(match indent.as_str() {
            Some(text) => text.to_owned(),
            None => " ".repeat(usize::try_from(i64::try_from(indent)?.clamp(0, 64)).unwrap_or(0)),
        });
        dumps.item_separator = ",".into();
    }
    if let Some(separators) = argument(2, "separators")? {
        let pair: Vec<Value> = separators.try_iter()?.collect();
        let [item, key] = pair.as_slice() else {
            return Err(Error::new(ErrorKind::InvalidOperation, "separators are two texts"));
        };
        dumps.item_separator = item.to_string();
        dumps.key_separator = key.to_string();
    }
    kwargs.assert_all_used()?;
    let mut out = sink(state);
    dumps.write(value, &mut out)?;
    pay(state, out).map(Value::from)
}

/// Jinja's `trim(value, chars=None)`.
fn trim(state: &State, value: &Value, chars: Option<String>) -> Result<Value, Error> {
    let text = match value.as_str() {
        Some(text) => Cow::Borrowed(text),
        None => Cow::Owned(python_str(state, value)?),
    };
    Ok(Value::from(match chars {
        Some(set) => text.trim_matches(|c| set.contains(c)),
        None => text.trim_matches(methods::is_space),
    }))
}

/// Jinja's `indent(value, width=4, first=False, blank=False)`.
fn indent(state: &State, value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let argument = |i: usize, name: &str| match positional.get(i) {
        Some(value) => Ok(Some(value.clone())),
        None => kwargs.get::<Option<Value>>(name),
    };
    let flag = |value: Option<Value>| value.is_some_and(|value| value.is_true());
    let width = argument(0, "width")?.unwrap_or_else(|| Value::from(4));
    let (first, blank) = (flag(argument(1, "first")?), flag(argument(2, "blank")?));
    kwargs.assert_all_used()?;
    let text = match value.as_str() {
        Some(text) => Cow::Borrowed(text),
        None => Cow::Owned(python_str(state, value)?),
    };
    // One more line end keeps a last one that the text has.
    let text = format!("{text}\n");
    let lines = methods::lines(&text, false);
    let cells = match width.as_str() {
        Some(margin) => margin.len(),
        None => usize::try_from(i64::try_from(width.clone())?.max(0)).unwrap_or(0),
    };
    state.consume_fuel((lines.len().saturating_mul(cells).saturating_add(text.len()) / 16) as u64)?;
    let margin = match width.as_str() {
        Some(margin) => margin.to_owned(),
        None => " ".repeat(cells),
    };
    let mut out = String::with_capacity(text.len());
    for (i, line) in lines.into_iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if if i == 0 { first } else { blank || !line.is_empty() } {
            out.push_str(&margin);
        }
        out.push_str(line);
    }
    Ok(Value::from(out))
}

/// Jinja's `int(value, default=0, base=10)`: the default for what is not a number.
fn int(value: &Value, default: Option<Value>, base: Option<u32>) -> Value {
    let default = default.unwrap_or_else(|| Value::from(0));
    let whole = |x: f64| if x.is_finite() && x.abs() < 1e18 { Some(Value::from(x.trunc() as i64)) } else { None };
    match value.kind() {
        ValueKind::Bool => Value::from(i64::from(value.is_true())),
        ValueKind::Number if value.is_integer() => value.clone(),
        ValueKind::Number => f64::try_from(value.clone()).ok().and_then(whole).unwrap_or(default),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default().trim_matches(methods::is_space).replace('_', "");
            let base = base.filter(|base| (2..=36).contains(base)).unwrap_or(10);
            // Python takes the prefix that names the base.
            let lower = text.to_ascii_lowercase();
            let prefix = match base {
                2 => "0b",
                8 => "0o",
                16 => "0x",
                _ => "",
            };
            match i64::from_str_radix(lower.strip_prefix(prefix).unwrap_or(&lower), base) {
                Ok(number) => Value::from(number),
                Err(_) => text.parse().ok().and_then(whole).unwrap_or(default),
            }
        }
        _ => default,
    }
}

/// Jinja's `float(value, default=0.0)`.
fn float(value: &Value, default: Option<Value>) -> Value {
    let number = match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::String => value.as_str().unwrap_or_default().trim_matches(methods::is_space).parse().ok(),
        _ => None,
    };
    number.map(Value::from).unwrap_or_else(|| default.unwrap_or_else(|| Value::from(0.0)))
}

/// HTML as markupsafe escapes it.
fn escape(state: &State, value: &Value) -> Result<Value, Error> {
    if value.is_safe() {
        return Ok(value.clone());
    }
    let text = python_str(state, value)?;
    state.consume_fuel(text.len() as u64 / 8)?;
    Ok(Value::from_safe_string(escaped(&text)))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Python's `dict(mapping_or_pairs=(), **entries)`.
fn dict(first: Option<Value>, more: Kwargs) -> Result<Value, Error> {
    let mut entries: Vec<(Value, Value)> = Vec::new();
    if let Some(first) = first {
        let is_map = first.kind() == ValueKind::Map;
        for item in first.try_iter()?.checked() {
            let item = item?;
            entries.push(if is_map {
                let value = first.get_item(&item)?;
                (item, value)
            } else {
                (item.get_item_by_index(0)?, item.get_item_by_index(1)?)
            });
        }
    }
    for name in more.args() {
        entries.push((Value::from(name), more.get(name)?));
    }
    Ok(Value::from_pairs(entries))
}
