//! One line of a segment: a short head, and the JSON that goes out on the wire.
//!
//! ```text
//! daea9426 0002 m 00000000000041 anna {"id":"0MV3k0000001","seq":43,"time":…}
//! |        |    | |              |    |
//! 0        9    | 16             31   the JSON, to the end of the line
//! checksum mark kind  chain      owner
//!              14
//! ```
//!
//! - checksum: CRC-32 (that of zlib) of all that follows it in the line, without the end of the
//!   line, in hex.
//! - mark: `----` if the batch goes on, else how many lines it had.
//! - kind: `m` a message, or what was done to one; `p` the place of one that is not kept, `h` the
//!   head of the segment, `s` a start of the server, `e` its end. A reader passes over any other.
//! - chain: the seq of the message before it in the same topic, or a place up to which those were
//!   let go; 0 if there is none.
//! - owner: whose share of the log it fills, in one word; `-` for nobody's.
//!
//! The columns have fixed places as far as the owner, so that `cut -d' ' -f6-` gives the JSON. JSON
//! has no end of a line in it: after damage, reading goes on at the next one.

use std::io::Write;

use doorbell_protocol::Id;
use doorbell_protocol::id::ID_CHARS;
use memchr::{memchr, memmem};

use crate::log::Owner;

/// Bytes before the owner.
const OWNER_AT: usize = 31;
pub(super) const CHECKSUM_BYTES: usize = 8;
/// Lines of one batch, as many as a mark can tell.
pub(super) const BATCH_LINES_MAX: usize = 9999;
const GOES_ON: &[u8] = b"----";
/// How the head of a segment begins after its checksum.
pub(super) const HEAD_BEGINS: &[u8] = b" 0001 h 00000000000000 - {\"id\":\"";
/// How the JSON of every line begins.
const JSON_BEGINS: &[u8] = b"{\"id\":\"";

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A message.
    Message,
    /// The place of a message that is not kept.
    Place,
    /// The head of a segment.
    Head,
    /// A start of the server.
    Start,
    /// A server ended as it should.
    End,
    /// What another version wrote.
    Other,
}

impl Kind {
    const fn letter(self) -> u8 {
        match self {
            Self::Message => b'm',
            Self::Place => b'p',
            Self::Head => b'h',
            Self::Start => b's',
            Self::End => b'e',
            Self::Other => b'?',
        }
    }

    fn of(letter: u8) -> Self {
        let known = [Self::Message, Self::Place, Self::Head, Self::Start, Self::End];
        known.into_iter().find(|kind| kind.letter() == letter).unwrap_or(Self::Other)
    }
}

/// A line whose checksum is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogLine<'a> {
    /// How many lines the batch has that ends with this one; `None` if it goes on.
    pub(super) ends: Option<usize>,
    pub(super) kind: Kind,
    /// The seq of the topic's message before it.
    pub(super) chain: u64,
    pub(super) owner: &'a str,
    pub(super) json: &'a [u8],
}

impl<'a> LogLine<'a> {
    /// What its JSON begins with, if it is a message.
    pub(super) fn message(&self) -> Option<Stored<'a>> {
        if self.kind == Kind::Message { stored(self.json) } else { None }
    }

    /// Whose place it has, if it is a message or stands for one.
    pub(super) fn seq(&self) -> Option<u64> {
        match self.kind {
            Kind::Message => Some(stored(self.json)?.id.seq()),
            Kind::Place => id(self.json).map(|(id, _)| id.seq()),
            Kind::Head | Kind::Start | Kind::End | Kind::Other => None,
        }
    }

    /// How long it is, its end included.
    pub(super) fn bytes(&self) -> usize {
        OWNER_AT + self.owner.len() + self.json.len() + 2
    }
}

/// What is found at fixed places of a message's JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored<'a> {
    pub(super) id: Id,
    pub(super) time_us: u64,
    pub(super) topic: &'a str,
}

/// Appends a line with its end. `ends` is as in [`LogLine`].
pub(super) fn push(
    out: &mut Vec<u8>,
    ends: Option<usize>,
    kind: Kind,
    chain: u64,
    owner: &Owner,
    json: &[u8],
) {
    let begin = out.len();
    out.reserve(OWNER_AT + owner.as_str().len() + json.len() + 2);
    out.extend_from_slice(b"00000000 ---- ? 00000000000000 ");
    if let Some(lines) = ends {
        write_decimal(&mut out[begin + 9..begin + 13], lines as u64);
    }
    out[begin + 14] = kind.letter();
    write_decimal(&mut out[begin + 16..begin + 30], chain);
    out.extend_from_slice(owner.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(json);
    let checksum = crc32fast::hash(&out[begin + CHECKSUM_BYTES + 1..]);
    let mut head = &mut out[begin..begin + CHECKSUM_BYTES];
    write!(head, "{checksum:08x}").expect("eight digits have room");
    out.push(b'\n');
}

/// Writes a number that is not wider than its place, with zeros before it.
fn write_decimal(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Reads a line, given without its end. `None` if it is damaged.
pub(super) fn parse(line: &[u8]) -> Option<LogLine<'_>> {
    let (checksum, rest) = line.split_at_checked(CHECKSUM_BYTES)?;
    let rest = rest.strip_prefix(b" ")?;
    if hex(checksum)? == crc32fast::hash(rest) { columns(line) } else { None }
}

/// Reads a line whose checksum was found to be right before.
pub(super) fn columns(line: &[u8]) -> Option<LogLine<'_>> {
    let (mark, kind, chain) = (line.get(9..13)?, *line.get(14)?, line.get(16..30)?);
    let ends = if mark == GOES_ON { None } else { Some(usize::try_from(decimal(mark)?).ok()?) };
    let rest = line.get(OWNER_AT..)?;
    let owner_end = memchr(b' ', rest)?;
    let owner = str::from_utf8(&rest[..owner_end]).ok()?;
    let json = &rest[owner_end + 1..];
    Some(LogLine { ends, kind: Kind::of(kind), chain: decimal(chain)?, owner, json })
}

/// The seq of a line that is not verified: what is found where its id should be.
pub(super) fn seq_of(line: &[u8]) -> Option<u64> {
    let rest = line.get(OWNER_AT..)?;
    let json = &rest[memchr(b' ', rest)? + 1..];
    let id = json.strip_prefix(JSON_BEGINS)?.get(..ID_CHARS)?;
    Some(str::from_utf8(id).ok()?.parse::<Id>().ok()?.seq())
}

/// The lines that can be read in a text that stood between two ends of lines, with where they begin
/// in it. That is one, unless something is damaged: an end that was damaged joins two.
pub(super) fn readable(text: &[u8]) -> impl Iterator<Item = (usize, LogLine<'_>)> {
    let whole = parse(text);
    // In a text that is one line nothing else is looked for.
    let damaged = whole.is_none().then_some(text);
    let mut begins = damaged
        .into_iter()
        .flat_map(|text| memmem::find_iter(text, b" {\"id\":\""))
        .filter_map(|at| memchr::memrchr(b' ', &text[..at])?.checked_sub(OWNER_AT - 1))
        .peekable();
    let within = std::iter::from_fn(move || {
        let begin = begins.next()?;
        // The byte before the next line is what its end has become; so may the last byte of all be.
        let end = begins.peek().map_or(text.len(), |next| next.saturating_sub(1));
        let line = text.get(begin..end).unwrap_or_default();
        Some((begin, parse(line).or_else(|| parse(line.split_last()?.1))))
    });
    let within = within.filter_map(|(begin, line)| Some((begin, line?)));
    whole.map(|line| (0, line)).into_iter().chain(within)
}

/// Reads the id that JSON begins with, and gives what stands behind it.
fn id(json: &[u8]) -> Option<(Id, &[u8])> {
    let (id, rest) = json.strip_prefix(JSON_BEGINS)?.split_at_checked(ID_CHARS)?;
    Some((str::from_utf8(id).ok()?.parse().ok()?, rest))
}

/// Reads what a message's JSON begins with.
fn stored(json: &[u8]) -> Option<Stored<'_>> {
    let (id, rest) = id(json)?;
    let rest = rest.strip_prefix(b"\",\"seq\":")?;
    let rest = skip_digits(rest).strip_prefix(b",\"time\":")?;
    let rest = skip_digits(rest).strip_prefix(b",\"time_us\":")?;
    let digits = rest.len() - skip_digits(rest).len();
    let time_us = decimal(&rest[..digits])?;
    let rest = rest[digits..].strip_prefix(b",\"event\":\"message")?;
    let done = [&b"_clear"[..], b"_delete"].into_iter().find_map(|done| rest.strip_prefix(done));
    let rest = done.unwrap_or(rest).strip_prefix(b"\",\"topic\":\"")?;
    // Nothing in a topic's name needs to be escaped.
    let topic = str::from_utf8(&rest[..memchr(b'"', rest)?]).ok()?;
    Some(Stored { id, time_us, topic })
}

fn skip_digits(text: &[u8]) -> &[u8] {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    &text[digits..]
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for digit in digits {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number = number.checked_mul(10)?.checked_add(digit)?;
    }
    (!digits.is_empty()).then_some(number)
}

fn hex(digits: &[u8]) -> Option<u32> {
    let mut number = 0;
    for digit in digits {
        number = number << 4 | char::from(*digit).to_digit(16)?;
    }
    Some(number)
}
