//! Where a reader wants to begin: the `since` parameter of every transport.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::code::{Code, Error, quoted};
use crate::id::{ID_CHARS, Id};

/// Bytes of a foreign id that are kept of what a client takes for its last id.
const FOREIGN_BYTES_MAX: usize = 128;

/// The place that a reader asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// Everything that is held.
    All,
    /// Only what comes from now on.
    None,
    /// The newest message of each topic, then what comes.
    Latest,
    /// What follows this place.
    Id(Id),
    /// What is no id of any doorbell log: the place of another server, kept so that the gap can
    /// name it.
    Foreign(Box<str>),
    /// What was accepted at this time or later, in unix seconds.
    Time(u64),
    /// What was accepted in the last so much time.
    Ago(Duration),
}

impl Since {
    /// What follows the last id that a client has seen. There only ids are ids: whatever else
    /// stands there is the place of another server, of which the beginning is kept.
    pub fn last_id(text: &str) -> Self {
        if let Ok(id) = text.parse() {
            return Self::Id(id);
        }
        let mut end = text.len().min(FOREIGN_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mark = if end < text.len() { "…" } else { "" };
        Self::Foreign(format!("{}{mark}", &text[..end]).into())
    }
}

impl FromStr for Since {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "all" => return Ok(Self::All),
            "none" => return Ok(Self::None),
            "latest" => return Ok(Self::Latest),
            _ => {}
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        if text.bytes().all(|b| b.is_ascii_digit())
            && let Ok(seconds) = text.parse()
        {
            return Ok(Self::Time(seconds));
        }
        if let Some(duration) = parse_duration(text) {
            return Ok(Self::Ago(duration));
        }
        if text.len() == ID_CHARS && text.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Ok(Self::Foreign(text.into()));
        }
        Err(Error::new(
            Code::SinceInvalid,
            format!(
                "since {} is no id, unix time, duration such as 10m, all, none or latest",
                quoted(text)
            ),
        ))
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::None => f.write_str("none"),
            Self::Latest => f.write_str("latest"),
            Self::Id(id) => id.fmt(f),
            Self::Foreign(text) => f.write_str(text),
            Self::Time(seconds) => seconds.fmt(f),
            // The point keeps twelve characters of digits and units from being read as an id.
            Self::Ago(duration) => {
                write!(f, "{}.{:03}s", duration.as_secs(), duration.subsec_millis())
            }
        }
    }
}

/// Microseconds of a duration at most: 285 years.
const MICROS_MAX: u64 = 1 << 53;

/// Reads a duration such as `10m`, `1h30m`, `1.5h`, `250ms` or `2d`: numbers, each with its unit.
/// Units are `ms`, `s`, `m`, `h` and `d`; anything else is `None`, and so is what is too long.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit = rest[digits..].find(|c: char| !c.is_ascii_lowercase());
        let end = unit.map_or(rest.len(), |length| digits + length);
        let unit = match &rest[digits..end] {
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            _ => return None,
        };
        // All of it is bounded, so that it can be written as one number and read again.
        total = micros(&rest[..digits], unit)?.checked_add(total)?;
        if total > MICROS_MAX {
            return None;
        }
        rest = &rest[end..];
    }
    Some(Duration::from_micros(total))
}

/// A number of units that have so many microseconds each, to the nearest microsecond.
fn micros(number: &str, unit: u128) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let scale = 10_u128.checked_pow(fraction.len().try_into().ok()?)?;
    let scaled: u128 = [whole, fraction].concat().parse().ok()?;
    let micros = scaled.checked_mul(unit)?.checked_add(scale / 2)? / scale;
    micros.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_form_is_told_apart() {
        let cases = [
            ("all", Since::All),
            ("none", Since::None),
            ("latest", Since::Latest),
            ("00004ziepp2w", Since::Id("00004ziepp2w".parse().unwrap())),
            ("zwQ2YpKdmg12", Since::Foreign("zwQ2YpKdmg12".into())),
            ("1763850000", Since::Time(1_763_850_000)),
            ("0", Since::Time(0)),
            ("10m", Since::Ago(Duration::from_secs(600))),
            ("1h30m", Since::Ago(Duration::from_secs(5400))),
            ("1.5h", Since::Ago(Duration::from_secs(5400))),
            ("250ms", Since::Ago(Duration::from_millis(250))),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Since>().unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_last_id_is_an_id_or_that_of_another_server() {
        let id = "00004ziepp2w";
        assert_eq!(Since::last_id(id), Since::Id(id.parse().unwrap()));
        for text in ["all", "10m", "1763850000", "", "é"] {
            assert_eq!(Since::last_id(text), Since::Foreign(text.into()));
        }
        let long = format!("{}{}", "x".repeat(FOREIGN_BYTES_MAX - 1), "é".repeat(1000));
        let kept = format!("{}…", "x".repeat(FOREIGN_BYTES_MAX - 1));
        assert_eq!(Since::last_id(&long), Since::Foreign(kept.into()));
    }

    #[test]
    fn a_duration_is_bounded_as_a_whole() {
        assert!(parse_duration("104249d").is_some() && parse_duration("104250d").is_none());
        assert!(parse_duration("900715h99254d").is_none());
        assert!(parse_duration(&format!("0.{}s", "0".repeat(100))).is_none());
        assert!(parse_duration(&format!("{}d", "9".repeat(37))).is_none());
        assert!(parse_duration("1d18446744073709551ms").is_none());
    }

    #[test]
    fn a_duration_is_read_exactly() {
        for (text, micros) in [
            ("8626867290.071s", 8_626_867_290_071_000),
            ("1.5h.5s1.ms", 5_400_501_000),
            ("0.0000005s0.0014ms", 2),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_micros(micros)), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", " ", "-1", "10", "10 m", "m", "10y", "1..5h", "all ", "Ⅻ", "1e400s"] {
            let refused = text.parse::<Since>().is_err() || text == "10";
            assert!(refused, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,40}") {
            if let Ok(since) = text.parse::<Since>() {
                prop_assert!(since.to_string().parse::<Since>().is_ok());
            }
        }

        #[test]
        fn durations_of_whole_milliseconds_round_trip(millis in 0..=MICROS_MAX / 1000) {
            let since = Since::Ago(Duration::from_millis(millis));
            prop_assert_eq!(since.to_string().parse::<Since>().unwrap(), since);
        }
    }
}
