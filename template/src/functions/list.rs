//! Functions on lists.

use super::{ANY, Brought, Call, Function, function};
use crate::Error;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function("list", (0, ANY), make),
    function("tuple", (0, ANY), make),
    function("toStrings", (1, 1), |call| {
        let texts = texts(call, 0)?;
        call.made_texts(texts.iter().map(String::as_str))
    }),
    function("join", (2, 2), |call| {
        let by = call.text(0)?;
        let texts = texts(call, 1)?;
        call.work.bytes(by.len().saturating_mul(texts.len()))?;
        call.made(texts.join(&by))
    }),
    function("sortAlpha", (1, 1), |call| {
        let mut texts = texts(call, 0)?;
        call.work.steps(16 * texts.len())?;
        texts.sort();
        call.made_texts(texts.iter().map(String::as_str))
    }),
    function("first", (1, 1), |call| element(call, |list| list.first().cloned())),
    function("mustFirst", (1, 1), |call| element(call, |list| list.first().cloned())),
    function("last", (1, 1), |call| element(call, |list| list.last().cloned())),
    function("mustLast", (1, 1), |call| element(call, |list| list.last().cloned())),
    function("rest", (1, 1), rest),
    function("mustRest", (1, 1), rest),
    function("initial", (1, 1), initial),
    function("mustInitial", (1, 1), initial),
    function("append", (2, 2), append),
    function("push", (2, 2), append),
    function("mustAppend", (2, 2), append),
    function("mustPush", (2, 2), append),
    function("prepend", (2, 2), prepend),
    function("mustPrepend", (2, 2), prepend),
    function("reverse", (1, 1), reverse),
    function("mustReverse", (1, 1), reverse),
    function("uniq", (1, 1), uniq),
    function("mustUniq", (1, 1), uniq),
    function("without", (1, ANY), without),
    function("mustWithout", (1, ANY), without),
    function("has", (2, 2), has),
    function("mustHas", (2, 2), has),
    function("compact", (1, 1), compact),
    function("mustCompact", (1, 1), compact),
    function("mustSlice", (1, 3), |call| {
        let begin = if call.count() > 1 { call.size(1)? } else { 0 };
        let list = call.list(0)?;
        let end = if call.count() > 2 { call.size(2)? } else { list.len() };
        let outside = || call.failed(format!("{begin} to {end} is outside of {}", list.len()));
        let part = list.get(begin..end).ok_or_else(outside)?.to_vec();
        call.made_list(part)
    }),
    function("concat", (0, ANY), |call| {
        let mut all = Vec::new();
        for at in 0..call.count() {
            all.append(&mut call.list(at)?);
        }
        call.made_list(all)
    }),
    function("chunk", (2, 2), chunk),
    function("mustChunk", (2, 2), chunk),
];

fn make(call: &mut Call<'_>) -> Brought {
    let values = std::mem::take(&mut call.values);
    call.made_list(values)
}

/// The elements of a list as texts, without those that are nil; a value that is no list is one.
fn texts(call: &mut Call<'_>, at: usize) -> Result<Vec<String>, Error> {
    let values = match call.value(at) {
        Value::List(list) => list.inside.clone(),
        Value::Nil => Vec::new(),
        other => vec![other],
    };
    let mut texts = Vec::new();
    for value in values {
        if !matches!(value, Value::Nil) {
            texts.push(crate::format::plain(&value, call.work)?);
        }
        call.work.steps(1)?;
    }
    Ok(texts)
}

fn element(call: &mut Call<'_>, which: impl Fn(&[Value]) -> Option<Value>) -> Brought {
    match &call.values[0] {
        Value::List(list) => Ok(which(&list.inside).unwrap_or(Value::Nil)),
        _ => Err(call.wrong(0, "a list")),
    }
}

fn rest(call: &mut Call<'_>) -> Brought {
    let list = call.list(0)?;
    call.made_list(list.get(1..).unwrap_or_default().to_vec())
}

fn initial(call: &mut Call<'_>) -> Brought {
    let mut list = call.list(0)?;
    list.pop();
    call.made_list(list)
}

fn append(call: &mut Call<'_>) -> Brought {
    let mut list = call.list(0)?;
    list.push(call.value(1));
    call.made_list(list)
}

fn prepend(call: &mut Call<'_>) -> Brought {
    let mut list = call.list(0)?;
    list.insert(0, call.value(1));
    call.made_list(list)
}

fn reverse(call: &mut Call<'_>) -> Brought {
    let mut list = call.list(0)?;
    list.reverse();
    call.made_list(list)
}

fn compact(call: &mut Call<'_>) -> Brought {
    let mut list = call.list(0)?;
    list.retain(Value::is_true);
    call.made_list(list)
}

fn uniq(call: &mut Call<'_>) -> Brought {
    let mut different: Vec<Value> = Vec::new();
    for value in call.list(0)? {
        if !holds(call, &different, &value)? {
            different.push(value);
        }
    }
    call.made_list(different)
}

fn without(call: &mut Call<'_>) -> Brought {
    let unwanted = call.values[1..].to_vec();
    let mut kept = Vec::new();
    for value in call.list(0)? {
        if !holds(call, &unwanted, &value)? {
            kept.push(value);
        }
    }
    call.made_list(kept)
}

fn has(call: &mut Call<'_>) -> Brought {
    let list = match &call.values[1] {
        Value::Nil => return Ok(Value::Bool(false)),
        _ => call.list(1)?,
    };
    let wanted = call.value(0);
    Ok(Value::Bool(holds(call, &list, &wanted)?))
}

fn holds(call: &mut Call<'_>, list: &[Value], wanted: &Value) -> Result<bool, Error> {
    for value in list {
        if is_same(call, value, wanted)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether two values are the same in all that is in them.
pub(super) fn is_same(call: &mut Call<'_>, one: &Value, other: &Value) -> Result<bool, Error> {
    call.work.steps(1)?;
    Ok(match (one, other) {
        (Value::Nil, Value::Nil) => true,
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Whole(one), Value::Whole(other)) => one == other,
        (Value::Float(one), Value::Float(other)) => one.total_cmp(other).is_eq(),
        (Value::Text(one), Value::Text(other)) => {
            call.work.bytes(one.len())?;
            one == other
        }
        (Value::Time(one), Value::Time(other)) => one == other,
        (Value::List(one), Value::List(other)) => {
            let mut is_equal = one.inside.len() == other.inside.len();
            let mut pairs = one.inside.iter().zip(&other.inside);
            while let Some((one, other)) = pairs.next().filter(|_| is_equal) {
                is_equal = is_same(call, one, other)?;
            }
            is_equal
        }
        (Value::Map(one), Value::Map(other)) => {
            let mut is_equal = one.inside.len() == other.inside.len();
            let mut pairs = one.inside.iter().zip(&other.inside);
            while let Some(((name, one), (other_name, other))) = pairs.next().filter(|_| is_equal) {
                is_equal = name == other_name && is_same(call, one, other)?;
            }
            is_equal
        }
        _ => false,
    })
}

fn chunk(call: &mut Call<'_>) -> Brought {
    let size = call.size(0)?;
    if size == 0 {
        return Err(call.wrong(0, "above 0"));
    }
    let list = call.list(1)?;
    let chunks: Vec<Value> =
        list.chunks(size).map(|chunk| Value::list(chunk.to_vec())).collect::<Result<_, _>>()?;
    call.made_list(chunks)
}
