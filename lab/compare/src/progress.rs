//! What a person at a terminal sees while a run goes on: one line, written over again and again.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Of runs that take longer it is said how long.
const SAID_FROM: Duration = Duration::from_secs(10);

/// The line on the standard error; nothing if that is no terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: bool,
    stage: String,
    /// When it will be over, about, if that is far away.
    end: Option<Instant>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { shown: io::stderr().is_terminal(), stage: String::new(), end: None }
    }

    /// Says about how long all of it will take, if it is long: where nobody sees it go on, once.
    pub(crate) fn expect(&mut self, length: Duration) {
        if length < SAID_FROM {
            return;
        }
        self.end = Some(Instant::now() + length);
        if !self.shown {
            // That it can't be said is no reason to stop.
            let _ = writeln!(io::stderr(), "this takes about {}", told(length));
        }
    }

    /// Says what goes on from now on.
    pub(crate) fn stage(&mut self, stage: impl Into<String>) {
        self.stage = stage.into();
        self.detail("");
    }

    /// Says how far it is.
    pub(crate) fn detail(&self, detail: &str) {
        if self.shown {
            let left = self.end.map(|end| end.saturating_duration_since(Instant::now()));
            let left = left.map_or_else(String::new, |left| format!("  about {} left", told(left)));
            // That it can't be shown is no reason to stop.
            let _ = write!(io::stderr(), "\r\u{1b}[K{}  {detail}{left}", self.stage);
        }
    }
}

/// A length of time to the second, or to five where it is long.
fn told(length: Duration) -> String {
    match length.as_secs() {
        seconds @ ..=90 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60 / 5 * 5),
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_in_seconds_and_minutes() {
        assert_eq!(
            [0, 90, 91, 134].map(|s| told(Duration::from_secs(s))),
            ["0 s", "90 s", "1 min 30 s", "2 min 10 s"]
        );
    }
}
