//! The lines that a client sends over TCP, a Unix socket or a WebSocket.
//!
//! ```text
//! SUB FILTER [since=S] [format=json|raw] [coalesce=TIME]
//! UNSUB FILTER
//! PUB TOPIC message to the end of the line
//! PUBJ {json}
//! PING [word]
//! AUTH TOKEN
//! QUIT
//! ```
//!
//! A verb is read in any case. Words are parted by spaces or tabs; the message of `PUB` begins
//! after one of them and is taken as it stands. The line's end is the transport's business.

use std::fmt;

use crate::coalesce::CoalesceWindow;
use crate::code::{Code, Error, quoted};
use crate::limits::PING_BYTES_MAX;
use crate::since::Since;
use crate::topic::{Filter, Topic};

/// How messages are sent to a subscription of the line protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The whole event as JSON.
    #[default]
    Json,
    /// The text alone, on one line.
    Raw,
}

/// One line of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<'a> {
    /// Hear what is published from a place on.
    Subscribe {
        /// What to hear.
        filter: Filter,
        /// Where to begin; only what is new if absent.
        since: Option<Since>,
        /// How to send it.
        format: Format,
        /// How long messages may wait for others.
        coalesce: CoalesceWindow,
    },
    /// Hear it no longer.
    Unsubscribe(Filter),
    /// Publish a text.
    Publish {
        /// Where to.
        topic: Topic,
        /// The text, as it stands.
        message: &'a str,
    },
    /// Publish the JSON form of a message.
    PublishJson(&'a str),
    /// Ask for a sign of life.
    Ping(Option<&'a str>),
    /// Show a token.
    Authenticate(&'a str),
    /// End the conversation.
    Quit,
}

impl<'a> Command<'a> {
    /// Reads a line without its end; `None` if there is nothing on it.
    pub fn parse(line: &'a str) -> Result<Option<Self>, Error> {
        let line = line.trim_start_matches(BLANKS);
        if line.is_empty() {
            return Ok(None);
        }
        let (verb, rest) = word(line);
        let is = |name: &str| verb.eq_ignore_ascii_case(name);
        let command = if is("PUB") {
            let (topic, message) = required(rest, "PUB", "a topic")?;
            Self::Publish { topic: topic.parse()?, message }
        } else if is("PUBJ") {
            Self::PublishJson(rest)
        } else if is("SUB") {
            subscribe(rest)?
        } else if is("UNSUB") {
            let (filter, rest) = required(rest, "UNSUB", "a filter")?;
            nothing_more(rest, "UNSUB FILTER")?;
            Self::Unsubscribe(filter.parse()?)
        } else if is("PING") {
            ping(rest)?
        } else if is("AUTH") {
            let (token, rest) = required(rest, "AUTH", "a token")?;
            nothing_more(rest, "AUTH TOKEN")?;
            Self::Authenticate(token)
        } else if is("QUIT") {
            nothing_more(rest, "QUIT")?;
            Self::Quit
        } else {
            return Err(bad(format!(
                "command {} is none of SUB, UNSUB, PUB, PUBJ, PING, AUTH, QUIT",
                quoted(verb)
            )));
        };
        Ok(Some(command))
    }
}

const BLANKS: [char; 2] = [' ', '\t'];

fn bad(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Code::BadRequest, text)
}

/// The first word and what follows the one blank after it.
fn word(text: &str) -> (&str, &str) {
    text.split_once(BLANKS).unwrap_or((text, ""))
}

fn required<'a>(text: &'a str, verb: &str, what: &str) -> Result<(&'a str, &'a str), Error> {
    let text = text.trim_start_matches(BLANKS);
    if text.is_empty() {
        return Err(bad(format!("{verb} needs {what}")));
    }
    Ok(word(text))
}

fn nothing_more(rest: &str, form: &str) -> Result<(), Error> {
    let rest = rest.trim_matches(BLANKS);
    if rest.is_empty() { Ok(()) } else { Err(bad(format!("{} after {form}", quoted(rest)))) }
}

fn subscribe(rest: &str) -> Result<Command<'_>, Error> {
    let (filter, options) = required(rest, "SUB", "a filter")?;
    let filter = filter.parse()?;
    let mut since = None;
    let mut format = Format::default();
    let mut coalesce = CoalesceWindow::default();
    for option in options.split(BLANKS).filter(|word| !word.is_empty()) {
        match option.split_once('=') {
            Some(("since", value)) => since = Some(value.parse()?),
            Some(("format", "json")) => format = Format::Json,
            Some(("format", "raw")) => format = Format::Raw,
            Some(("coalesce", value)) => coalesce = value.parse()?,
            _ => {
                return Err(bad(format!(
                    "option {} is none of since=…, format=json, format=raw, coalesce=…",
                    quoted(option)
                )));
            }
        }
    }
    Ok(Command::Subscribe { filter, since, format, coalesce })
}

fn ping(rest: &str) -> Result<Command<'_>, Error> {
    let (token, rest) = word(rest.trim_start_matches(BLANKS));
    nothing_more(rest, "PING word")?;
    if token.len() > PING_BYTES_MAX {
        let length = token.len();
        return Err(bad(format!("word of PING is {length} bytes long, limit is {PING_BYTES_MAX}")));
    }
    Ok(Command::Ping((!token.is_empty()).then_some(token)))
}

impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscribe { filter, since, format, coalesce } => {
                write!(f, "SUB {filter}")?;
                if let Some(since) = since {
                    write!(f, " since={since}")?;
                }
                if *format == Format::Raw {
                    f.write_str(" format=raw")?;
                }
                if !coalesce.is_none() {
                    write!(f, " coalesce={coalesce}")?;
                }
                Ok(())
            }
            Self::Unsubscribe(filter) => write!(f, "UNSUB {filter}"),
            Self::Publish { topic, message } => write!(f, "PUB {topic} {message}"),
            Self::PublishJson(json) => write!(f, "PUBJ {json}"),
            Self::Ping(None) => f.write_str("PING"),
            Self::Ping(Some(word)) => write!(f, "PING {word}"),
            Self::Authenticate(token) => write!(f, "AUTH {token}"),
            Self::Quit => f.write_str("QUIT"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> Command<'_> {
        Command::parse(line).unwrap().unwrap()
    }

    #[test]
    fn verbs_are_read_in_any_case_and_blanks_may_be_many() {
        assert_eq!(parse("sub  a\tformat=raw  since=all"), parse("SUB a since=all format=raw"));
        assert_eq!(parse("SUB a coalesce=0.5s").to_string(), "SUB a coalesce=500ms");
        assert_eq!(parse("SUB a coalesce=0s"), parse("SUB a"));
        assert_eq!(parse("Quit "), Command::Quit);
        assert_eq!(parse("ping"), Command::Ping(None));
        assert_eq!(parse("PING x "), Command::Ping(Some("x")));
        assert_eq!(Command::parse(" \t").unwrap(), None);
    }

    #[test]
    fn the_message_of_pub_is_taken_as_it_stands() {
        let Command::Publish { message, .. } = parse("PUB t  two  spaces ") else { panic!() };
        assert_eq!(message, " two  spaces ");
        let Command::Publish { message, .. } = parse("PUB t") else { panic!() };
        assert_eq!(message, "");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("GET / HTTP/1.1", "command 'GET' is none of"),
            ("SUB", "SUB needs a filter"),
            ("SUB a since=x", "since 'x' is no id"),
            ("SUB a color=red", "option 'color=red' is none of"),
            ("SUB a coalesce=1", "coalesce '1' is no duration"),
            ("SUB a coalesce=2m", "coalesce 120s is too long, limit is 60s"),
            ("SUB a..b", "topic 'a..b' is not"),
            ("PUB", "PUB needs a topic"),
            ("PUB a.* x", "topic 'a.*' is not"),
            ("UNSUB a b", "'b' after UNSUB FILTER"),
            ("QUIT now", "'now' after QUIT"),
        ];
        for (line, expected) in cases {
            let text = Command::parse(line).unwrap_err().to_string();
            assert!(text.starts_with(expected), "{line}: {text}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_parsed_or_refused_and_round_trips(
            line in "((SUB|unsub|PUB|PUBJ|PING|AUTH|QUIT)[ \t]{1,2})?[^\r\n]{0,60}"
        ) {
            if let Ok(Some(command)) = Command::parse(&line) {
                let written = command.to_string();
                prop_assert_eq!(parse(&written), command);
            }
        }
    }
}
