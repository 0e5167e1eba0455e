//! Values as JSON, and JSON as values.

use std::fmt::Write;

use serde_json::Value as Json;

use super::{Brought, Call, Function, function};
use crate::Error;
use crate::value::Value;
use crate::work::Work;

pub(super) const FUNCTIONS: &[Function] = &[
    function("toJSON", (1, 1), |call| written(call, Form { escapes: true, indents: false })),
    function("toJson", (1, 1), |call| written(call, Form { escapes: true, indents: false })),
    function("mustToJSON", (1, 1), |call| written(call, Form { escapes: true, indents: false })),
    function("toRawJSON", (1, 1), |call| written(call, Form { escapes: false, indents: false })),
    function("toRawJson", (1, 1), |call| written(call, Form { escapes: false, indents: false })),
    function("mustToRawJSON", (1, 1), |call| {
        written(call, Form { escapes: false, indents: false })
    }),
    function("toPrettyJSON", (1, 1), |call| written(call, Form { escapes: true, indents: true })),
    function("toPrettyJson", (1, 1), |call| written(call, Form { escapes: true, indents: true })),
    function("mustToPrettyJSON", (1, 1), |call| {
        written(call, Form { escapes: true, indents: true })
    }),
    function("fromJSON", (1, 1), |call| Ok(read(call)?.unwrap_or(Value::Nil))),
    function("fromJson", (1, 1), |call| Ok(read(call)?.unwrap_or(Value::Nil))),
    function("mustFromJSON", (1, 1), |call| {
        let read = read(call)?;
        read.ok_or_else(|| call.failed("the text is no JSON"))
    }),
];

fn read(call: &mut Call<'_>) -> Result<Option<Value>, Error> {
    let text = call.text(0)?;
    // A value takes some bytes of its text at least.
    call.work.steps(text.len() / 2)?;
    Ok(serde_json::from_str::<Json>(&text).ok().map(Value::from))
}

/// How JSON is written.
#[derive(Clone, Copy)]
struct Form {
    /// Whether what means something in a page is escaped.
    escapes: bool,
    indents: bool,
}

fn written(call: &mut Call<'_>, form: Form) -> Brought {
    let value = call.value(0);
    let mut text = String::new();
    write(&value, form, 0, &mut text, call.work)?;
    call.made(text)
}

fn write(
    value: &Value,
    form: Form,
    depth: usize,
    text: &mut String,
    work: &mut Work,
) -> Result<(), Error> {
    work.steps(1)?;
    let line = |text: &mut String, work: &mut Work, depth: usize| {
        if !form.indents {
            return Ok(());
        }
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
        work.bytes(2 * depth)
    };
    match value {
        Value::Nil => *text += "null",
        Value::Bool(is_true) => *text += if *is_true { "true" } else { "false" },
        Value::Whole(number) => {
            let _ = write!(text, "{number}");
        }
        Value::Float(number) => write_float(*number, text),
        Value::Text(string) => write_text(string, form, text, work)?,
        Value::Time(time) => {
            let _ = write!(text, "\"{}\"", time.strftime("%Y-%m-%dT%H:%M:%S%.f%:z"));
        }
        Value::List(list) if list.inside.is_empty() => *text += "[]",
        Value::Map(map) if map.inside.is_empty() => *text += "{}",
        Value::List(list) => {
            for (at, value) in list.inside.iter().enumerate() {
                text.push(if at == 0 { '[' } else { ',' });
                line(text, work, depth + 1)?;
                write(value, form, depth + 1, text, work)?;
            }
            line(text, work, depth)?;
            text.push(']');
        }
        Value::Map(map) => {
            for (at, (name, value)) in map.inside.iter().enumerate() {
                text.push(if at == 0 { '{' } else { ',' });
                line(text, work, depth + 1)?;
                write_text(name, form, text, work)?;
                *text += if form.indents { ": " } else { ":" };
                write(value, form, depth + 1, text, work)?;
            }
            line(text, work, depth)?;
            text.push('}');
        }
    }
    Ok(())
}

/// A number as Go writes it in JSON: with an exponent where it is very large or small.
fn write_float(number: f64, text: &mut String) {
    let magnitude = number.abs();
    if !number.is_finite() {
        *text += "null";
    } else if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let exponential = format!("{number:e}");
        let (digits, exponent) = exponential.split_once('e').unwrap_or((&exponential, "0"));
        let sign = if exponent.starts_with('-') { "" } else { "+" };
        let _ = write!(text, "{digits}e{sign}{exponent}");
    } else {
        let _ = write!(text, "{number}");
    }
}

fn write_text(string: &str, form: Form, text: &mut String, work: &mut Work) -> Result<(), Error> {
    work.bytes(2 * string.len())?;
    text.push('"');
    for c in string.chars() {
        match c {
            '"' | '\\' => {
                text.push('\\');
                text.push(c);
            }
            '\n' => *text += "\\n",
            '\r' => *text += "\\r",
            '\t' => *text += "\\t",
            _ if c < ' '
                || matches!(c, '\u{2028}' | '\u{2029}')
                || form.escapes && matches!(c, '<' | '>' | '&') =>
            {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            _ => text.push(c),
        }
    }
    text.push('"');
    Ok(())
}
