//! How long a reader lets its messages wait for others: the `coalesce` parameter of what is pushed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::code::{Code, Error, quoted};
use crate::limits::COALESCE_SECONDS_MAX;
use crate::since::parse_duration;

/// The time, in whole milliseconds, that the first message that waits may wait at most, so that
/// others that come meanwhile go out together with it. None unless a reader asks for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CoalesceWindow {
    millis: u16,
}

impl CoalesceWindow {
    /// A window of so long, to the millisecond.
    ///
    /// # Errors
    ///
    /// [`Code::BadRequest`] if it is longer than [`COALESCE_SECONDS_MAX`].
    pub fn new(window: Duration) -> Result<Self, Error> {
        if window > Duration::from_secs(COALESCE_SECONDS_MAX) {
            let text = format!("coalesce {window:?} is too long, limit is {COALESCE_SECONDS_MAX}s");
            return Err(Error::new(Code::BadRequest, text));
        }
        Ok(Self { millis: u16::try_from(window.as_millis()).unwrap_or(u16::MAX) })
    }

    /// Whether each message is sent at once.
    pub fn is_none(self) -> bool {
        self.millis == 0
    }

    /// How long it is.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.millis.into())
    }
}

impl FromStr for CoalesceWindow {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let window = parse_duration(text).ok_or_else(|| {
            let text = format!("coalesce {} is no duration such as 500ms", quoted(text));
            Error::new(Code::BadRequest, text)
        })?;
        Self::new(window)
    }
}

impl fmt::Display for CoalesceWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_duration_within_its_bound_and_is_written_as_it_is_read() {
        for (text, written) in [("500ms", "500ms"), ("1m", "60000ms"), ("1.5s", "1500ms")] {
            let window: CoalesceWindow = text.parse().unwrap();
            assert_eq!(window.to_string(), written);
            assert_eq!(written.parse(), Ok(window));
            assert!(!window.is_none());
        }
        assert!("0s".parse::<CoalesceWindow>().unwrap().is_none());
        for (text, expected) in [
            ("500", "coalesce '500' is no duration such as 500ms"),
            ("", "coalesce '' is no duration"),
            ("61s", "coalesce 61s is too long, limit is 60s"),
            ("60.0001s", "coalesce 60.0001s is too long"),
        ] {
            let error = text.parse::<CoalesceWindow>().unwrap_err();
            assert!(error.text().starts_with(expected), "{error:?}");
        }
    }
}
