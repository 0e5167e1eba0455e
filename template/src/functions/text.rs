//! Functions on texts.

use super::{ANY, Brought, Call, Function, function};
use crate::format;
use crate::value::{Members, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    function("upper", (1, 1), |call| changed(call, str::to_uppercase)),
    function("lower", (1, 1), |call| changed(call, str::to_lowercase)),
    function("title", (1, 1), |call| changed(call, title)),
    function("trim", (1, 1), |call| changed(call, |text| text.trim().to_owned())),
    function("trimAll", (2, 2), |call| {
        let (cut, text) = (call.text(0)?, call.text(1)?);
        let cut: Vec<char> = cut.chars().collect();
        call.work.steps(text.len().saturating_mul(cut.len()) / 16)?;
        call.made(text.trim_matches(cut.as_slice()))
    }),
    function("trimPrefix", (2, 2), |call| {
        let (cut, text) = (call.text(0)?, call.text(1)?);
        call.made(text.strip_prefix(&*cut).unwrap_or(&text))
    }),
    function("trimSuffix", (2, 2), |call| {
        let (cut, text) = (call.text(0)?, call.text(1)?);
        call.made(text.strip_suffix(&*cut).unwrap_or(&text))
    }),
    function("trunc", (2, 2), |call| {
        let (length, text) = (call.whole(0)?, call.text(1)?);
        let bytes = usize::try_from(length.unsigned_abs()).unwrap_or(usize::MAX);
        if bytes >= text.len() {
            return Ok(Value::Text(text));
        }
        let cut = if length < 0 {
            // What is half a character goes.
            let begin = character_after(&text, text.len() - bytes);
            &text[begin..]
        } else {
            &text[..character_before(&text, bytes)]
        };
        call.made(cut)
    }),
    function("substr", (3, 3), |call| {
        let (begin, end, text) = (call.whole(0)?, call.whole(1)?, call.text(2)?);
        let begin = usize::try_from(begin).unwrap_or(0);
        let end = usize::try_from(end).unwrap_or(text.len()).min(text.len());
        let (begin, end) = (character_before(&text, begin), character_before(&text, end));
        call.made(text.get(begin..end).unwrap_or_default())
    }),
    function("repeat", (2, 2), |call| {
        let (count, text) = (call.size(0)?, call.text(1)?);
        // Paid for before it is made.
        call.work.bytes(text.len().saturating_mul(count))?;
        call.made(text.repeat(if text.is_empty() { 0 } else { count }))
    }),
    function("contains", (2, 2), |call| holds(call, |text, part| text.contains(part))),
    function("hasPrefix", (2, 2), |call| holds(call, |text, part| text.starts_with(part))),
    function("hasSuffix", (2, 2), |call| holds(call, |text, part| text.ends_with(part))),
    function("replace", (3, 3), |call| {
        let (old, new, text) = (call.text(0)?, call.text(1)?, call.text(2)?);
        let times = if old.is_empty() { text.len() + 1 } else { text.matches(&*old).count() };
        call.work.steps(times)?;
        call.work.bytes(times.saturating_mul(new.len()))?;
        call.made(text.replace(&*old, &new))
    }),
    function("quote", (0, ANY), |call| {
        let mut quoted = Vec::new();
        for at in 0..call.count() {
            if !matches!(call.values[at], Value::Nil) {
                let text = Value::Text(call.printed(at)?);
                quoted.push(format::printf("%q", &[text], call.work)?);
            }
        }
        call.made(quoted.join(" "))
    }),
    function("squote", (0, ANY), |call| {
        let mut quoted = Vec::new();
        for at in 0..call.count() {
            if !matches!(call.values[at], Value::Nil) {
                quoted.push(format!("'{}'", call.printed(at)?));
            }
        }
        call.made(quoted.join(" "))
    }),
    function("cat", (0, ANY), |call| {
        let mut texts = Vec::new();
        for at in 0..call.count() {
            if !matches!(call.values[at], Value::Nil) {
                texts.push(call.printed(at)?);
            }
        }
        call.made(texts.join(" "))
    }),
    function("indent", (2, 2), |call| indented(call, "")),
    function("nindent", (2, 2), |call| indented(call, "\n")),
    function("plural", (3, 3), |call| {
        let (one, many, count) = (call.text(0)?, call.text(1)?, call.whole(2)?);
        Ok(Value::Text(if count == 1 { one } else { many }))
    }),
    function("toString", (1, 1), |call| Ok(Value::Text(call.printed(0)?))),
    function("split", (2, 2), |call| {
        let (by, text) = (call.text(0)?, call.text(1)?);
        let parts = if by.is_empty() { characters(&text) } else { text.split(&*by).collect() };
        numbered(call, parts)
    }),
    function("splitn", (3, 3), |call| {
        let (by, count, text) = (call.text(0)?, call.size(1)?, call.text(2)?);
        numbered(call, text.splitn(count, &*by).collect())
    }),
    function("splitList", (2, 2), |call| {
        let (by, text) = (call.text(0)?, call.text(1)?);
        if by.is_empty() {
            return call.made_texts(characters(&text).into_iter());
        }
        call.made_texts(text.split(&*by))
    }),
];

fn changed(call: &mut Call<'_>, change: impl Fn(&str) -> String) -> Brought {
    let text = call.text(0)?;
    call.work.bytes(16 * text.len())?;
    call.made(change(&text))
}

fn holds(call: &mut Call<'_>, holds: impl Fn(&str, &str) -> bool) -> Brought {
    let (part, text) = (call.text(0)?, call.text(1)?);
    Ok(Value::Bool(holds(&text, &part)))
}

/// Where the character begins that this byte is in.
fn character_before(text: &str, byte: usize) -> usize {
    (0..=byte.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Where the first character begins that does so at this byte or behind it.
fn character_after(text: &str, byte: usize) -> usize {
    (byte..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

/// Each word with a large letter first, and small ones behind it.
fn title(text: &str) -> String {
    let mut in_word = false;
    let mut changed = String::with_capacity(text.len());
    for c in text.chars() {
        if in_word {
            changed.extend(c.to_lowercase());
        } else {
            changed.extend(c.to_uppercase());
        }
        in_word = c.is_alphanumeric() || in_word && matches!(c, '\'' | '’' | '_');
    }
    changed
}

/// Every line behind so many blanks.
fn indented(call: &mut Call<'_>, begin: &str) -> Brought {
    let (blanks, text) = (call.size(0)?, call.text(1)?);
    let lines = text.matches('\n').count() + 1;
    call.work.bytes(lines.saturating_mul(blanks))?;
    let pad = " ".repeat(blanks);
    let indented = text.replace('\n', &format!("\n{pad}"));
    call.made(format!("{begin}{pad}{indented}"))
}

fn characters(text: &str) -> Vec<&str> {
    text.split("").filter(|character| !character.is_empty()).collect()
}

/// The parts by their numbers: `_0`, `_1` and so on.
fn numbered(call: &mut Call<'_>, parts: Vec<&str>) -> Brought {
    call.work.steps(2 * parts.len())?;
    let parts = parts.into_iter().enumerate();
    let members: Members =
        parts.map(|(at, part)| (format!("_{at}").into(), Value::text(part))).collect();
    Value::map(members)
}
