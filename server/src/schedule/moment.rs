//! When a message is due, in the words of whoever publishes it: `1767225600`, `30m`, `2 days`,
//! `in an hour`, `10am`, `tomorrow, 10am`, `next tuesday 9:30`, `2026-12-24T18:00:00Z`.
//!
//! Times of day are of the server's own time zone, as others of the dialect have it.

use doorbell_protocol::code::quoted;
use doorbell_protocol::limits::{DELAY_SECONDS_MAX, DELAY_SECONDS_MIN};
use doorbell_protocol::since::parse_duration;
use doorbell_protocol::{Code, Error};
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

const HOUR_TONIGHT: i8 = 23;

/// The moment that a text means, in unix microseconds.
///
/// # Errors
///
/// It means none, or one too soon or too late.
pub(crate) fn due(text: &str, now_us: u64, zone: &TimeZone) -> Result<u64, Error> {
    let due_us = moment(text, now_us, zone).ok_or_else(|| {
        let text = quoted(text);
        let text = format!("delay {text} is no unix time, duration such as 30m, or tomorrow, 10am");
        Error::new(Code::DelayInvalid, text)
    })?;
    let soonest = now_us.saturating_add(DELAY_SECONDS_MIN * 1_000_000);
    let latest = now_us.saturating_add(DELAY_SECONDS_MAX * 1_000_000);
    if due_us < soonest {
        let text = format!("delay {} is less than {DELAY_SECONDS_MIN} s", quoted(text));
        return Err(Error::new(Code::DelayTooShort, text));
    }
    if due_us > latest {
        let days = DELAY_SECONDS_MAX / (24 * 60 * 60);
        let text = format!("delay {} is more than {days} days", quoted(text));
        return Err(Error::new(Code::DelayTooLong, text));
    }
    Ok(due_us)
}

fn moment(text: &str, now_us: u64, zone: &TimeZone) -> Option<u64> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(u64::saturating_mul(seconds, 1_000_000));
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(unix_us(timestamp));
    }
    if let Ok(written) = text.parse::<DateTime>() {
        return written.to_zoned(zone.clone()).ok().map(|zoned| unix_us(zoned.timestamp()));
    }
    let words = words(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Some(wait_us) = wait(&words) {
        return Some(now_us.saturating_add(wait_us));
    }
    let now = Timestamp::from_microsecond(i64::try_from(now_us).ok()?).ok()?;
    let said = said(&words, &now.to_zoned(zone.clone()))?;
    Some(unix_us(said.timestamp()))
}

/// A moment before 1970 is as good as 1970: it has passed.
fn unix_us(moment: Timestamp) -> u64 {
    moment.as_microsecond().try_into().unwrap_or(0)
}

/// The words of a text in small letters, and its numbers, which need no blank around them.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = None;
    for c in text.chars() {
        let class = match c {
            '0'..='9' | ':' | '.' => Some(true),
            _ if c.is_whitespace() || c == ',' => None,
            _ => Some(false),
        };
        if class.is_some() {
            match words.last_mut().filter(|_| class == before) {
                Some(word) => word.extend(c.to_lowercase()),
                None => words.push(c.to_lowercase().collect()),
            }
        }
        before = class;
    }
    words
}

/// Microseconds to wait: `in 2 hours and 5 minutes`, `1h30m`, `an hour from now`.
fn wait(words: &[&str]) -> Option<u64> {
    let words = words.strip_prefix(&["in"]).unwrap_or(words);
    let words = words.strip_suffix(&["from", "now"]).unwrap_or(words);
    if words.is_empty() {
        return None;
    }
    let mut total = 0_u64;
    let mut rest = words;
    while let [number, unit, more @ ..] = rest {
        let number = if matches!(*number, "a" | "an") { "1" } else { number };
        let (times, unit) = match *unit {
            "ms" => (1, "ms"),
            "s" | "sec" | "secs" | "second" | "seconds" => (1, "s"),
            "m" | "min" | "mins" | "minute" | "minutes" => (1, "m"),
            "h" | "hr" | "hrs" | "hour" | "hours" => (1, "h"),
            "d" | "day" | "days" => (1, "d"),
            "w" | "week" | "weeks" => (7, "d"),
            _ => return None,
        };
        let one = parse_duration(&format!("{number}{unit}"))?;
        let one_us = u64::try_from(one.as_micros()).unwrap_or(u64::MAX);
        total = total.saturating_add(one_us.saturating_mul(times));
        rest = more.strip_prefix(&["and"]).unwrap_or(more);
    }
    rest.is_empty().then_some(total)
}

/// The moment that a day, a time of day, or both of them mean.
fn said(words: &[&str], now: &Zoned) -> Option<Zoned> {
    let mut day: Option<Day> = None;
    let mut time: Option<Time> = None;
    let mut tonight = false;
    let mut rest = words;
    while let [word, more @ ..] = rest {
        rest = more;
        let (said_day, said_time) = match *word {
            "at" | "on" | "this" => continue,
            "today" => (Some(Day::After(0)), None),
            "tomorrow" => (Some(Day::After(1)), None),
            "tonight" => {
                tonight = true;
                (Some(Day::After(0)), None)
            }
            "noon" => (None, hour(12)),
            "midnight" => (None, hour(0)),
            "morning" => (None, hour(8)),
            "afternoon" => (None, hour(15)),
            "evening" => (None, hour(18)),
            "next" => {
                let (name, more) = rest.split_first()?;
                rest = more;
                (Some(Day::Next(weekday(name)?)), None)
            }
            name if weekday(name).is_some() => (weekday(name).map(Day::Named), None),
            number => {
                let half = rest.first().filter(|word| matches!(**word, "am" | "pm"));
                rest = &rest[usize::from(half.is_some())..];
                (None, Some(clock(number, half.copied())?))
            }
        };
        // Nothing is said twice.
        if said_day.is_some() && day.replace(said_day?).is_some()
            || said_time.is_some() && time.replace(said_time?).is_some()
        {
            return None;
        }
    }
    if tonight {
        time = time.or(hour(HOUR_TONIGHT));
    }
    if day.is_none() && time.is_none() {
        return None;
    }
    let time = time.unwrap_or_else(|| now.time());
    let at = |date: Date| date.to_datetime(time).to_zoned(now.time_zone().clone()).ok();
    let today = now.date();
    let in_days = |days: i8| at(today.checked_add(jiff::Span::new().days(days)).ok()?);
    match day {
        Some(Day::After(days)) => in_days(days),
        None => Some(in_days(0)?).filter(|moment| moment > now).or_else(|| in_days(1)),
        Some(Day::Named(name)) => {
            let days = now.weekday().until(name);
            Some(in_days(days)?).filter(|moment| moment > now).or_else(|| in_days(days + 7))
        }
        Some(Day::Next(name)) => {
            let days = now.weekday().until(name);
            in_days(if days == 0 { 7 } else { days })
        }
    }
}

/// A day as it is said.
enum Day {
    /// So many days from now.
    After(i8),
    /// The first one of that name whose moment has not passed.
    Named(Weekday),
    /// The first one of that name that is not today.
    Next(Weekday),
}

fn weekday(name: &str) -> Option<Weekday> {
    Some(match name {
        "mon" | "monday" => Weekday::Monday,
        "tue" | "tues" | "tuesday" => Weekday::Tuesday,
        "wed" | "wednesday" => Weekday::Wednesday,
        "thu" | "thur" | "thurs" | "thursday" => Weekday::Thursday,
        "fri" | "friday" => Weekday::Friday,
        "sat" | "saturday" => Weekday::Saturday,
        "sun" | "sunday" => Weekday::Sunday,
        _ => return None,
    })
}

fn hour(hour: i8) -> Option<Time> {
    Time::new(hour, 0, 0, 0).ok()
}

/// `10`, `10:30` or `10:30:05`, of 24 hours or of 12.
fn clock(text: &str, half: Option<&str>) -> Option<Time> {
    let mut numbers = text.split(':').map(|number| match number.len() {
        1 | 2 => number.parse::<i8>().ok(),
        _ => None,
    });
    let mut hour = numbers.next()??;
    let minute = numbers.next().unwrap_or(Some(0))?;
    let second = numbers.next().unwrap_or(Some(0))?;
    if let Some(half) = half {
        if !(1..=12).contains(&hour) {
            return None;
        }
        hour = hour % 12 + if half == "pm" { 12 } else { 0 };
    }
    let is_all = numbers.next().is_none();
    Time::new(hour, minute, second, 0).ok().filter(|_| is_all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Monday, half past nine in the morning.
    const NOW: &str = "2026-11-30T09:30:00Z";

    fn at(text: &str) -> Result<String, Error> {
        let now = unix_us(NOW.parse().unwrap());
        let due = due(text, now, &TimeZone::UTC)?;
        Ok(Timestamp::from_microsecond(due.try_into().unwrap()).unwrap().to_string())
    }

    #[test]
    fn a_moment_is_said_in_many_ways() {
        for (text, expected) in [
            ("1796031060", "2026-11-30T09:31:00Z"),
            ("10s", "2026-11-30T09:30:10Z"),
            ("30m", "2026-11-30T10:00:00Z"),
            ("30 min", "2026-11-30T10:00:00Z"),
            ("1h30m", "2026-11-30T11:00:00Z"),
            ("1.5h", "2026-11-30T11:00:00Z"),
            ("2 days", "2026-12-02T09:30:00Z"),
            ("3d", "2026-12-03T09:30:00Z"),
            ("In 3 Hours", "2026-11-30T12:30:00Z"),
            ("in an hour and 5 minutes", "2026-11-30T10:35:00Z"),
            ("20 minutes from now", "2026-11-30T09:50:00Z"),
            ("10am", "2026-11-30T10:00:00Z"),
            ("9am", "2026-12-01T09:00:00Z"),
            ("12am", "2026-12-01T00:00:00Z"),
            ("12:15 pm", "2026-11-30T12:15:00Z"),
            ("at 17:05", "2026-11-30T17:05:00Z"),
            ("tomorrow", "2026-12-01T09:30:00Z"),
            ("tomorrow, 10am", "2026-12-01T10:00:00Z"),
            ("10am tomorrow", "2026-12-01T10:00:00Z"),
            ("tomorrow at 10:30 PM", "2026-12-01T22:30:00Z"),
            ("tomorrow morning", "2026-12-01T08:00:00Z"),
            ("today 5pm", "2026-11-30T17:00:00Z"),
            ("this evening", "2026-11-30T18:00:00Z"),
            ("tonight", "2026-11-30T23:00:00Z"),
            ("tonight at 8pm", "2026-11-30T20:00:00Z"),
            ("noon", "2026-11-30T12:00:00Z"),
            ("midnight", "2026-12-01T00:00:00Z"),
            ("monday 10:00", "2026-11-30T10:00:00Z"),
            ("tuesday", "2026-12-01T09:30:00Z"),
            ("next tuesday 8:00", "2026-12-01T08:00:00Z"),
            ("Wed 7pm", "2026-12-02T19:00:00Z"),
            ("2026-12-01T12:00:00+02:00", "2026-12-01T10:00:00Z"),
            ("2026-12-01 12:00", "2026-12-01T12:00:00Z"),
        ] {
            assert_eq!(at(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_time_of_day_is_of_the_servers_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let now = unix_us(NOW.parse().unwrap());
        let noon = due("noon", now, &zone).unwrap();
        assert_eq!(noon, unix_us("2026-11-30T10:00:00Z".parse().unwrap()));
    }

    #[test]
    fn what_means_no_moment_or_none_that_may_be_is_refused_by_its_number() {
        for (code, texts) in [
            (40004, &["soon", "in", "10am 11am", "tomorrow today", "25:00", "13pm"][..]),
            (40004, &["1:2:3:4", "next", "next noon", "1.5", "5 parsecs", "in 5", "m", "ü", "-5m"]),
            (40005, &["9s", "1", "0s", "10", "2020-01-01T00:00:00Z", "today 9am", "250ms"]),
            (40006, &["4 days", "73h", "1w", "99999999999999999999999", "next monday"]),
            (40006, &["monday 9am"]),
        ] {
            for text in texts {
                assert_eq!(at(text).map_err(|error| error.code().number()), Err(code), "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_means_a_moment_within_the_bounds_or_is_refused(
            text in "([0-9]{1,5}|[:.,-]| |am|pm|in|an|at|m|h|days|tomorrow|tonight|next|mon|noon|.){0,7}",
            now_us in any::<u64>(),
        ) {
            if let Ok(due_us) = due(&text, now_us, &TimeZone::UTC) {
                let wait_us = due_us - now_us;
                prop_assert!((10_000_000..=259_200_000_000).contains(&wait_us), "{wait_us}");
            }
        }

        #[test]
        fn a_duration_is_waited_to_the_second(seconds in 10..=259_200_u64, now_us in 0..1_u64 << 52) {
            let due_us = due(&format!("{seconds}s"), now_us, &TimeZone::UTC).unwrap();
            prop_assert_eq!(due_us, now_us + seconds * 1_000_000);
        }
    }
}
