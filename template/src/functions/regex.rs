//! Regular expressions, which take time in proportion to the text that they search.

use std::rc::Rc;

use regex::{NoExpand, Regex, RegexBuilder};

use super::{Brought, Call, Function, function};
use crate::Error;
use crate::limits::REGEX_BYTES_MAX;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function("regexMatch", (2, 2), matches),
    function("mustRegexMatch", (2, 2), matches),
    function("regexFind", (2, 2), find),
    function("mustRegexFind", (2, 2), find),
    function("regexFindAll", (3, 3), find_all),
    function("mustRegexFindAll", (3, 3), find_all),
    function("regexReplaceAll", (3, 3), |call| replace(call, true)),
    function("mustRegexReplaceAll", (3, 3), |call| replace(call, true)),
    function("regexReplaceAllLiteral", (3, 3), |call| replace(call, false)),
    function("mustRegexReplaceAllLiteral", (3, 3), |call| replace(call, false)),
    function("regexSplit", (3, 3), split),
    function("mustRegexSplit", (3, 3), split),
    function("regexQuoteMeta", (1, 1), |call| {
        let text = call.text(0)?;
        call.made(regex::escape(&text))
    }),
];

/// The expression of the first value, and the text of another.
fn expression(call: &mut Call<'_>, text_at: usize) -> Result<(Regex, Rc<str>), Error> {
    let (pattern, text) = (call.text(0)?, call.text(text_at)?);
    // It costs far more than other functions to be made, and to be used.
    call.work.steps(500 + 20 * pattern.len())?;
    call.work.steps(text.len())?;
    let made = RegexBuilder::new(&pattern)
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_BYTES_MAX)
        .build();
    let made = made.map_err(|error| {
        let text = error.to_string();
        call.failed(text.lines().last().unwrap_or_default())
    });
    Ok((made?, text))
}

fn matches(call: &mut Call<'_>) -> Brought {
    let (expression, text) = expression(call, 1)?;
    Ok(Value::Bool(expression.is_match(&text)))
}

fn find(call: &mut Call<'_>) -> Brought {
    let (expression, text) = expression(call, 1)?;
    let found = expression.find(&text).map(|found| found.as_str());
    call.made(found.unwrap_or_default())
}

fn find_all(call: &mut Call<'_>) -> Brought {
    let most = usize::try_from(call.whole(2)?).unwrap_or(usize::MAX);
    let (expression, text) = expression(call, 1)?;
    call.made_texts(expression.find_iter(&text).take(most).map(|found| found.as_str()))
}

fn replace(call: &mut Call<'_>, expands: bool) -> Brought {
    let new = call.text(2)?;
    let (expression, text) = expression(call, 1)?;
    let times = expression.find_iter(&text).count();
    // What a match holds may stand in its place as often as it is named.
    let named = if expands { new.matches('$').count().saturating_mul(text.len()) } else { 0 };
    call.work.bytes(times.saturating_mul(new.len()).saturating_add(named))?;
    let replaced = if expands {
        expression.replace_all(&text, &*new)
    } else {
        expression.replace_all(&text, NoExpand(&new))
    };
    call.made(replaced.into_owned())
}

fn split(call: &mut Call<'_>) -> Brought {
    let most = usize::try_from(call.whole(2)?).unwrap_or(usize::MAX);
    let (expression, text) = expression(call, 1)?;
    call.made_texts(expression.splitn(&text, most))
}
