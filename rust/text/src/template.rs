//! Chat templates, rendered as transformers renders them: Jinja with trim_blocks and lstrip_blocks, loop controls, the
//! `generation` block, an immutable sandbox, and Python's way to print values.

use std::borrow::Cow;
use std::collections::BTreeMap;

use minijinja::machinery;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};

use crate::engine::{environment, Raised, MAX_OUTPUT};
use crate::failure::{Failure, Result};
use crate::program::{add_guards, Program};
use crate::strftime::strftime;
use crate::tokenizer::Tokenizer;

/// Steps that every rendering may take; one step also pays for 64 bytes of data made on the way.
const BASE_FUEL: u64 = 4_000_000;
/// Further steps for each byte of input.
const FUEL_PER_BYTE: u64 = 8;
/// Steps that no rendering may exceed.
const MAX_FUEL: u64 = 8_000_000;

/// A parsed template. Shared by every thread.
pub struct Template {
    environment: Environment<'static>,
    program: Program,
    bos: String,
    eos: String,
}

/// What a rendering gets.
#[derive(Clone, Copy, Default)]
pub struct Input<'a> {
    /// A JSON array of messages.
    pub messages: &'a str,
    /// A JSON array of tools, or empty.
    pub tools: &'a str,
    /// A JSON object of further variables, or empty.
    pub extra: &'a str,
    /// Whether the answer's beginning is added.
    pub add_generation_prompt: bool,
    /// For `strftime_now`.
    pub now_unix_s: i64,
    /// Marks the special tokens that messages and tools spell as text (see `literal`).
    pub literal: Option<&'a Tokenizer>,
}

impl Template {
    /// Parses. `bos` and `eos` are what the template sees as `bos_token` and `eos_token`; empty ones are undefined.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Template> {
        let program = Program::compile(plain_source(source))?;
        Ok(Template { environment: environment(), program, bos: bos.to_owned(), eos: eos.to_owned() })
    }

    /// Renders.
    pub fn render(&self, input: &Input) -> Result<String> {
        let context = self.context(input)?;
        let bytes = (input.messages.len() + input.tools.len() + input.extra.len()) as u64;
        let fuel = BASE_FUEL.saturating_add(bytes.saturating_mul(FUEL_PER_BYTE)).min(MAX_FUEL);
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(fuel));
        let now = input.now_unix_s;
        environment.add_function("strftime_now", move |format: &str| strftime(format, now));
        add_guards(&mut environment, bytes as usize);
        let mut text = String::new();
        let mut out = machinery::make_string_output(&mut text);
        machinery::eval(
            &environment,
            self.program.instructions(),
            context,
            &BTreeMap::new(),
            &mut out,
            AutoEscape::None,
        )
        .map_err(|error| failure(&error))?;
        if text.len() > MAX_OUTPUT {
            return Err(Failure::budget(format!("the chat template wrote more than {MAX_OUTPUT} bytes")));
        }
        Ok(text)
    }

    fn context(&self, input: &Input) -> Result<Value> {
        let mut variables: Vec<(String, Value)> = Vec::new();
        for (name, text) in [("bos_token", &self.bos), ("eos_token", &self.eos)] {
            if !text.is_empty() {
                variables.push((name.to_owned(), Value::from(text.as_str())));
            }
        }
        variables.push(("messages".into(), messages(input.messages, input.literal)?));
        let tools = if input.tools.is_empty() {
            Value::from(())
        } else {
            let mut tools = json("tools", input.tools)?;
            mark(&mut tools.0, input.literal);
            tools.into()
        };
        variables.push(("tools".into(), tools));
        variables.push(("documents".into(), Value::from(())));
        variables.push(("add_generation_prompt".into(), Value::from(input.add_generation_prompt)));
        if !input.extra.is_empty() {
            match json("variables", input.extra)?.0 {
                serde_json::Value::Object(extra) => {
                    variables.extend(extra.into_iter().map(|(name, value)| (name, Value::from(Json(value)))));
                }
                _ => return Err(Failure::input("the template's variables are not a JSON object")),
            }
        }
        Ok(Value::from_pairs(variables))
    }
}

/// Line ends as Jinja reads them, and `{% generation %}` (transformers' mark of what the assistant said, which changes
/// nothing in the text) as the plain scope that it is.
fn plain_source(source: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = String::with_capacity(source.len());
    let mut rest = source.as_str();
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at + 2);
        out.push_str(before);
        rest = tag;
        let Some(end) = tag.find("%}") else {
            break;
        };
        let word = tag[..end].trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+');
        let replacement = match word {
            "generation" => "with",
            "endgeneration" => "endwith",
            _ => continue,
        };
        out.push_str(&tag[..end].replacen(word, replacement, 1));
        rest = &tag[end..];
    }
    out.push_str(rest);
    out
}

/// A JSON document of a request.
struct Json(serde_json::Value);

fn json(what: &str, text: &str) -> Result<Json> {
    serde_json::from_str(text).map(Json).map_err(|e| Failure::input(format!("{what}: not valid JSON ({e})")))
}

impl From<Json> for Value {
    fn from(json: Json) -> Value {
        use serde_json::Value as J;
        match json.0 {
            J::Null => Value::from(()),
            J::Bool(value) => Value::from(value),
            J::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Value::from(value),
                (None, Some(value)) => Value::from(value),
                (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
            },
            J::String(text) => Value::from(text),
            J::Array(items) => items.into_iter().map(|item| Value::from(Json(item))).collect::<Vec<Value>>().into(),
            J::Object(entries) => {
                Value::from_pairs(entries.into_iter().map(|(key, value)| (key, Value::from(Json(value)))))
            }
        }
    }
}

/// Marks the special tokens in all texts of a document. Keys are the names of fields.
fn mark(value: &mut serde_json::Value, literal: Option<&Tokenizer>) {
    let Some(tokenizer) = literal else {
        return;
    };
    match value {
        serde_json::Value::String(text) => {
            if let Cow::Owned(marked) = tokenizer.literal(text) {
                *text = marked;
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| mark(item, literal)),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(|field| mark(field, literal)),
        _ => {}
    }
}

/// The messages as transformers hands them on: keys that are null are absent, and reasoning is found under each of the
/// names that templates read.
fn messages(text: &str, literal: Option<&Tokenizer>) -> Result<Value> {
    const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];
    let serde_json::Value::Array(list) = json("messages", text)?.0 else {
        return Err(Failure::input("messages: not a JSON array"));
    };
    let mut out = Vec::with_capacity(list.len());
    for (i, message) in list.into_iter().enumerate() {
        let serde_json::Value::Object(mut message) = message else {
            return Err(Failure::input(format!("messages[{i}]: not a JSON object")));
        };
        message.retain(|_, value| !value.is_null());
        if let Some(reasoning) = REASONING.iter().find_map(|name| message.get(*name)).cloned() {
            if !message.contains_key("thinking") {
                message.shift_insert(0, "thinking".into(), reasoning.clone());
            }
            message.insert("reasoning_content".into(), reasoning);
        }
        let mut message = serde_json::Value::Object(message);
        mark(&mut message, literal);
        out.push(Value::from(Json(message)));
    }
    Ok(Value::from(out))
}

/// What a failed rendering means: the template's own complaint, a spent budget, or input it cannot use.
fn failure(error: &Error) -> Failure {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(Raised(message)) = current.downcast_ref::<Raised>() {
            return Failure::input(message.clone());
        }
        if let Some(engine) = current.downcast_ref::<Error>() {
            if engine.kind() == ErrorKind::OutOfFuel {
                return Failure::budget("the chat template did not finish within its budget of steps and memory");
            }
        }
        cause = current.source();
    }
    Failure::input(format!("the chat template refused the messages: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, messages: &str) -> Result<String> {
        Template::new(source, "<s>", "</s>")?.render(&Input { messages, ..Input::default() })
    }

    #[test]
    fn plain() {
        assert_eq!(render("a{{ 1 }}{{ messages|length }}{{ bos_token }}", "[{}]").unwrap(), "a11<s>");
    }
}
