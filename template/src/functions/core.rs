//! The functions of Go's templates.

use std::cmp::Ordering;
use std::fmt::Write;

use super::{ANY, Body, Brought, Call, Function, function};
use crate::Error;
use crate::format::{self, NO_VALUE};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "and", arguments: (1, ANY), body: Body::And },
    Function { name: "or", arguments: (1, ANY), body: Body::Or },
    function("not", (1, 1), |call| Ok(Value::Bool(!call.value(0).is_true()))),
    function("eq", (2, ANY), |call| {
        let mut others = call.values[1..].iter();
        let mut is_equal = false;
        while let Some(other) = others.next().filter(|_| !is_equal) {
            is_equal = equal(call, &call.values[0], other)?;
        }
        Ok(Value::Bool(is_equal))
    }),
    function("ne", (2, 2), |call| Ok(Value::Bool(!equal(call, &call.values[0], &call.values[1])?))),
    function("lt", (2, 2), |call| compared(call, Ordering::is_lt)),
    function("le", (2, 2), |call| compared(call, Ordering::is_le)),
    function("gt", (2, 2), |call| compared(call, Ordering::is_gt)),
    function("ge", (2, 2), |call| compared(call, Ordering::is_ge)),
    function("len", (1, 1), |call| {
        let length = match &call.values[0] {
            Value::Text(text) => text.len(),
            Value::List(list) => list.inside.len(),
            Value::Map(map) => map.inside.len(),
            _ => return Err(call.wrong(0, "text, a list or a map")),
        };
        Ok(Value::Whole(i64::try_from(length).unwrap_or(i64::MAX)))
    }),
    function("index", (1, ANY), index),
    function("slice", (1, 4), slice),
    function("print", (0, ANY), |call| {
        let text = format::print(&call.values, call.work)?;
        call.made(text)
    }),
    function("println", (0, ANY), |call| {
        let mut text = String::new();
        for at in 0..call.count() {
            if at > 0 {
                text.push(' ');
            }
            text += &call.printed(at)?;
        }
        text.push('\n');
        call.made(text)
    }),
    function("printf", (1, ANY), |call| {
        let format = call.text(0)?;
        let text = format::printf(&format, &call.values[1..], call.work)?;
        call.made(text)
    }),
    function("html", (0, ANY), |call| escaped(call, html)),
    function("js", (0, ANY), |call| escaped(call, script)),
    function("urlquery", (0, ANY), |call| {
        escaped(call, |text| form_urlencoded::byte_serialize(text.as_bytes()).collect())
    }),
];

/// Whether two values are equal, as far as Go compares them.
fn equal(call: &Call<'_>, first: &Value, second: &Value) -> Result<bool, Error> {
    Ok(match (first, second) {
        (Value::List(_) | Value::Map(_), _) => return Err(call.wrong(0, "to be compared")),
        (_, Value::List(_) | Value::Map(_)) => return Err(call.wrong(1, "to be compared")),
        (Value::Nil, Value::Nil) => true,
        (Value::Nil, _) | (_, Value::Nil) => false,
        (Value::Bool(first), Value::Bool(second)) => first == second,
        (Value::Time(first), Value::Time(second)) => first == second,
        _ => order(call, first, second)? == Some(Ordering::Equal),
    })
}

/// The order of two values of one type. Go knows none between a whole number and one with a
/// fraction.
fn order(call: &Call<'_>, first: &Value, second: &Value) -> Result<Option<Ordering>, Error> {
    Ok(match (first, second) {
        (Value::Whole(first), Value::Whole(second)) => Some(first.cmp(second)),
        (Value::Float(first), Value::Float(second)) => first.partial_cmp(second),
        (Value::Text(first), Value::Text(second)) => Some(first.cmp(second)),
        _ => {
            let (first, second) = (first.type_name(), second.type_name());
            return Err(call.failed(format!("{first} and {second} cannot be compared")));
        }
    })
}

fn compared(call: &mut Call<'_>, holds: fn(Ordering) -> bool) -> Brought {
    let order = order(call, &call.values[0], &call.values[1])?;
    Ok(Value::Bool(order.is_some_and(holds)))
}

/// What stands at places inside one another.
fn index(call: &mut Call<'_>) -> Brought {
    let mut value = call.value(0);
    for at in 1..call.count() {
        value = match &value {
            Value::Map(map) => {
                let name = call.text(at)?;
                map.inside.get(&name).cloned().unwrap_or(Value::Nil)
            }
            Value::List(list) => {
                let place = call.whole(at)?;
                let element = usize::try_from(place).ok().and_then(|at| list.inside.get(at));
                let length = list.inside.len();
                let outside = || call.failed(format!("{place} is outside of {length} elements"));
                element.cloned().ok_or_else(outside)?
            }
            Value::Text(text) => {
                let place = call.whole(at)?;
                let byte = usize::try_from(place).ok().and_then(|at| text.as_bytes().get(at));
                let outside = || call.failed(format!("{place} is outside of {} bytes", text.len()));
                Value::Whole(i64::from(*byte.ok_or_else(outside)?))
            }
            other => {
                let text = format!("a {} has no elements", other.type_name());
                return Err(call.failed(text));
            }
        };
    }
    Ok(value)
}

/// A part of a text or a list.
fn slice(call: &mut Call<'_>) -> Brought {
    let length = match &call.values[0] {
        Value::Text(text) => text.len(),
        Value::List(list) => list.inside.len(),
        _ => return Err(call.wrong(0, "text or a list")),
    };
    let begin = if call.count() > 1 { call.size(1)? } else { 0 };
    let end = if call.count() > 2 { call.size(2)? } else { length };
    if begin > end || end > length {
        return Err(call.failed(format!("{begin} to {end} is outside of 0 to {length}")));
    }
    match call.value(0) {
        Value::Text(text) => {
            let part = String::from_utf8_lossy(&text.as_bytes()[begin..end]).into_owned();
            call.made(part)
        }
        _ => {
            let list = call.list(0)?;
            call.made_list(list[begin..end].to_vec())
        }
    }
}

fn escaped(call: &mut Call<'_>, escape: impl Fn(&str) -> String) -> Brought {
    let text = match call.values.as_slice() {
        [Value::Nil] => NO_VALUE.to_owned(),
        values => format::print(values, call.work)?,
    };
    call.made(escape(&text))
}

fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => escaped += "&#34;",
            '\'' => escaped += "&#39;",
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '\0' => escaped.push('\u{fffd}'),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// A text as it stands in a string of JavaScript.
fn script(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '<' | '>' | '&' | '=' => {
                let _ = write!(escaped, "\\u{:04X}", u32::from(c));
            }
            _ if format::is_printed(c) => escaped.push(c),
            _ => {
                let _ = write!(escaped, "\\u{:04X}", u32::from(c));
            }
        }
    }
    escaped
}
