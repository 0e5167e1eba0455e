//! Functions that take one value or another, or say what kind of value one is.

use super::{ANY, Brought, Call, Function, function, list};
use crate::Error;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function("default", (1, 2), |call| {
        let given = call.value(1);
        Ok(if given.is_true() { given } else { call.value(0) })
    }),
    function("empty", (1, 1), |call| Ok(Value::Bool(!call.values[0].is_true()))),
    function("coalesce", (0, ANY), |call| {
        Ok(call.values.iter().find(|value| value.is_true()).cloned().unwrap_or(Value::Nil))
    }),
    function("all", (0, ANY), |call| Ok(Value::Bool(call.values.iter().all(Value::is_true)))),
    function("any", (0, ANY), |call| Ok(Value::Bool(call.values.iter().any(Value::is_true)))),
    function("ternary", (3, 3), |call| match call.values[2] {
        Value::Bool(is_true) => Ok(call.value(usize::from(!is_true))),
        _ => Err(call.wrong(2, "true or false")),
    }),
    function("fail", (1, 1), |call| {
        let text = call.printed(0)?;
        Err(Error::Failed(text.to_string()))
    }),
    function("typeOf", (1, 1), |call| Ok(Value::text(call.values[0].type_name()))),
    function("typeIs", (2, 2), |call| is(call, Value::type_name)),
    function("typeIsLike", (2, 2), |call| is(call, Value::type_name)),
    function("kindOf", (1, 1), |call| Ok(Value::text(kind(&call.values[0])))),
    function("kindIs", (2, 2), |call| is(call, kind)),
    function("deepEqual", (2, 2), |call| {
        let (one, other) = (call.value(0), call.value(1));
        Ok(Value::Bool(list::is_same(call, &one, &other)?))
    }),
];

fn is(call: &mut Call<'_>, name: fn(&Value) -> &'static str) -> Brought {
    let wanted = call.text(0)?;
    Ok(Value::Bool(*wanted == *name(&call.values[1])))
}

/// What Go calls the kind of a value.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "invalid",
        Value::List(_) => "slice",
        Value::Map(_) => "map",
        Value::Time(_) => "struct",
        other => other.type_name(),
    }
}
