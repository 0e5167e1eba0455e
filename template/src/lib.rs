//! Go's text templates over JSON, as the ntfy dialect offers them to those who publish: webhooks
//! become messages. No I/O, no runtime.
//!
//! Whoever publishes writes the template, so everything has a bound: the text of a template, how
//! deep it is nested, and the work of filling it in, which is counted in steps and not in time, so
//! that a template which is good on one machine is good on all. Nothing panics, whatever the
//! template and the data are.
//!
//! - `lexer`, `parser`, `tree`: from a text to what it means
//! - `evaluate`: the tree over data; `work`: what is left that it may cost
//! - `value`: what a template computes with; `format`: how Go prints it
//! - `functions`: those of Go's templates, and those that the dialect adds
//!
//! What Go does where this differs: named templates inside a template (`define`, `block`,
//! `template`) and `call` are refused, as in the dialect; there are no methods, since JSON has
//! none.

mod evaluate;
mod format;
mod functions;
mod lexer;
pub mod limits;
mod parser;
mod tree;
mod value;
mod work;

use std::fmt;

use serde_json::Value as Json;

use crate::tree::Tree;
pub use crate::value::Data;

/// Why a template brings no text. Each has a sentence that may quote the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// It is no template: where, and why.
    Invalid(String),
    /// It uses what is refused on purpose.
    Disallowed(String),
    /// It cannot be filled in with this data, or says so itself.
    Failed(String),
    /// Filling it in takes more work than it may.
    Exhausted,
    /// Its text, or the text that it makes, is too long: its bytes and the limit are in the
    /// sentence.
    TooLong(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(text)
            | Self::Disallowed(text)
            | Self::Failed(text)
            | Self::TooLong(text) => f.write_str(text),
            Self::Exhausted => {
                write!(f, "takes more than {} steps", limits::STEPS_MAX)
            }
        }
    }
}

impl std::error::Error for Error {}

/// A template that has been read.
#[derive(Debug)]
pub struct Template(Tree);

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// That it is malformed, uses what is refused, or is longer than
    /// [`limits::TEMPLATE_BYTES_MAX`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > limits::TEMPLATE_BYTES_MAX {
            return Err(Error::TooLong(format!(
                "is {} bytes long, limit is {}",
                text.len(),
                limits::TEMPLATE_BYTES_MAX
            )));
        }
        parser::parse(text).map(Self)
    }

    /// Fills it in: at most `bytes_max` bytes of text.
    ///
    /// # Errors
    ///
    /// That the data does not fit, that it takes too much work, or that the text becomes too long.
    pub fn fill_in(&self, data: &Data, bytes_max: usize) -> Result<String, Error> {
        evaluate::evaluate(&self.0, &data.0, bytes_max)
    }
}

impl From<Json> for Data {
    fn from(json: Json) -> Self {
        Self(json.into())
    }
}
