//! NATS without a log: publish and subscribe. Its client protocol is
//! <https://docs.nats.io/reference/reference-protocols/nats-protocol>.

use std::net::SocketAddr;
use std::ops::Range;
use std::process::Command;
use std::rc::Rc;

use super::running::Running;
use crate::failure::{Failure, Result};
use crate::generator::dialect::{Dialect, Effects, Heard, State, Target, push, topic_name};
use crate::launch::{Program, find, folder, free_address, write};

/// Debian's packages.
pub(super) const PACKAGES: &str = "nats-server";

/// What a client says first: no answers to publishes, no schema checks, no echo of its own.
pub(super) const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":true,\"lang\":\"bench\",\
     \"version\":\"1\",\"protocol\":1,\"headers\":true,\"no_responders\":true}\r\n";

/// Starts it without a log.
pub(super) fn start() -> Result<Running> {
    let (program, address) = launch("")?;
    let dialect = Rc::new(Core);
    Ok(Running::at(address, program, dialect.clone(), dialect))
}

/// Starts it with more in its configuration; `FOLDER` there stands for its folder.
pub(super) fn launch(more: &str) -> Result<(Program, SocketAddr)> {
    let folder = folder()?;
    let address = free_address()?;
    let configuration = write(
        &folder,
        "nats.conf",
        &format!(
            "listen: 127.0.0.1:{}\nmax_connections: 19900\nmax_pending: 1GB\nwrite_deadline: \"60s\"\n\
             logfile: \"{}\"\n{}\n",
            address.port(),
            folder.path().join("log").display(),
            more.replace("FOLDER", &folder.path().display().to_string()),
        ),
    )?;
    let program = find("nats-server").ok_or_else(|| Failure("nats-server is gone".into()))?;
    let command = &mut Command::new(program);
    let program = Program::listening(folder, command.arg("-c").arg(configuration), address)?;
    Ok((program, address))
}

struct Core;

impl Dialect for Core {
    fn subscribe(&self, topics: Range<usize>, _state: &mut State, out: &mut Vec<u8>) -> u32 {
        out.extend_from_slice(CONNECT.as_bytes());
        for topic in topics {
            push!(out, "SUB {} {}\r\n", topic_name(topic), topic + 1);
        }
        // Answered when all before it was taken.
        out.extend_from_slice(b"PING\r\n");
        1
    }

    fn introduce(&self, _publisher: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(CONNECT.as_bytes());
    }

    fn publish(&self, to: Target, payload: &[u8], out: &mut Vec<u8>) {
        push!(out, "PUB t{:06} {}\r\n", to.topic, payload.len());
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
    }

    fn hear(&self, _state: &mut State, bytes: &[u8], effects: &mut Effects<'_>) -> Result<usize> {
        operations(bytes, effects, |operation, effects| {
            effects.heard(match operation {
                Operation::Pong => Heard::Ready,
                Operation::Message { text, .. } => Heard::Message(text),
                Operation::Error(words) => Heard::Refused(words),
            });
        })
    }
}

/// What a NATS server says that matters here.
pub(super) enum Operation<'a> {
    Pong,
    Message { subject: &'a [u8], text: &'a [u8] },
    Error(&'a [u8]),
}

/// Hands on whole operations and answers pings; returns the bytes taken.
pub(super) fn operations(
    bytes: &[u8],
    effects: &mut Effects<'_>,
    mut take: impl FnMut(Operation<'_>, &mut Effects<'_>),
) -> Result<usize> {
    let mut used = 0;
    while let Some(end) = memchr::memchr(b'\n', &bytes[used..]) {
        let line = bytes[used..used + end].trim_ascii_end();
        let after = used + end + 1;
        if let Some(words) = line.strip_prefix(b"MSG ") {
            let length = words.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
            let length = std::str::from_utf8(length).ok().and_then(|l| l.parse::<usize>().ok());
            let strange = || Failure(format!("NATS says {:?}", String::from_utf8_lossy(line)));
            let length = length.ok_or_else(strange)?;
            let Some(text) = bytes.get(after..after + length + 2) else { break };
            let subject = words.split(|byte| *byte == b' ').next().unwrap_or_default();
            take(Operation::Message { subject, text: &text[..length] }, effects);
            used = after + length + 2;
            continue;
        }
        match line {
            b"PING" => effects.out.extend_from_slice(b"PONG\r\n"),
            b"PONG" => take(Operation::Pong, effects),
            [b'-', words @ ..] => take(Operation::Error(words), effects),
            _ => {} // INFO, +OK
        }
        used = after;
    }
    Ok(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_taken_whole_wherever_they_are_cut() {
        let stream =
            b"INFO {}\r\nPONG\r\nMSG t000001 2 6\r\na\r\nb\r\n\r\nPING\r\nMSG x 1 y 2\r\nhi\r\n";
        for cut in 0..stream.len() {
            let (mut held, mut seen, mut out) = (Vec::new(), Vec::new(), Vec::new());
            for part in [&stream[..cut], &stream[cut..]] {
                held.extend_from_slice(part);
                let mut nobody = |_: Heard<'_>| {};
                let effects = &mut Effects::new(&mut out, &mut nobody);
                let used = operations(&held, effects, |operation, _| {
                    if let Operation::Message { subject, text } = operation {
                        seen.push((subject.to_vec(), text.to_vec()));
                    }
                })
                .unwrap();
                held.drain(..used);
            }
            let wanted = [("t000001", "a\r\nb\r\n"), ("x", "hi")]
                .map(|(subject, text)| (subject.as_bytes().to_vec(), text.as_bytes().to_vec()));
            assert_eq!(seen, wanted, "cut at {cut}");
            assert_eq!(out, b"PONG\r\n");
        }
    }
}
