//! What the stream holds of a message: what the text log has in the columns of its line, and the
//! JSON that goes out on the wire without the place, which the stream gives.
//!
//! ```text
//! m 41 99 anna "time":…,"time_us":…,"event":"message","topic":…}
//! | |  |  |    |
//! | |  |  |    the JSON behind {"id":…,"seq":…,
//! | |  |  owner: whose share of the log it fills
//! | |  as of: the newest seq that its front knew then
//! | chain: the seq of the topic's message before it, as far as its front knew; 0 if there was none
//! kind: m a message; p one that is not kept
//! ```
//!
//! A chain `-3` without an "as of" is exact: three places before, in the same batch. The bytes of a
//! message are the same on every front, because nothing but its place is added to them.

use std::io::Write;

use doorbell_protocol::{Draft, Epoch, Event, Id};
use memchr::memchr;

use crate::log::Owner;

/// Bytes that the columns, the headers of a message and its topic take beside its JSON.
pub(super) const BESIDE_BYTES_MAX: usize = 2048;

/// What was before a message in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chain {
    /// So many places before, in the same batch.
    Within(u64),
    /// The newest message that its front knew of, when it knew all messages up to `as_of`.
    Known { newest: u64, as_of: u64 },
}

impl Chain {
    /// The newest message of the topic before `seq` that may have been let go, where the log begins
    /// at `first` and no message of the topic is held before `seq`. What somebody else stored
    /// meanwhile is not known here, and so is taken to have been.
    pub(super) fn let_go(self, seq: u64, first: u64) -> u64 {
        match self {
            Self::Within(back) => seq.saturating_sub(back),
            Self::Known { newest, as_of } if as_of + 1 >= first => newest,
            Self::Known { .. } => first - 1,
        }
    }
}

/// A stored message without its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Payload<'a> {
    pub(super) is_kept: bool,
    pub(super) chain: Chain,
    pub(super) owner: &'a str,
    pub(super) time_us: u64,
    /// The JSON behind the place.
    rest: &'a [u8],
}

/// Writes what is stored of a draft.
pub(super) fn write(
    draft: &Draft,
    time_us: u64,
    expires: Option<u64>,
    chain: Chain,
    owner: &Owner,
) -> Vec<u8> {
    let (nowhere, is_kept) = (Epoch::from_bits(0).id(0), draft.is_kept);
    let event = Event::message(draft, nowhere, time_us, expires.filter(|_| is_kept));
    let mut json = Vec::with_capacity(draft.weight() + 256);
    event.write_json(&mut json);
    let mut out = Vec::with_capacity(json.len() + owner.as_str().len() + 48);
    let kind = if is_kept { 'm' } else { 'p' };
    let written = match chain {
        Chain::Within(back) => write!(out, "{kind} -{back} {owner} ", owner = owner.as_str()),
        Chain::Known { newest, as_of } => {
            write!(out, "{kind} {newest} {as_of} {owner} ", owner = owner.as_str())
        }
    };
    written.expect("there is room in memory");
    out.extend_from_slice(&json[place(nowhere).len()..]);
    out
}

/// How the JSON of a message begins.
fn place(id: Id) -> String {
    format!("{{\"id\":\"{id}\",\"seq\":{},", id.seq())
}

impl<'a> Payload<'a> {
    /// Reads it; `None` if another program wrote it.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (kind, rest) = word(bytes)?;
        let is_kept = match kind {
            b"m" => true,
            b"p" => false,
            _ => return None,
        };
        let (chain, rest) = word(rest)?;
        let (chain, rest) = match chain.strip_prefix(b"-") {
            Some(back) => (Chain::Within(number(back)?), rest),
            None => {
                let (as_of, rest) = word(rest)?;
                (Chain::Known { newest: number(chain)?, as_of: number(as_of)? }, rest)
            }
        };
        let (owner, rest) = word(rest)?;
        let after_time = rest.strip_prefix(b"\"time\":")?;
        let after_time = &after_time[memchr(b',', after_time)?..];
        let digits = after_time.strip_prefix(b",\"time_us\":")?;
        let time_us = number(&digits[..memchr(b',', digits)?])?;
        Some(Self { is_kept, chain, owner: str::from_utf8(owner).ok()?, time_us, rest })
    }

    /// The whole JSON, at its place.
    pub(super) fn json(&self, id: Id) -> Vec<u8> {
        let mut json = place(id).into_bytes();
        json.extend_from_slice(self.rest);
        json
    }
}

fn word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b' ', bytes)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

fn number(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(text: &str) -> Draft {
        Draft::text("a.b".parse().unwrap(), text, 1 << 20).unwrap()
    }

    #[test]
    fn what_is_stored_gives_the_bytes_of_the_message() {
        let id = Epoch::from_bits(90).id(123_456);
        for (chain, is_kept) in [
            (Chain::Within(3), true),
            (Chain::Known { newest: 0, as_of: 0 }, false),
            (Chain::Known { newest: 41, as_of: 99 }, true),
        ] {
            let draft = Draft { is_kept, ..draft("é \"x\"\n") };
            let bytes = write(&draft, 1_763_850_000_123_456, Some(7), chain, &Owner::named("anna"));
            let stored = Payload::read(&bytes).unwrap();
            assert_eq!((stored.chain, stored.is_kept, stored.owner), (chain, is_kept, "anna"));
            assert_eq!(stored.time_us, 1_763_850_000_123_456);
            let expires = is_kept.then_some(7);
            let event = Event::message(&draft, id, stored.time_us, expires);
            assert_eq!(String::from_utf8(stored.json(id)).unwrap(), event.to_json());
        }
    }

    #[test]
    fn what_another_program_wrote_is_no_message() {
        let bytes = write(&draft("x"), 5, None, Chain::Within(1), &Owner::nobody());
        assert!(Payload::read(&bytes).is_some());
        for end in 0..bytes.len() - 30 {
            let _ = Payload::read(&bytes[..end]);
        }
        for text in ["", "m", "x -1 - \"time\":1,\"time_us\":1,", "m -1 -", "m -1 - {}", "hello"] {
            assert_eq!(Payload::read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_nobody_knows_is_taken_to_have_been_let_go() {
        assert_eq!(Chain::Within(2).let_go(10, 9), 8);
        assert_eq!(Chain::Known { newest: 3, as_of: 8 }.let_go(10, 9), 3);
        assert_eq!(Chain::Known { newest: 3, as_of: 7 }.let_go(10, 9), 8);
        assert_eq!(Chain::Known { newest: 0, as_of: 9 }.let_go(10, 9), 0);
    }
}
