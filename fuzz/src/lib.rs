//! What the targets share: a mutator that knows JSON ([`json`]), and what has to hold of every plan ([`plans`]).

pub mod json;
pub mod plans;

use std::fmt::Display;

/// A message for a log: one line, and nothing that a terminal would obey.
pub fn one_line(message: impl Display) {
    let message = message.to_string();
    assert!(!message.contains(char::is_control), "{message:?}");
}
