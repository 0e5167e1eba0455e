//! What a template can call: the functions of Go's templates, and those that the dialect adds,
//! under the names and with the order of values that its users know from sprig.
//!
//! - `core`: Go's own
//! - `text`, `number`, `list`, `map`: what their names say; `choice`: one value or another, and
//!   what kind they are
//! - `json`, `coding`, `regex`: other ways to write or to read a text; `time`, `layout`: moments
//!   and how Go writes them

mod choice;
mod coding;
mod core;
mod json;
mod layout;
mod list;
mod map;
mod number;
mod regex;
mod text;
mod time;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::LazyLock;

use crate::Error;
use crate::format;
use crate::value::Value;
use crate::work::Work;

/// A function.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// How many values it takes, at least and at most.
    pub(crate) arguments: (usize, usize),
    pub(crate) body: Body,
}

/// What it does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body {
    /// The first value that is not true, or the last; what is behind it is not looked at.
    And,
    /// The first value that is true, or the last.
    Or,
    Of(fn(&mut Call<'_>) -> Brought),
}

/// What a function brings.
type Brought = Result<Value, Error>;

/// A function and how many values it takes.
const fn function(
    name: &'static str,
    arguments: (usize, usize),
    body: fn(&mut Call<'_>) -> Brought,
) -> Function {
    Function { name, arguments, body: Body::Of(body) }
}

/// As many values as there are.
const ANY: usize = usize::MAX;

/// The function of that name.
pub(crate) fn named(name: &str) -> Option<&'static Function> {
    static NAMED: LazyLock<HashMap<&str, &Function>> = LazyLock::new(|| {
        let tables = [
            core::FUNCTIONS,
            text::FUNCTIONS,
            number::FUNCTIONS,
            list::FUNCTIONS,
            map::FUNCTIONS,
            choice::FUNCTIONS,
            json::FUNCTIONS,
            coding::FUNCTIONS,
            regex::FUNCTIONS,
            time::FUNCTIONS,
        ];
        tables.into_iter().flatten().map(|function| (function.name, function)).collect()
    });
    NAMED.get(name).copied()
}

/// A call of a function, with as many values as it takes.
pub(crate) struct Call<'w> {
    pub(crate) name: &'static str,
    pub(crate) values: Vec<Value>,
    pub(crate) work: &'w mut Work,
}

impl Call<'_> {
    /// That the call cannot be done.
    fn failed(&self, text: impl AsRef<str>) -> Error {
        Error::Failed(format!("{}: {}", self.name, text.as_ref()))
    }

    fn wrong(&self, at: usize, wanted: &str) -> Error {
        let type_name = self.values.get(at).map_or("nothing", Value::type_name);
        self.failed(format!("value {} is {type_name}, not {wanted}", at + 1))
    }

    fn count(&self) -> usize {
        self.values.len()
    }

    fn value(&self, at: usize) -> Value {
        self.values.get(at).cloned().unwrap_or(Value::Nil)
    }

    /// A value that is a text.
    fn text(&mut self, at: usize) -> Result<Rc<str>, Error> {
        let Some(Value::Text(text)) = self.values.get(at) else {
            return Err(self.wrong(at, "text"));
        };
        let text = Rc::clone(text);
        self.work.bytes(text.len())?;
        Ok(text)
    }

    /// A value as text, whatever it is.
    fn printed(&mut self, at: usize) -> Result<Rc<str>, Error> {
        match self.value(at) {
            Value::Text(text) => Ok(text),
            other => Ok(format::plain(&other, self.work)?.into()),
        }
    }

    /// A value that is a whole number.
    fn whole(&self, at: usize) -> Result<i64, Error> {
        match self.values.get(at) {
            Some(Value::Whole(number)) => Ok(*number),
            // A number of JSON has no fraction if none was written.
            Some(Value::Float(number)) if number.fract() == 0.0 => Ok(number::whole_of(*number)),
            _ => Err(self.wrong(at, "a whole number")),
        }
    }

    /// A value that is how many of something there are.
    fn size(&self, at: usize) -> Result<usize, Error> {
        usize::try_from(self.whole(at)?).map_err(|_| self.wrong(at, "0 or above"))
    }

    /// The elements of a value that is a list. They are paid for.
    fn list(&mut self, at: usize) -> Result<Vec<Value>, Error> {
        let Some(Value::List(list)) = self.values.get(at) else {
            return Err(self.wrong(at, "a list"));
        };
        let list = list.inside.clone();
        self.work.steps(list.len())?;
        Ok(list)
    }

    /// A text that is made, and paid for.
    fn made(&mut self, text: impl Into<Rc<str>>) -> Brought {
        let text = text.into();
        self.work.bytes(text.len())?;
        Ok(Value::Text(text))
    }

    /// A list that is made, and paid for.
    fn made_list(&mut self, values: Vec<Value>) -> Brought {
        self.work.steps(values.len())?;
        Value::list(values)
    }

    /// A list of texts.
    fn made_texts<'t>(&mut self, texts: impl Iterator<Item = &'t str>) -> Brought {
        let mut values = Vec::new();
        for text in texts {
            self.work.steps(1)?;
            self.work.bytes(text.len())?;
            values.push(Value::text(text));
        }
        Value::list(values)
    }
}
