//! A password from whoever sits at the terminal, or from standard input.

use std::io::{self, BufRead, IsTerminal, Read};
use std::os::fd::AsFd;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Bytes of a password: it is hashed with every login.
const BYTES_MAX: u64 = 1024;

/// Asks for it, twice at a terminal, where it is not shown.
///
/// # Errors
///
/// That there is none that could be used, in one sentence.
pub(super) fn ask() -> Result<String, String> {
    let wrong = |error: io::Error| format!("the password cannot be read: {error}");
    if !io::stdin().is_terminal() {
        return usable(line().map_err(wrong)?);
    }
    let _hidden = Hidden::begin().map_err(wrong)?;
    let prompted = |prompt: &str| {
        eprint!("{prompt}");
        let answer = line();
        eprintln!();
        answer.map_err(wrong)
    };
    let first = usable(prompted("Password: ")?)?;
    if first != prompted("Once more: ")? {
        return Err("the two passwords are unlike".to_owned());
    }
    Ok(first)
}

fn line() -> io::Result<String> {
    let mut text = String::new();
    io::stdin().lock().take(BYTES_MAX + 2).read_line(&mut text)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn usable(password: String) -> Result<String, String> {
    match password.len() as u64 {
        0 => Err("there is no password".to_owned()),
        1..=BYTES_MAX => Ok(password),
        _ => Err(format!("a password has at most {BYTES_MAX} bytes")),
    }
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin().as_fd())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin().as_fd(), OptionalActions::Flush, &hidden)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Flush, &self.0);
    }
}
