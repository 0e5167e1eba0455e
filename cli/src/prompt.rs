//! Asks the person at the terminal for something that nobody should read over a shoulder.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The terminal of this process, whatever its standard input is.
const TERMINAL: &str = "/dev/tty";

/// A line that is typed unseen, without its end.
///
/// # Errors
///
/// That there is no terminal.
pub(crate) fn ask_unseen(question: &str) -> io::Result<String> {
    let terminal = File::options().read(true).write(true).open(TERMINAL)?;
    let unseen = Unseen::begin(&terminal)?;
    (&terminal).write_all(question.as_bytes())?;
    let mut line = String::new();
    BufReader::new(&terminal).read_line(&mut line)?;
    drop(unseen);
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

/// While it is there, the terminal shows the end of a line and nothing else of what is typed.
struct Unseen<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Unseen<'a> {
    fn begin(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut modes = before.clone();
        modes.local_modes.remove(LocalModes::ECHO);
        modes.local_modes.insert(LocalModes::ECHONL);
        // What was typed before the question is no answer to it.
        tcsetattr(terminal, OptionalActions::Flush, &modes)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Unseen<'_> {
    fn drop(&mut self) {
        // If the terminal is gone, nobody sees what it shows.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}
