//! Redis: publish and subscribe, which stores nothing. Persistence is off, and subscribers are
//! never cut off for being slow (as it comes, they are at 32 MB).

use std::ops::Range;
use std::process::Command;
use std::rc::Rc;

use super::running::Running;
use crate::failure::{Failure, Result};
use crate::generator::dialect::{Dialect, Effects, Heard, State, Target, push, topic_name};
use crate::launch::{Program, find, folder, free_address, write};

/// Debian's packages.
pub(super) const PACKAGES: &str = "redis-server";

/// Starts it.
pub(super) fn start() -> Result<Running> {
    let folder = folder()?;
    let address = free_address()?;
    let configuration = write(
        &folder,
        "redis.conf",
        &format!(
            "bind 127.0.0.1\nport {}\ndir {}\nsave \"\"\nappendonly no\ndaemonize no\n\
             tcp-backlog 4096\nmaxclients 19900\ntcp-keepalive 0\nmaxmemory 0\n\
             client-output-buffer-limit pubsub 0 0 0\n",
            address.port(),
            folder.path().display()
        ),
    )?;
    let program = find("redis-server").ok_or_else(|| Failure("redis-server is gone".into()))?;
    let program = Program::listening(folder, Command::new(program).arg(configuration), address)?;
    let dialect = Rc::new(Resp);
    Ok(Running::at(address, program, dialect.clone(), dialect))
}

/// Redis's protocol, version 2: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.
struct Resp;

impl Dialect for Resp {
    fn subscribe(&self, topics: Range<usize>, _state: &mut State, out: &mut Vec<u8>) -> u32 {
        push!(out, "*{}\r\n$9\r\nSUBSCRIBE\r\n", 1 + topics.len());
        let count = topics.len() as u32;
        topics.for_each(|topic| bulk(topic_name(topic).as_bytes(), out));
        count
    }

    fn publish(&self, to: Target, payload: &[u8], out: &mut Vec<u8>) {
        push!(out, "*3\r\n$7\r\nPUBLISH\r\n$7\r\nt{:06}\r\n", to.topic);
        bulk(payload, out);
    }

    fn acknowledges(&self) -> bool {
        true
    }

    fn hear(&self, _state: &mut State, bytes: &[u8], effects: &mut Effects<'_>) -> Result<usize> {
        let mut used = 0;
        while let Some(length) = reply(&bytes[used..], effects)? {
            used += length;
        }
        Ok(used)
    }
}

fn bulk(bytes: &[u8], out: &mut Vec<u8>) {
    push!(out, "${}\r\n", bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// One reply: the bytes that it took, once it is whole.
fn reply(bytes: &[u8], effects: &mut Effects<'_>) -> Result<Option<usize>> {
    let mut parts = Parts { bytes, used: 0 };
    let Some(first) = parts.line() else { return Ok(None) };
    match first {
        // How many subscribers a publish reached.
        [b':', ..] => effects.heard(Heard::Acknowledged(1)),
        [b'-', words @ ..] => effects.heard(Heard::Refused(words)),
        b"*3" => {
            let (Some(kind), Some(_topic)) = (parts.bulk(), parts.bulk()) else { return Ok(None) };
            if kind == b"message" {
                let Some(text) = parts.bulk() else { return Ok(None) };
                effects.heard(Heard::Message(text));
            } else {
                let Some(_count) = parts.line() else { return Ok(None) };
                effects.heard(Heard::Ready);
            }
        }
        other => {
            let other = String::from_utf8_lossy(other);
            return Err(Failure(format!("Redis says {other:?}")));
        }
    }
    Ok(Some(parts.used))
}

struct Parts<'a> {
    bytes: &'a [u8],
    used: usize,
}

impl<'a> Parts<'a> {
    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.used..];
        let end = memchr::memchr(b'\n', rest)?;
        self.used += end + 1;
        Some(rest[..end].trim_ascii_end())
    }

    fn bulk(&mut self) -> Option<&'a [u8]> {
        let length = self.line()?.strip_prefix(b"$")?;
        let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
        // With the end of its line.
        let bytes = self.bytes.get(self.used..self.used + length + 2)?;
        self.used += length + 2;
        Some(&bytes[..length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_taken_whole_wherever_they_are_cut() {
        let stream = b"*3\r\n$9\r\nsubscribe\r\n$7\r\nt000000\r\n:1\r\n:7\r\n\
            *3\r\n$7\r\nmessage\r\n$7\r\nt000000\r\n$5\r\nhel\r\n\r\n-ERR no\r\n";
        for cut in 0..stream.len() {
            let (mut held, mut seen) = (Vec::new(), Vec::new());
            for part in [&stream[..cut], &stream[cut..]] {
                held.extend_from_slice(part);
                let mut listener = |heard: Heard<'_>| {
                    seen.push(format!("{heard:?}"));
                };
                let mut out = Vec::new();
                let effects = &mut Effects::new(&mut out, &mut listener);
                let used = Resp.hear(&mut State::default(), &held, effects).unwrap();
                held.drain(..used);
            }
            let message = format!("{:?}", Heard::Message(b"hel\r\n"));
            assert_eq!(seen[..3], ["Ready", "Acknowledged(1)", &message], "cut at {cut}");
            assert_eq!(seen.len(), 4);
        }
    }
}
