//! Functions on maps. None changes one: a map that is set is another one.

use std::rc::Rc;

use super::{ANY, Brought, Call, Function, function};
use crate::Error;
use crate::value::{Members, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    function("dict", (0, ANY), |call| {
        let mut members = Members::new();
        for at in (0..call.count()).step_by(2) {
            let name = call.printed(at)?;
            members.insert(
                name,
                if at + 1 < call.count() { call.value(at + 1) } else { Value::text("") },
            );
        }
        made(call, members)
    }),
    function("get", (2, 2), |call| {
        let name = call.text(1)?;
        let found = members(call, 0)?.get(&name).cloned();
        Ok(found.unwrap_or_else(|| Value::text("")))
    }),
    function("hasKey", (2, 2), |call| {
        let name = call.text(1)?;
        Ok(Value::Bool(members(call, 0)?.contains_key(&name)))
    }),
    function("set", (3, 3), |call| {
        let (name, value) = (call.text(1)?, call.value(2));
        let mut members = copied(call, 0)?;
        members.insert(name, value);
        made(call, members)
    }),
    function("unset", (2, 2), |call| {
        let name = call.text(1)?;
        let mut members = copied(call, 0)?;
        members.remove(&name);
        made(call, members)
    }),
    function("keys", (0, ANY), |call| {
        let mut names = Vec::new();
        for at in 0..call.count() {
            names.extend(copied(call, at)?.into_keys().map(Value::Text));
        }
        call.made_list(names)
    }),
    function("values", (1, 1), |call| {
        let values = copied(call, 0)?.into_values().collect();
        call.made_list(values)
    }),
    function("pluck", (1, ANY), |call| {
        let name = call.text(0)?;
        let mut found = Vec::new();
        for at in 1..call.count() {
            found.extend(members(call, at)?.get(&name).cloned());
        }
        call.made_list(found)
    }),
    function("pick", (1, ANY), |call| {
        let names = names(call)?;
        let mut members = copied(call, 0)?;
        call.work.steps(names.len().saturating_mul(members.len()) / 4)?;
        members.retain(|name, _| names.contains(name));
        made(call, members)
    }),
    function("omit", (1, ANY), |call| {
        let names = names(call)?;
        let mut members = copied(call, 0)?;
        for name in names {
            members.remove(&name);
        }
        made(call, members)
    }),
    function("dig", (3, ANY), |call| {
        let (last, default) = (call.count() - 1, call.value(call.count() - 2));
        let mut value = call.value(last);
        for at in 0..call.count() - 2 {
            let name = call.text(at)?;
            value = match &value {
                Value::Map(map) => match map.inside.get(&name) {
                    Some(value) => value.clone(),
                    None => return Ok(default),
                },
                _ if at == 0 => return Err(call.wrong(last, "a map")),
                _ => return Err(call.failed(format!("what has no members is asked for {name}"))),
            };
        }
        Ok(value)
    }),
];

fn members<'c>(call: &'c Call<'_>, at: usize) -> Result<&'c Members, Error> {
    match call.values.get(at) {
        Some(Value::Map(map)) => Ok(&map.inside),
        _ => Err(call.wrong(at, "a map")),
    }
}

/// The members of a map, to be changed. They are paid for.
fn copied(call: &mut Call<'_>, at: usize) -> Result<Members, Error> {
    let copied = members(call, at)?.clone();
    call.work.steps(2 * copied.len())?;
    Ok(copied)
}

fn made(call: &mut Call<'_>, members: Members) -> Brought {
    call.work.steps(members.len())?;
    Value::map(members)
}

fn names(call: &mut Call<'_>) -> Result<Vec<Rc<str>>, Error> {
    (1..call.count()).map(|at| call.text(at)).collect()
}
