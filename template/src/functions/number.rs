//! Functions on numbers.

use rand::RngExt;

use super::{ANY, Brought, Call, Function, function};
use crate::Error;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function("atoi", (1, 1), |call| {
        let text = call.text(0)?;
        Ok(Value::Whole(text.parse().unwrap_or(0)))
    }),
    function("toDecimal", (1, 1), |call| {
        let text = call.printed(0)?;
        Ok(Value::Whole(i64::from_str_radix(&text, 8).unwrap_or(0)))
    }),
    function("int", (1, 1), |call| Ok(Value::Whole(whole(&call.values[0])))),
    function("int64", (1, 1), |call| Ok(Value::Whole(whole(&call.values[0])))),
    function("float64", (1, 1), |call| Ok(Value::Float(float(&call.values[0])))),
    function("add1", (1, 1), |call| Ok(Value::Whole(whole(&call.values[0]).wrapping_add(1)))),
    function("add", (0, ANY), |call| folded(call, i64::wrapping_add)),
    function("sub", (2, 2), |call| folded(call, i64::wrapping_sub)),
    function("mul", (1, ANY), |call| folded(call, i64::wrapping_mul)),
    function("div", (2, 2), |call| divided(call, i64::wrapping_div)),
    function("mod", (2, 2), |call| divided(call, i64::wrapping_rem)),
    function("max", (1, ANY), |call| folded(call, i64::max)),
    function("biggest", (1, ANY), |call| folded(call, i64::max)),
    function("min", (1, ANY), |call| folded(call, i64::min)),
    function("maxf", (1, ANY), |call| folded_floats(call, f64::max)),
    function("minf", (1, ANY), |call| folded_floats(call, f64::min)),
    function("ceil", (1, 1), |call| Ok(Value::Float(float(&call.values[0]).ceil()))),
    function("floor", (1, 1), |call| Ok(Value::Float(float(&call.values[0]).floor()))),
    function("round", (2, 3), |call| {
        let places = i32::try_from(call.whole(1)?.clamp(-300, 300)).unwrap_or(0);
        let up_from = if call.count() > 2 { float(&call.values[2]) } else { 0.5 };
        let power = 10_f64.powi(places);
        let scaled = float(&call.values[0]) * power;
        let rounded = if scaled.fract() >= up_from { scaled.ceil() } else { scaled.floor() };
        Ok(Value::Float(rounded / power))
    }),
    function("randInt", (2, 2), |call| {
        let (least, end) = (call.whole(0)?, call.whole(1)?);
        if least >= end {
            return Err(call.failed(format!("there is no number from {least} below {end}")));
        }
        Ok(Value::Whole(rand::rng().random_range(least..end)))
    }),
    function("until", (1, 1), |call| {
        let end = call.whole(0)?;
        counted(call, 0, end, if end < 0 { -1 } else { 1 })
    }),
    function("untilStep", (3, 3), |call| {
        let (begin, end, step) = (call.whole(0)?, call.whole(1)?, call.whole(2)?);
        counted(call, begin, end, step)
    }),
    function("seq", (0, 3), |call| {
        let numbers: Vec<i64> =
            (0..call.count()).map(|at| call.whole(at)).collect::<Result<_, _>>()?;
        let towards = |begin: i64, end: i64| if end < begin { -1 } else { 1 };
        let (begin, step, last) = match numbers.as_slice() {
            [] => return Ok(Value::text("")),
            [last] => (1, towards(1, *last), *last),
            [begin, last] => (*begin, towards(*begin, *last), *last),
            [begin, step, last, ..] => (*begin, *step, *last),
        };
        let end = last.saturating_add(step.signum());
        let list = counted(call, begin, end, step)?;
        let Value::List(list) = list else { return Ok(list) };
        let texts: Vec<String> =
            list.inside.iter().map(|number| whole(number).to_string()).collect();
        call.made(texts.join(" "))
    }),
];

/// A whole number out of anything, or 0.
pub(super) fn whole(value: &Value) -> i64 {
    match value {
        Value::Bool(is_true) => i64::from(*is_true),
        Value::Whole(number) => *number,
        Value::Float(number) => whole_of(*number),
        Value::Text(text) => text.trim().parse().unwrap_or(0),
        _ => 0,
    }
}

/// The whole part of a number, as far as one is large enough for it.
#[allow(clippy::cast_possible_truncation, reason = "it stops at the ends")]
pub(super) fn whole_of(number: f64) -> i64 {
    number as i64
}

/// A number out of anything, or 0.
#[allow(clippy::cast_precision_loss, reason = "as in the dialect")]
fn float(value: &Value) -> f64 {
    match value {
        Value::Bool(is_true) => f64::from(u8::from(*is_true)),
        Value::Whole(number) => *number as f64,
        Value::Float(number) => *number,
        Value::Text(text) => text.trim().parse().unwrap_or(0.0),
        _ => 0.0,
    }
}

#[allow(clippy::unnecessary_wraps, reason = "as every function")]
fn folded(call: &mut Call<'_>, fold: impl Fn(i64, i64) -> i64) -> Brought {
    Ok(Value::Whole(call.values.iter().map(whole).reduce(fold).unwrap_or(0)))
}

#[allow(clippy::unnecessary_wraps, reason = "as every function")]
fn folded_floats(call: &mut Call<'_>, fold: impl Fn(f64, f64) -> f64) -> Brought {
    Ok(Value::Float(call.values.iter().map(float).reduce(fold).unwrap_or(0.0)))
}

fn divided(call: &mut Call<'_>, divide: impl Fn(i64, i64) -> i64) -> Brought {
    let by = whole(&call.values[1]);
    if by == 0 {
        return Err(call.failed("is by zero"));
    }
    Ok(Value::Whole(divide(whole(&call.values[0]), by)))
}

/// The numbers from one up or down to another, which is not among them.
fn counted(call: &mut Call<'_>, begin: i64, end: i64, step: i64) -> Result<Value, Error> {
    let mut numbers = Vec::new();
    let mut number = begin;
    while step > 0 && number < end || step < 0 && number > end {
        call.work.steps(1)?;
        numbers.push(Value::Whole(number));
        let Some(next) = number.checked_add(step) else { break };
        number = next;
    }
    Value::list(numbers)
}
