//! Functions on moments and on how long something takes.

use std::rc::Rc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::{Brought, Call, Function, function, layout, number};
use crate::Error;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function("now", (0, 0), |_| Ok(Value::Time(Rc::new(Zoned::now())))),
    function("date", (2, 2), |call| {
        let (layout, time) = (call.text(0)?, time(call, 1)?);
        written(call, &layout, &time)
    }),
    function("dateInZone", (3, 3), in_zone),
    function("date_in_zone", (3, 3), in_zone),
    function("htmlDate", (1, 1), |call| {
        let time = time(call, 0)?;
        written(call, HTML_DATE, &time)
    }),
    function("htmlDateInZone", (2, 2), |call| {
        let (time, zone) = (time(call, 0)?, zone(call, 1)?);
        written(call, HTML_DATE, &time.with_time_zone(zone))
    }),
    function("toDate", (2, 2), |call| {
        let read = read(call)?;
        Ok(read.unwrap_or(Value::Nil))
    }),
    function("mustToDate", (2, 2), |call| {
        let read = read(call)?;
        read.ok_or_else(|| call.failed("the text has another layout"))
    }),
    function("unixEpoch", (1, 1), |call| {
        let time = time(call, 0)?;
        call.made(time.timestamp().as_second().to_string())
    }),
    function("dateModify", (2, 2), modified),
    function("date_modify", (2, 2), modified),
    function("mustDateModify", (2, 2), modified),
    function("must_date_modify", (2, 2), modified),
    function("ago", (1, 1), |call| {
        let seconds = since(&time(call, 0)?).as_millis() + 500;
        let seconds = i64::try_from(seconds.div_euclid(1000)).unwrap_or(i64::MAX);
        call.made(duration_text(SignedDuration::from_secs(seconds)))
    }),
    function("duration", (1, 1), |call| {
        let seconds = number::whole(&call.values[0]);
        call.made(duration_text(SignedDuration::from_secs(seconds)))
    }),
    function("durationRound", (1, 1), rounded),
];

/// How pages write a day.
const HTML_DATE: &str = "2006-01-02";

fn written(call: &mut Call<'_>, layout: &str, time: &Zoned) -> Brought {
    // Each of its bytes is held against all that may stand in a layout.
    call.work.steps(4 * layout.len())?;
    call.made(layout::write(layout, time))
}

/// A value as a moment: one, a number of unix seconds, or a text as JSON has it; else now.
fn time(call: &mut Call<'_>, at: usize) -> Result<Zoned, Error> {
    let seconds = match call.value(at) {
        Value::Time(time) => return Ok((*time).clone()),
        Value::Text(text) => {
            call.work.bytes(text.len())?;
            let timestamp = text.parse::<Timestamp>().map_err(|_| call.wrong(at, "a time"))?;
            return Ok(layout::at(timestamp, TimeZone::system()));
        }
        Value::Whole(seconds) => seconds,
        Value::Float(seconds) => number::whole_of(seconds),
        _ => return Ok(Zoned::now()),
    };
    let timestamp = Timestamp::from_second(seconds).map_err(|_| call.wrong(at, "a time"))?;
    Ok(layout::at(timestamp, TimeZone::system()))
}

/// The time zone of that name, or that of the world where there is none.
fn zone(call: &mut Call<'_>, at: usize) -> Result<TimeZone, Error> {
    let name = call.text(at)?;
    if &*name == "Local" {
        return Ok(TimeZone::system());
    }
    Ok(TimeZone::get(&name).unwrap_or(TimeZone::UTC))
}

fn in_zone(call: &mut Call<'_>) -> Brought {
    let (layout, time, zone) = (call.text(0)?, time(call, 1)?, zone(call, 2)?);
    written(call, &layout, &time.with_time_zone(zone))
}

fn read(call: &mut Call<'_>) -> Result<Option<Value>, Error> {
    let (layout, text) = (call.text(0)?, call.text(1)?);
    call.work.steps(4 * layout.len())?;
    let time = layout::read(&layout, &text, TimeZone::system());
    Ok(time.map(|time| Value::Time(Rc::new(time))))
}

fn modified(call: &mut Call<'_>) -> Brought {
    let by = call.text(0)?;
    let by = duration(&by).ok_or_else(|| call.wrong(0, "how long something takes"))?;
    let time = time(call, 1)?;
    let moved = time.timestamp().checked_add(by);
    let moved = moved.map_err(|_| call.failed("the time is out of bounds"))?;
    Ok(Value::Time(Rc::new(layout::at(moved, time.time_zone().clone()))))
}

fn since(time: &Zoned) -> SignedDuration {
    Timestamp::now().duration_since(time.timestamp())
}

/// Units as Go writes them, in nanoseconds.
const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// How long a text says that something takes: `-1.5h` or `1h30m`.
fn duration(text: &str) -> Option<SignedDuration> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut all = 0_i128;
    while !rest.is_empty() || all == 0 && rest.len() == text.len() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(end);
        let end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let (_, nanoseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        all = all.checked_add(whole.checked_mul(*nanoseconds)?)?;
        let mut unit = *nanoseconds;
        for digit in fraction.bytes() {
            unit /= 10;
            all = all.checked_add(i128::from(digit - b'0') * unit)?;
        }
        rest = behind;
    }
    let nanoseconds = i64::try_from(sign * all).ok()?;
    Some(SignedDuration::from_nanos(nanoseconds))
}

/// How long something takes, as Go writes it.
fn duration_text(duration: SignedDuration) -> String {
    let sign = if duration.is_negative() { "-" } else { "" };
    let seconds = duration.as_secs().unsigned_abs();
    if seconds == 0 {
        return "0s".to_owned();
    }
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// How long something takes, or how long ago a moment is, in its largest unit.
fn rounded(call: &mut Call<'_>) -> Brought {
    const DAY: i128 = 24 * 60 * 60;
    let duration = match &call.values[0] {
        Value::Text(text) => duration(text).unwrap_or(SignedDuration::ZERO),
        Value::Whole(nanoseconds) => SignedDuration::from_nanos(*nanoseconds),
        Value::Time(time) => since(time),
        _ => SignedDuration::ZERO,
    };
    let nanoseconds = duration.as_nanos();
    let (sign, nanoseconds) = if nanoseconds < 0 { ("-", -nanoseconds) } else { ("", nanoseconds) };
    let units =
        [(365 * DAY, "y"), (30 * DAY, "mo"), (DAY, "d"), (60 * 60, "h"), (60, "m"), (1, "s")];
    let unit = units.iter().find(|(seconds, _)| nanoseconds > seconds * 1_000_000_000);
    let text = match unit {
        Some((seconds, name)) => {
            format!("{sign}{}{name}", nanoseconds / (seconds * 1_000_000_000))
        }
        None => "0s".to_owned(),
    };
    call.made(text)
}
