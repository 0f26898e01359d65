//! What can go wrong, as the C face reports it.

use std::fmt;

/// The kind of a failure; its number is the return code of the C face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Kind {
    /// A vocabulary or a template that cannot be used.
    Unusable = 1,
    /// Text, ids or JSON of a request that cannot be used.
    Input = 2,
    /// A template ran out of its step, memory or output budget.
    Budget = 3,
    /// A fault of this library or of one below it.
    Internal = 4,
}

/// A failure: its kind, and a sentence without paths or pointers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub kind: Kind,
    /// The sentence.
    pub message: String,
}

impl Failure {
    /// A vocabulary or template that cannot be used.
    pub fn unusable(message: impl Into<String>) -> Failure {
        Failure { kind: Kind::Unusable, message: message.into() }
    }

    /// Input that cannot be used.
    pub fn input(message: impl Into<String>) -> Failure {
        Failure { kind: Kind::Input, message: message.into() }
    }

    /// A spent budget.
    pub fn budget(message: impl Into<String>) -> Failure {
        Failure { kind: Kind::Budget, message: message.into() }
    }

    /// A fault.
    pub fn internal(message: impl Into<String>) -> Failure {
        Failure { kind: Kind::Internal, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The result of everything that can fail here.
pub type Result<T> = std::result::Result<T, Failure>;
