//! The floor programs as contenders: sub-commands of this same binary.

use std::ops::Range;
use std::process::Command;
use std::rc::Rc;

use super::post::Post;
use super::running::Running;
use crate::failure::{During, Failure, Result};
use crate::generator::dialect::{Dialect, Effects, Heard, State, Target, lines, push};
use crate::generator::http;
use crate::launch::{Program, folder};

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// One write a message and socket.
    Each,
    /// One write for all that waits.
    Batch,
    /// As the first, over TLS.
    EachTls,
    /// As the second, over TLS.
    BatchTls,
    /// All that it ever got for whoever comes.
    Keep,
    /// As the first, appended to a file before.
    Log,
    /// Long polls.
    LongPoll,
    /// An echo.
    Echo,
    /// An acknowledged append.
    Append,
    /// The same, synchronised.
    Sync,
    /// An axum handler that reads the body.
    Http,
}

impl Which {
    fn command(self) -> &'static str {
        match self {
            Self::Each => "floor",
            Self::Batch => "floor-batch",
            Self::EachTls => "floor-tls",
            Self::BatchTls => "floor-batch-tls",
            Self::Keep => "floor-keep",
            Self::Log => "floor-log",
            Self::LongPoll => "floor-longpoll",
            Self::Echo => "floor-echo",
            Self::Append => "floor-append",
            Self::Sync => "floor-sync",
            Self::Http => "floor-http",
        }
    }
}

/// Starts it.
pub(super) fn start(which: Which) -> Result<Running> {
    let folder = folder()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(which.command());
    if matches!(which, Which::Append | Which::Log | Which::Sync) {
        command.arg(folder.path().join("log"));
    }
    let (program, ready) = Program::telling(folder, &mut command)?;
    let address = ready.trim().strip_prefix("ready ").and_then(|address| address.parse().ok());
    let address = address.ok_or_else(|| Failure(format!("a floor program says {ready:?}")))?;
    let (subscriber, publisher): (Rc<dyn Dialect>, Rc<dyn Dialect>) = match which {
        Which::LongPoll => (Rc::new(Poll), Rc::new(Lines { acknowledges: false })),
        Which::Http => (Rc::new(Post { folder: "" }), Rc::new(Post { folder: "" })),
        Which::Append | Which::Sync => {
            let lines = Rc::new(Lines { acknowledges: true });
            (lines.clone(), lines)
        }
        _ => {
            let lines = Rc::new(Lines { acknowledges: false });
            (lines.clone(), lines)
        }
    };
    let encrypted = matches!(which, Which::EachTls | Which::BatchTls);
    Ok(Running { encrypted, ..Running::at(address, program, subscriber, publisher) })
}

/// Messages as lines, and nothing else.
struct Lines {
    acknowledges: bool,
}

impl Dialect for Lines {
    fn subscribe(&self, topics: Range<usize>, _state: &mut State, out: &mut Vec<u8>) -> u32 {
        push!(out, "S {} {}\n", topics.start, topics.end);
        1
    }

    fn introduce(&self, _publisher: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"P\n");
    }

    fn publish(&self, _to: Target, payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(payload);
        out.push(b'\n');
    }

    fn acknowledges(&self) -> bool {
        self.acknowledges
    }

    fn hear(&self, _state: &mut State, bytes: &[u8], effects: &mut Effects<'_>) -> Result<usize> {
        lines(bytes, |line| {
            match line {
                b"ok" if self.acknowledges => effects.heard(Heard::Acknowledged(1)),
                b"ok" => effects.heard(Heard::Ready),
                // An echo's own first line comes back too.
                b"P" => {}
                line => effects.heard(Heard::Message(line)),
            }
            Ok(())
        })
    }
}

/// One long poll after the other.
struct Poll;

impl Dialect for Poll {
    fn subscribe(&self, topics: Range<usize>, state: &mut State, out: &mut Vec<u8>) -> u32 {
        push!(out, "GET /{}/{} HTTP/1.1\r\nHost: localhost\r\n\r\n", topics.start, state.heard);
        // One that waits is not told so; nothing is lost if it comes later than the first message.
        0
    }

    fn hear(&self, state: &mut State, bytes: &[u8], effects: &mut Effects<'_>) -> Result<usize> {
        http::answers(bytes, |_, body| {
            lines(body, |line| {
                state.heard += 1;
                effects.heard(Heard::Message(line));
                Ok(())
            })
            .during(|| "a long poll's answer".into())?;
            self.subscribe(state.topic..state.topic + 1, state, effects.out);
            Ok(())
        })
    }
}
