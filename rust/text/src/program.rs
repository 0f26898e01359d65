//! A compiled chat template that keeps to its budget.
//!
//! The engine counts fuel for steps and bytes, which leaves three ways out: values that share their parts (a list of the
//! same list twice, thirty times over, is small in memory and endless to compare or print), values nested or made lazily
//! without end (the machine's stack ends first), and source nested so deeply that compiling it ends the stack. So the
//! compiled program gets guards: whatever is stored in a variable is walked once, within a limit on its size as a tree and
//! on its depth, and a lazy sequence becomes a list; operators that walk their operands pay for the walk. Compiling runs
//! on a stack that the longest source cannot end.

use std::thread;
use std::time::{Duration, Instant};

use minijinja::machinery::{parse, tokenize, CodeGenerator, Instruction, Instructions, Token};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, State, Value};
use self_cell::self_cell;

use crate::engine::{PERCENT, PLUS};
use crate::failure::{Failure, Result};

/// What errors call the template.
const NAME: &str = "chat";
/// Longest source, in bytes. The longest that are published have some 30,000.
const MAX_SOURCE: usize = 256 << 10;
/// Most words and signs in one tag. The engine's time to compile a tag goes by the square of them.
const MAX_TAG: usize = 4000;
/// Stack for compiling: 2 KiB for each byte of source. Only what is used is ever touched.
const COMPILE_STACK: usize = MAX_SOURCE * 2048;
/// Deepest nesting of a stored value.
const MAX_DEPTH: usize = 150;
/// Most nodes of a stored value beyond what the input itself may have.
const MAX_NODES: usize = 200_000;
/// No rendering may take longer.
const MAX_TIME: Duration = Duration::from_secs(10);

// Names of the guards; no variable can have them.
const STORE: &str = "=";
const KEEP: &str = ".=";
const WEIGH: &str = "==";
const EACH: &str = "for";

self_cell!(
    struct Compiled {
        owner: String,
        #[covariant]
        dependent: Instructions,
    }
);

/// A compiled template and its source.
pub struct Program(Compiled);

impl Program {
    /// Parses and compiles.
    pub fn compile(source: String) -> Result<Program> {
        if source.len() > MAX_SOURCE {
            return Err(Failure::unusable(format!("a chat template of {} bytes is too long", source.len())));
        }
        let work = move || {
            Compiled::try_new(source, |source| instructions(source))
                .map(Program)
                .map_err(|e| Failure::unusable(format!("the chat template does not parse: {e}")))
        };
        thread::Builder::new()
            .stack_size(COMPILE_STACK)
            .spawn(work)
            .map_err(|_| Failure::internal("no thread to compile the chat template on"))?
            .join()
            .map_err(|_| Failure::internal("compiling the chat template failed"))?
    }

    /// The program.
    pub fn instructions(&self) -> &Instructions<'_> {
        self.0.borrow_dependent()
    }
}

fn instructions(source: &str) -> std::result::Result<Instructions<'_>, Error> {
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    let mut tag = 0;
    for token in tokenize(source, false, syntax.clone()) {
        tag = match token?.0 {
            Token::TemplateData(_) | Token::VariableStart | Token::BlockStart => 0,
            _ => tag + 1,
        };
        if tag > MAX_TAG {
            return Err(Error::new(ErrorKind::SyntaxError, "a tag is too long"));
        }
    }
    let tree = parse(source, NAME, syntax)?;
    let mut generator = CodeGenerator::new(NAME, source);
    generator.compile_stmt(&tree);
    Ok(guarded(&generator.finish().0, source))
}

/// What stands before an instruction in the guarded program. Each takes the value on top of the stack and puts it back.
fn guards(instruction: &Instruction) -> &'static [Instruction<'static>] {
    const STORED: &[Instruction] = &[Instruction::CallFunction(STORE, Some(1))];
    // A namespace lies on top of what is set in it.
    const KEPT: &[Instruction] = &[Instruction::Swap, Instruction::CallFunction(KEEP, Some(1)), Instruction::Swap];
    const WEIGHED: &[Instruction] = &[Instruction::CallFunction(WEIGH, Some(1))];
    const LOOPED: &[Instruction] = &[Instruction::CallFunction(EACH, Some(1))];
    match instruction {
        Instruction::StoreLocal(_) => STORED,
        Instruction::SetAttr(_) => KEPT,
        Instruction::PushLoop(_) => LOOPED,
        Instruction::Eq
        | Instruction::Ne
        | Instruction::Gt
        | Instruction::Gte
        | Instruction::Lt
        | Instruction::Lte
        | Instruction::In
        | Instruction::StringConcat
        | Instruction::CompareAndPreserve(_) => WEIGHED,
        _ => &[],
    }
}

/// The program with its guards, and `+` and `%` as calls of our own functions: the engine's adds lists without making
/// them, does not escape what is added to a safe text, and knows `%` of numbers only.
fn guarded<'s>(plain: &Instructions<'s>, source: &'s str) -> Instructions<'s> {
    let all: Vec<&Instruction<'s>> = (0..).map_while(|at| plain.get(at)).collect();
    // Where each instruction, with its guards, begins; a jump may also lead past the last one.
    let mut begins = Vec::with_capacity(all.len() + 1);
    let mut next = 0u32;
    for instruction in &all {
        begins.push(next);
        next += guards(instruction).len() as u32 + 1;
    }
    begins.push(next);
    let moved = |target: u32| begins.get(target as usize).copied().unwrap_or(target);
    let mut program = Instructions::new(NAME, source);
    for (at, instruction) in all.into_iter().enumerate() {
        let line = plain.get_line(at as u32).and_then(|line| u16::try_from(line).ok()).unwrap_or(0);
        for guard in guards(instruction) {
            program.add_with_line(guard.clone(), line);
        }
        let instruction = match instruction.clone() {
            Instruction::Add => Instruction::CallFunction(PLUS, Some(2)),
            Instruction::Rem => Instruction::CallFunction(PERCENT, Some(2)),
            Instruction::Iterate(target) => Instruction::Iterate(moved(target)),
            Instruction::Jump(target) => Instruction::Jump(moved(target)),
            Instruction::JumpIfFalse(target) => Instruction::JumpIfFalse(moved(target)),
            Instruction::JumpIfFalseOrPop(target) => Instruction::JumpIfFalseOrPop(moved(target)),
            Instruction::JumpIfTrueOrPop(target) => Instruction::JumpIfTrueOrPop(moved(target)),
            Instruction::BuildMacro(name, target, flags) => Instruction::BuildMacro(name, moved(target), flags),
            other => other,
        };
        program.add_with_line(instruction, line);
    }
    program
}

/// Gives the guards to an engine, for one rendering of input of that many bytes.
pub fn add_guards(environment: &mut Environment<'_>, input_bytes: usize) {
    let limits = Limits { nodes: MAX_NODES.saturating_add(input_bytes), end: Instant::now() + MAX_TIME };
    environment.add_function(STORE, move |state: &State, value: Value| limits.stored(state, value, false));
    environment.add_function(KEEP, move |state: &State, value: Value| limits.stored(state, value, true));
    environment.add_function(EACH, looped);
    environment.add_function(WEIGH, move |state: &State, value: Value| limits.weighed(state, value));
}

/// What a loop goes over: a text is its characters, counted, and nothing is an error, as in Python.
fn looped(state: &State, value: Value) -> std::result::Result<Value, Error> {
    if let Some(text) = value.as_str() {
        state.consume_fuel(text.len() as u64 / 4)?;
        let mut one = [0; 4];
        return Ok(text.chars().map(|c| Value::from(&*c.encode_utf8(&mut one))).collect::<Vec<Value>>().into());
    }
    if value.is_none() {
        return Err(Error::new(ErrorKind::InvalidOperation, "none is not iterable"));
    }
    Ok(value)
}

#[derive(Clone, Copy)]
struct Limits {
    nodes: usize,
    end: Instant,
}

impl Limits {
    /// A value on its way into a variable, or into a namespace.
    fn stored(&self, state: &State, value: Value, in_namespace: bool) -> std::result::Result<Value, Error> {
        if value.as_object().is_none() {
            return Ok(value);
        }
        self.walk(state, &value, in_namespace)?;
        // Slices, repeated and mapped sequences are made when they are looked at, each through the one before.
        if value.kind() == ValueKind::Iterable && value.len().is_some() {
            return value.try_iter()?.checked().collect::<std::result::Result<Vec<Value>, _>>().map(Value::from);
        }
        Ok(value)
    }

    /// An operand that is about to be compared, searched or written.
    fn weighed(&self, state: &State, value: Value) -> std::result::Result<Value, Error> {
        if value.as_object().is_some() {
            self.walk(state, &value, false)?;
        }
        Ok(value)
    }

    fn walk(&self, state: &State, value: &Value, in_namespace: bool) -> std::result::Result<(), Error> {
        if Instant::now() > self.end {
            return Err(Error::new(ErrorKind::OutOfFuel, "out of time"));
        }
        let mut left = self.nodes;
        walk(value, in_namespace, 0, &mut left)?;
        state.consume_fuel(((self.nodes - left) / 16) as u64)
    }
}

fn walk(value: &Value, in_namespace: bool, depth: usize, left: &mut usize) -> std::result::Result<(), Error> {
    let too_large = |what: &str| Error::new(ErrorKind::OutOfFuel, what.to_owned());
    *left = left.checked_sub(1).ok_or_else(|| too_large("a value has too many parts"))?;
    let Some(object) = value.as_object() else {
        return Ok(());
    };
    let is = |name: &str| object.type_name().ends_with(name);
    // What could hold the namespace that it is put into would never be freed.
    if (is("::Namespace") && (in_namespace || depth > 0)) || (is("::Macro") && in_namespace) {
        return Err(Error::new(ErrorKind::InvalidOperation, "a namespace or macro cannot be put into a value"));
    }
    if depth > MAX_DEPTH {
        return Err(too_large("a value is nested too deeply"));
    }
    match value.kind() {
        ValueKind::Map => {
            for key in value.try_iter()?.checked() {
                let item = value.get_item(&key?)?;
                walk(&item, in_namespace, depth + 1, left)?;
            }
        }
        ValueKind::Seq | ValueKind::Iterable if value.len().is_some() => {
            for item in value.try_iter()?.checked() {
                walk(&item?, in_namespace, depth + 1, left)?;
            }
        }
        _ => {}
    }
    Ok(())
}
