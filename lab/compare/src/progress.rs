//! What a person at a terminal sees while a run goes on: one line, written over again and again.

use std::io::{self, IsTerminal, Write};

/// The line on the standard error; nothing if that is no terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: bool,
    stage: String,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { shown: io::stderr().is_terminal(), stage: String::new() }
    }

    /// Says what goes on from now on.
    pub(crate) fn stage(&mut self, stage: impl Into<String>) {
        self.stage = stage.into();
        self.detail("");
    }

    /// Says how far it is.
    pub(crate) fn detail(&self, detail: &str) {
        if self.shown {
            // That it can't be shown is no reason to stop.
            let _ = write!(io::stderr(), "\r\u{1b}[K{}  {detail}", self.stage);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}
