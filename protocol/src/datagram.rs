//! The datagrams of UDP: one line each, so that `nc -u` can speak them.
//!
//! ```text
//! the client says                        the server answers
//! SUB FILTER [since=S] [ticket=T] cookie=C
//!                                        ok, then messages as they are published
//! PING [word] cookie=C                   pong; the lease runs anew
//! QUIT cookie=C   (or UNSUB)             close; nothing more comes
//! any of these without a good cookie     cookie=C, and nothing else
//! ```
//!
//! **The cookie.** The sender's address in a datagram can be forged, so nothing is believed and
//! nothing is remembered until the address has shown that it hears: it must send back the cookie
//! that it was sent. A cookie is good for one address and for a minute or two; each `pong` brings a
//! new one. The answer without a cookie is [`CHALLENGE_BYTES_MAX`] bytes long and never longer than
//! the request, so a forger gains nothing: the amplification is at most 1. A request that is too
//! short for it is answered with `pad`, or not at all; blanks at its end make it long enough. What
//! is no request is never answered, so that two servers cannot be set upon each other.
//!
//! **One subscription an address.** A new `SUB` takes the place of the one before. A subscription
//! ends with its lease, unless a `PING` renews it in time. `ok` tells the lease in seconds.
//!
//! **The chain.** Events are those of the line protocol, with [`Members`] at their end:
//!
//! ```text
//! {"id":"…5","seq":5,…,"event":"message","topic":"t","message":"hi","prev":"…3"}
//! ```
//!
//! `prev` is the id of the message before it on this subscription, or of the place where the
//! subscription began. A client that stands before `prev` has lost something, knows it at once, and
//! fetches it by a poll with `since=` its place. `keepalive` and `pong` carry in `id` the place
//! reached and in `prev` the last message, so a lost last message is noticed too: a first keepalive
//! follows soon after each message, the next ones at growing distances. Told like this, repeated,
//! overtaken and lost datagrams all end in the same: what stands at or before one's place is passed
//! over, what follows directly is taken, anything else is fetched.
//!
//! **What is too large** for a datagram of [`DATAGRAM_BYTES_MAX`] bytes is announced by its id: an
//! event `message` with `"large":true` and without the text.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::code::{Code, Error, quoted};
use crate::id::Id;
use crate::limits::{DATAGRAM_BYTES_MAX, PING_BYTES_MAX};
use crate::since::Since;
use crate::topic::Filter;

/// After a message, the time until the first sign of life that tells that it was the last.
pub const QUIET_FIRST: Duration = Duration::from_millis(250);
/// How many times longer each next one takes, up to the server's keepalive.
pub const QUIET_GROWTH: u32 = 4;
/// Characters of a cookie: letters and digits.
pub const COOKIE_CHARS: usize = 12;
/// Bytes of the longest answer to a request without a good cookie: `cookie=`, the cookie, `\n`. A
/// request of at least as many bytes is answered with it.
pub const CHALLENGE_BYTES_MAX: usize = COOKIE.len() + COOKIE_CHARS + 1;

const COOKIE: &str = "cookie=";
const PAD: &str = "pad\n";
const BLANKS: [char; 2] = [' ', '\t'];

/// What a request asks for, not yet read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Subscribe,
    Ping,
    Quit,
}

/// A datagram of a client, read as far as one may before its cookie has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    verb: Verb,
    rest: &'a str,
    cookie: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// Reads a datagram; `None` if it is nothing that a server answers.
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        if datagram.len() > DATAGRAM_BYTES_MAX {
            return None;
        }
        let line = std::str::from_utf8(datagram).ok()?;
        let line = line.trim_end_matches(['\r', '\n']).trim_start_matches(BLANKS);
        let (verb, rest) = line.split_once(BLANKS).unwrap_or((line, ""));
        let verb = match verb.to_ascii_uppercase().as_str() {
            "SUB" => Verb::Subscribe,
            "PING" => Verb::Ping,
            "QUIT" | "UNSUB" => Verb::Quit,
            _ => return None,
        };
        let cookie = rest.split(BLANKS).find_map(|word| word.strip_prefix(COOKIE));
        Some(Self { verb, rest, cookie })
    }

    /// The cookie that came with it.
    pub fn cookie(&self) -> Option<&'a str> {
        self.cookie
    }

    /// What is asked for.
    pub fn command(&self) -> Result<DatagramCommand<'a>, Error> {
        let mut words =
            self.rest.split(BLANKS).filter(|word| !word.is_empty() && !word.starts_with(COOKIE));
        let command = match self.verb {
            Verb::Subscribe => {
                let filter = words.next().ok_or_else(|| bad("SUB needs a filter"))?.parse()?;
                let (mut since, mut ticket) = (None, None);
                for word in words.by_ref() {
                    match word.split_once('=') {
                        Some(("since", value)) if since.is_none() => since = Some(value.parse()?),
                        Some(("ticket", value)) if ticket.is_none() => {
                            ticket = Some(DatagramTicket(value));
                        }
                        Some(("since" | "ticket", _)) => {
                            return Err(bad("an option of SUB is there twice"));
                        }
                        _ => return Err(option(word)),
                    }
                }
                DatagramCommand::Subscribe { filter, since, ticket }
            }
            Verb::Ping => DatagramCommand::Ping(words.next().map(ping_word).transpose()?),
            Verb::Quit => DatagramCommand::Quit,
        };
        match words.next() {
            None => Ok(command),
            Some(word) => Err(bad(format!("{} is one word too many", quoted(word)))),
        }
    }
}

fn option(word: &str) -> Error {
    bad(format!("option {} is none of since=…, ticket=… and cookie=…", quoted(word)))
}

fn ping_word(word: &str) -> Result<&str, Error> {
    if word.len() > PING_BYTES_MAX {
        let length = word.len();
        return Err(bad(format!("word of PING is {length} bytes long, limit is {PING_BYTES_MAX}")));
    }
    Ok(word)
}

fn bad(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Code::BadRequest, text)
}

/// What a client asks for in one datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatagramCommand<'a> {
    /// Hear what is published from a place on, instead of what was heard so far.
    Subscribe {
        /// What to hear.
        filter: Filter,
        /// Where to begin; only what is new if absent.
        since: Option<Since>,
        /// What allows it, where not everybody may.
        ticket: Option<DatagramTicket<'a>>,
    },
    /// Renew the lease and tell the place reached.
    Ping(Option<&'a str>),
    /// End the subscription.
    Quit,
}

/// A ticket, which is shown to nobody but the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DatagramTicket<'a>(pub &'a str);

impl fmt::Debug for DatagramTicket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatagramTicket")
    }
}

impl DatagramCommand<'_> {
    /// The datagram, long enough to be answered with a cookie if it brings none.
    pub fn to_datagram(&self, cookie: Option<&str>) -> String {
        let mut line = self.to_string();
        if let Some(cookie) = cookie {
            line.push(' ');
            line.push_str(COOKIE);
            line.push_str(cookie);
        }
        format!("{line:<width$}\n", width = CHALLENGE_BYTES_MAX - 1)
    }
}

impl fmt::Display for DatagramCommand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscribe { filter, since, ticket } => {
                write!(f, "SUB {filter}")?;
                if let Some(since) = since {
                    write!(f, " since={since}")?;
                }
                ticket.map_or(Ok(()), |DatagramTicket(ticket)| write!(f, " ticket={ticket}"))
            }
            Self::Ping(None) => f.write_str("PING"),
            Self::Ping(Some(word)) => write!(f, "PING {word}"),
            Self::Quit => f.write_str("QUIT"),
        }
    }
}

/// The answer to a request without a good cookie, given the length of the request in bytes. It is
/// never longer than that; `None` means silence.
pub fn challenge(cookie: &str, request_bytes: usize) -> Option<String> {
    let answer = format!("{COOKIE}{cookie}\n");
    if answer.len() <= request_bytes {
        return Some(answer);
    }
    (PAD.len() <= request_bytes).then(|| PAD.to_owned())
}

/// The cookie in an answer of the server; `None` if the datagram is something else.
pub fn cookie_in(datagram: &[u8]) -> Option<&str> {
    let cookie = std::str::from_utf8(datagram).ok()?.strip_prefix(COOKIE)?.trim_end();
    let fits = (1..=COOKIE_CHARS).contains(&cookie.len());
    (fits && cookie.bytes().all(|b| b.is_ascii_alphanumeric())).then_some(cookie)
}

/// What an event carries beside itself when it travels as a datagram.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// The message before it on this subscription, or the place where the subscription began.
    pub prev: Id,
    /// Whether the message is announced only, because it is too large.
    #[serde(default, skip_serializing_if = "is_false")]
    pub large: bool,
    /// Seconds after which the subscription ends unless it is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
    /// The cookie to use from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde wants")]
fn is_false(value: &bool) -> bool {
    !value
}

const PREV: &[u8] = b",\"prev\":";

impl Members {
    /// The members of an event that follows another.
    pub fn after(prev: Id) -> Self {
        Self { prev, large: false, lease: None, cookie: None }
    }

    /// The datagram of an event: its JSON with these as its last members, and `\n`.
    pub fn join(&self, json: &[u8]) -> Vec<u8> {
        let members = serde_json::to_vec(self).expect("plain structs are always written");
        let object = json.strip_suffix(b"}").unwrap_or(json);
        // The brace that opens the members becomes the comma before them.
        [object, b",", members.get(1..).unwrap_or_default(), b"\n"].concat()
    }

    /// Takes a datagram apart: the event's own JSON, as it is on every other transport, and the
    /// members, if it has any. No other object has `"prev"` as one of its last members: within a
    /// text its quotes would be escaped.
    pub fn split(datagram: &[u8]) -> (Vec<u8>, Option<Self>) {
        let line = datagram.trim_ascii_end();
        let found = line.windows(PREV.len()).rposition(|window| window == PREV);
        if let Some(at) = found
            && let Ok(members) = serde_json::from_slice(&[b"{", &line[at + 1..]].concat())
        {
            return ([&line[..at], b"}"].concat(), Some(members));
        }
        (line.to_vec(), None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::draft::Draft;
    use crate::event::{Event, Frame};
    use crate::id::Epoch;

    const C: &str = "0123456789ab";

    fn command(datagram: &str) -> Result<DatagramCommand<'_>, Error> {
        Request::parse(datagram.as_bytes()).expect("a request").command()
    }

    #[test]
    fn requests_are_read_as_they_are_typed() {
        let typed = format!("sub  orders.*\tcookie={C} since=all\r\n");
        let request = Request::parse(typed.as_bytes()).unwrap();
        assert_eq!(request.cookie(), Some(C));
        assert_eq!(command(&typed), command("SUB orders.* since=all"));
        assert_eq!(command("PING\n"), Ok(DatagramCommand::Ping(None)));
        assert_eq!(command("ping x   "), Ok(DatagramCommand::Ping(Some("x"))));
        assert_eq!(command("UNSUB"), Ok(DatagramCommand::Quit));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (datagram, expected) in [
            ("SUB", "SUB needs a filter"),
            ("SUB a..b", "topic 'a..b' is not"),
            ("SUB a since=x", "since 'x' is no id"),
            ("SUB a format=raw", "option 'format=raw' is none of"),
            ("SUB a ticket=x ticket=y", "an option of SUB is there twice"),
            ("SUB a since=all b", "option 'b' is none of"),
            ("QUIT now", "'now' is one word too many"),
        ] {
            let text = command(datagram).unwrap_err().to_string();
            assert!(text.starts_with(expected), "{datagram}: {text}");
        }
    }

    #[test]
    fn what_a_server_says_is_no_request() {
        let answer = challenge(C, 100).unwrap();
        let event = r#"{"time":1,"event":"pong"}"#;
        for datagram in [answer.as_str(), PAD, event, "", "\n", "PUB a x", "SUBA a"] {
            assert_eq!(Request::parse(datagram.as_bytes()), None, "{datagram}");
        }
        assert_eq!(cookie_in(answer.as_bytes()), Some(C));
        assert_eq!(cookie_in(PAD.as_bytes()), None);
        assert_eq!(cookie_in(b"cookie=\n"), None);
    }

    #[test]
    fn a_challenge_is_never_longer_than_the_request() {
        assert_eq!(challenge(C, 3), None);
        assert_eq!(challenge(C, CHALLENGE_BYTES_MAX - 1).as_deref(), Some(PAD));
        let longest = challenge(C, CHALLENGE_BYTES_MAX).unwrap();
        assert_eq!(longest.len(), CHALLENGE_BYTES_MAX);
        for command in [DatagramCommand::Ping(None), DatagramCommand::Quit] {
            assert!(command.to_datagram(None).len() >= CHALLENGE_BYTES_MAX);
        }
    }

    #[test]
    fn members_stand_at_the_end_and_come_off_again() {
        let id = Epoch::from_bits(1).id(3);
        let members = Members { large: true, lease: Some(60), ..Members::after(id) };
        let datagram = members.join(br#"{"time":1,"event":"pong"}"#);
        assert_eq!(
            String::from_utf8(datagram.clone()).unwrap(),
            "{\"time\":1,\"event\":\"pong\",\"prev\":\"00004ziepp2J\",\"large\":true,\"lease\":60}\n"
        );
        assert_eq!(Members::split(&datagram).1, Some(members));
    }

    proptest! {
        #[test]
        fn any_datagram_is_read_or_passed_over(
            bytes in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            let _ = Request::parse(&bytes).map(|request| request.command());
            let _ = (cookie_in(&bytes), Members::split(&bytes));
        }

        #[test]
        fn what_is_understood_is_written_back_the_same(
            datagram in "(SUB|sub|PING|QUIT|UNSUB)[ \t]{1,2}[a-z.,*>]{0,8}( since=[a-z0-9]{0,5})?[ ]?.{0,9}",
            cookie in proptest::option::of("[0-9a-v]{12}")
        ) {
            if let Some(request) = Request::parse(datagram.as_bytes())
                && let Ok(command) = request.command()
            {
                let written = command.to_datagram(cookie.as_deref());
                prop_assert!(written.len() >= CHALLENGE_BYTES_MAX);
                let again = Request::parse(written.as_bytes()).unwrap();
                prop_assert_eq!(again.command(), Ok(command));
                prop_assert_eq!(again.cookie(), cookie.as_deref());
            }
        }

        #[test]
        fn the_event_in_a_datagram_is_the_same_bytes_as_elsewhere(
            text in "(\"prev\":|,\"prev\":\"00004ziepp2J\"\\}|[^\r\n]){1,40}", seq in 1u64..99
        ) {
            let epoch = Epoch::from_bits(3);
            let draft = Draft::text("t".parse().unwrap(), &text, 4096).unwrap();
            let frame = Frame::new(epoch.id(seq), &Event::message(&draft, epoch.id(seq), 7, None));
            let members = Members::after(epoch.id(seq - 1));
            let (json, found) = Members::split(&members.join(&frame.json()));
            prop_assert_eq!(json, frame.json());
            prop_assert_eq!(found, Some(members));
        }
    }
}
