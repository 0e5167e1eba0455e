//! Moments as Go writes them: by an example of how one certain moment would look, which is Monday,
//! January 2, 2006, 15:04:05, seven hours west of Greenwich.

use std::fmt::Write;

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
/// Letters of a short name.
const SHORT: usize = 3;

/// A part of a layout.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part<'l> {
    /// As it stands.
    Literal(&'l str),
    Month,
    ShortMonth,
    /// A number of so many digits at least, behind this character.
    Number(Field, usize, char),
    Day,
    ShortDay,
    /// Noon or not, in large letters or small.
    Half(bool),
    Zone,
    /// An offset: with Z for none, with colons, and how many numbers it has.
    Offset {
        z: bool,
        colon: bool,
        numbers: usize,
    },
    /// A fraction of so many digits behind this character, with zeros at its end or without.
    Fraction(char, usize, bool),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Field {
    Year,
    ShortYear,
    Month,
    Day,
    DayOfYear,
    Hour,
    Hour12,
    Minute,
    Second,
}

/// The parts by what they begin with: of two that fit, the first one counts.
const PARTS: &[(&str, Part<'static>)] = &[
    ("January", Part::Month),
    ("Jan", Part::ShortMonth),
    ("Monday", Part::Day),
    ("Mon", Part::ShortDay),
    ("MST", Part::Zone),
    ("002", Part::Number(Field::DayOfYear, 3, '0')),
    ("01", Part::Number(Field::Month, 2, '0')),
    ("02", Part::Number(Field::Day, 2, '0')),
    ("03", Part::Number(Field::Hour12, 2, '0')),
    ("04", Part::Number(Field::Minute, 2, '0')),
    ("05", Part::Number(Field::Second, 2, '0')),
    ("06", Part::Number(Field::ShortYear, 2, '0')),
    ("15", Part::Number(Field::Hour, 2, '0')),
    ("1", Part::Number(Field::Month, 1, '0')),
    ("2006", Part::Number(Field::Year, 4, '0')),
    ("2", Part::Number(Field::Day, 1, '0')),
    ("__2", Part::Number(Field::DayOfYear, 3, ' ')),
    ("_2", Part::Number(Field::Day, 2, ' ')),
    ("3", Part::Number(Field::Hour12, 1, '0')),
    ("4", Part::Number(Field::Minute, 1, '0')),
    ("5", Part::Number(Field::Second, 1, '0')),
    ("PM", Part::Half(true)),
    ("pm", Part::Half(false)),
    ("-070000", Part::Offset { z: false, colon: false, numbers: 3 }),
    ("-07:00:00", Part::Offset { z: false, colon: true, numbers: 3 }),
    ("-0700", Part::Offset { z: false, colon: false, numbers: 2 }),
    ("-07:00", Part::Offset { z: false, colon: true, numbers: 2 }),
    ("-07", Part::Offset { z: false, colon: false, numbers: 1 }),
    ("Z070000", Part::Offset { z: true, colon: false, numbers: 3 }),
    ("Z07:00:00", Part::Offset { z: true, colon: true, numbers: 3 }),
    ("Z0700", Part::Offset { z: true, colon: false, numbers: 2 }),
    ("Z07:00", Part::Offset { z: true, colon: true, numbers: 2 }),
    ("Z07", Part::Offset { z: true, colon: false, numbers: 1 }),
];

/// The part that a layout begins with, and how many bytes it has.
fn part(layout: &str) -> Option<(Part<'static>, usize)> {
    for (begin, part) in PARTS {
        let Some(rest) = layout.strip_prefix(begin) else { continue };
        let is_short = matches!(part, Part::ShortMonth | Part::ShortDay);
        if !(is_short && rest.starts_with(|c: char| c.is_ascii_lowercase())) {
            return Some((*part, begin.len()));
        }
    }
    let mark = layout.chars().next().filter(|c| matches!(c, '.' | ','))?;
    let digits = &layout[1..];
    let digit = digits.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let rest = digits.trim_start_matches(digit);
    let count = digits.len() - rest.len();
    let ends = !rest.starts_with(|c: char| c.is_ascii_digit());
    ends.then_some((Part::Fraction(mark, count, digit == '0'), 1 + count))
}

/// The parts of a layout, one after another.
fn parts(mut layout: &str) -> impl Iterator<Item = Part<'_>> {
    std::iter::from_fn(move || {
        if let Some((part, bytes)) = part(layout) {
            layout = &layout[bytes..];
            return Some(part);
        }
        let mut places = layout.char_indices().map(|(at, _)| at).skip(1);
        let end = places.find(|at| part(&layout[*at..]).is_some()).unwrap_or(layout.len());
        let (literal, rest) = layout.split_at(end);
        layout = rest;
        (!literal.is_empty()).then_some(Part::Literal(literal))
    })
}

/// A moment in a layout.
pub(super) fn write(layout: &str, time: &Zoned) -> String {
    let mut text = String::new();
    for part in parts(layout) {
        write_part(part, time, &mut text);
    }
    text
}

fn write_part(part: Part<'_>, time: &Zoned, text: &mut String) {
    let name = |names: &[&'static str], at: i8| {
        usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or_default()
    };
    let month = name(&MONTHS, time.month() - 1);
    let day = name(&DAYS, time.weekday().to_monday_zero_offset());
    match part {
        Part::Literal(literal) => *text += literal,
        Part::Month => *text += month,
        Part::ShortMonth => *text += month.get(..SHORT).unwrap_or_default(),
        Part::Day => *text += day,
        Part::ShortDay => *text += day.get(..SHORT).unwrap_or_default(),
        Part::Half(is_large) => {
            let half = if time.hour() < 12 { "AM" } else { "PM" };
            *text += &if is_large { half.to_owned() } else { half.to_lowercase() };
        }
        Part::Number(field, width, fill) => {
            let number = match field {
                Field::Year => time.year(),
                Field::ShortYear => time.year().rem_euclid(100),
                Field::Month => i16::from(time.month()),
                Field::Day => i16::from(time.day()),
                Field::DayOfYear => time.day_of_year(),
                Field::Hour => i16::from(time.hour()),
                Field::Hour12 => match i16::from(time.hour()) % 12 {
                    0 => 12,
                    hour => hour,
                },
                Field::Minute => i16::from(time.minute()),
                Field::Second => i16::from(time.second()),
            };
            let digits = number.to_string();
            text.extend(std::iter::repeat_n(fill, width.saturating_sub(digits.len())));
            *text += &digits;
        }
        Part::Zone => {
            let info = time.time_zone().to_offset_info(time.timestamp());
            *text += info.abbreviation();
        }
        Part::Offset { z, colon, numbers } => {
            let seconds = time.offset().seconds();
            if z && seconds == 0 {
                text.push('Z');
                return;
            }
            text.push(if seconds < 0 { '-' } else { '+' });
            let seconds = seconds.unsigned_abs();
            let all = [seconds / 3600, seconds / 60 % 60, seconds % 60];
            for (at, number) in all.into_iter().take(numbers).enumerate() {
                if colon && at > 0 {
                    text.push(':');
                }
                let _ = write!(text, "{number:02}");
            }
        }
        Part::Fraction(mark, count, has_zeros) => {
            let digits = format!("{:09}", time.subsec_nanosecond());
            let mut digits = digits.get(..count).unwrap_or(&digits);
            if !has_zeros {
                digits = digits.trim_end_matches('0');
            }
            if !digits.is_empty() {
                text.push(mark);
                *text += digits;
            }
        }
    }
}

/// What is read of a moment.
#[derive(Default)]
struct Read {
    year: i16,
    month: i8,
    day: i8,
    day_of_year: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    is_afternoon: Option<bool>,
    offset: Option<Offset>,
}

/// The moment that a text in a layout means, where nothing else is said in that time zone.
pub(super) fn read(layout: &str, text: &str, zone: TimeZone) -> Option<Zoned> {
    let mut read = Read { month: 1, day: 1, ..Read::default() };
    let mut rest = text;
    for part in parts(layout) {
        rest = read_part(part, rest, &mut read)?;
    }
    if !rest.is_empty() {
        return None;
    }
    let hour = match read.is_afternoon {
        Some(true) if read.hour < 12 => read.hour + 12,
        Some(false) if read.hour == 12 => 0,
        _ => read.hour,
    };
    let Read { year, month, day, minute, second, nanosecond, .. } = read;
    let mut moment = DateTime::new(year, month, day, hour, minute, second, nanosecond).ok()?;
    if let Some(day) = read.day_of_year {
        moment = moment.with().day_of_year(day).build().ok()?;
    }
    match read.offset {
        Some(offset) => moment.to_zoned(TimeZone::fixed(offset)).ok(),
        None => moment.to_zoned(zone).ok(),
    }
}

/// Reads a part: what is behind it.
fn read_part<'t>(part: Part<'_>, text: &'t str, read: &mut Read) -> Option<&'t str> {
    match part {
        Part::Literal(literal) => text.strip_prefix(literal),
        Part::Month | Part::ShortMonth => {
            let (at, rest) = named(&MONTHS, part == Part::ShortMonth, text)?;
            read.month = i8::try_from(at + 1).ok()?;
            Some(rest)
        }
        Part::Day | Part::ShortDay => {
            named(&DAYS, part == Part::ShortDay, text).map(|(_, rest)| rest)
        }
        Part::Half(_) => {
            let half = text.get(..2)?;
            read.is_afternoon = Some(match half.to_ascii_lowercase().as_str() {
                "am" => false,
                "pm" => true,
                _ => return None,
            });
            Some(&text[2..])
        }
        Part::Number(field, width, fill) => read_number(field, width, fill, text, read),
        Part::Zone => {
            let end = text.find(|c: char| !c.is_ascii_uppercase()).unwrap_or(text.len());
            if matches!(&text[..end], "UTC" | "GMT" | "Z") {
                read.offset = Some(Offset::UTC);
            }
            (end > 0).then(|| &text[end..])
        }
        Part::Offset { z, .. } if z && text.starts_with('Z') => {
            read.offset = Some(Offset::UTC);
            Some(&text[1..])
        }
        Part::Offset { colon, numbers, .. } => {
            let is_west = text.starts_with('-');
            let mut rest = text.strip_prefix(['+', '-'])?;
            let mut seconds = 0;
            for (at, unit) in [3600, 60, 1].into_iter().take(numbers).enumerate() {
                if colon && at > 0 {
                    rest = rest.strip_prefix(':')?;
                }
                let (number, behind) = digits(rest, 2, 2)?;
                seconds += i32::from(number) * unit;
                rest = behind;
            }
            read.offset =
                Some(Offset::from_seconds(if is_west { -seconds } else { seconds }).ok()?);
            Some(rest)
        }
        // It was read with the second, if it is there.
        Part::Fraction(..) => Some(text),
    }
}

fn read_number<'t>(
    field: Field,
    width: usize,
    fill: char,
    text: &'t str,
    read: &mut Read,
) -> Option<&'t str> {
    let text = if fill == ' ' { text.trim_start_matches(' ') } else { text };
    let most = match field {
        Field::Year => 4,
        Field::DayOfYear => 3,
        _ => 2,
    };
    let least = if fill == ' ' { 1 } else { width };
    let (number, rest) = digits(text, least, most)?;
    let small = i8::try_from(number).ok();
    match field {
        Field::Year => read.year = number,
        Field::ShortYear => read.year = number + if number < 69 { 2000 } else { 1900 },
        Field::Month => read.month = small?,
        Field::Day => read.day = small?,
        Field::DayOfYear => read.day_of_year = Some(number),
        Field::Hour | Field::Hour12 => read.hour = small?,
        Field::Minute => read.minute = small?,
        Field::Second => {
            read.second = small?;
            // A fraction may follow, whether the layout has one or not.
            return Some(fraction(rest, read).unwrap_or(rest));
        }
    }
    Some(rest)
}

/// One of the names: which, and what is behind it.
fn named<'t>(names: &[&str], is_short: bool, text: &'t str) -> Option<(usize, &'t str)> {
    names.iter().enumerate().find_map(|(at, name)| {
        let name = if is_short { &name[..SHORT] } else { name };
        let begin = text.get(..name.len())?;
        begin.eq_ignore_ascii_case(name).then(|| (at, &text[name.len()..]))
    })
}

/// A number of some digits, and what is behind it.
fn digits(text: &str, least: usize, most: usize) -> Option<(i16, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    (count >= least).then(|| text[..count].parse().ok().zip(Some(&text[count..])))?
}

/// The fraction of a second: what is behind it.
fn fraction<'t>(text: &'t str, read: &mut Read) -> Option<&'t str> {
    let digits = text.strip_prefix(['.', ','])?;
    let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    let count = digits.len() - rest.len();
    let nanoseconds = format!("{:0<9}", &digits[..count.min(9)]);
    read.nanosecond = nanoseconds.parse().ok().filter(|_| count > 0)?;
    Some(rest)
}

/// A moment in a time zone.
pub(super) fn at(timestamp: Timestamp, zone: TimeZone) -> Zoned {
    timestamp.to_zoned(zone)
}
