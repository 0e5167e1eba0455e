//! The frames between a page and the lab: what a page is told, and what it may ask for. Nothing is
//! done or sent here; `session` and `subscribers` do that.

use std::collections::BTreeMap;

use doorbell_protocol::code::quoted;
use doorbell_protocol::{Code, Error, Id};
use serde::Serialize;
use serde_json::Value;

use super::accounts::Sums;
use super::lane::Name;
use super::table::Row;
use super::wiretap::Trace;

/// A frame to the page.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Said {
    Hello {
        udp: bool,
        trace: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        trace_reason: Option<&'static str>,
    },
    Table {
        total: usize,
        rows: Vec<Row>,
    },
    Wire {
        lanes: BTreeMap<Name, Sums>,
    },
    Subscriber {
        via: Way,
        state: State,
        #[serde(skip_serializing_if = "Option::is_none")]
        local: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        peer: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    Arrival {
        via: Way,
        id: Id,
        after_us: u64,
    },
    Lost {
        via: Way,
        count: u64,
    },
    Trace(Trace),
    Error {
        error: String,
    },
}

/// How a subscriber receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Way {
    /// Lines over TCP.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Way {
    pub(super) const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "tcp" => Some(Self::Tcp),
            "udp" => Some(Self::Udp),
            _ => None,
        }
    }
}

/// How a subscriber is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// It is subscribed.
    Up,
    /// It was stopped.
    Off,
    /// It failed and will try again.
    Down,
}

/// What a page asks for in one frame.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PageRequest {
    /// The subscribers that are to run, and no others.
    pub(super) run: Option<Vec<Way>>,
    pub(super) trace: Option<Wanted>,
    /// Whether to show the table of connections.
    pub(super) table: Option<bool>,
}

/// What a page wants to see the packets of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Nothing,
    Lane(Name),
}

impl PageRequest {
    /// Reads a frame; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let bad = |text: String| Error::new(Code::BadRequest, text);
        let Ok(Value::Object(members)) = serde_json::from_str(text) else {
            return Err(bad(format!("{} is no JSON object", quoted(text))));
        };
        let mut request = Self::default();
        for (member, value) in members {
            let wrong = |wanted: &str| {
                bad(format!("{member} {} is not {wanted}", quoted(&value.to_string())))
            };
            match (member.as_str(), &value) {
                ("run", Value::Array(ways)) => {
                    let ways = ways.iter().map(|way| way.as_str().and_then(Way::parse)).collect();
                    let ways: Option<Vec<Way>> = ways;
                    request.run = Some(ways.ok_or_else(|| wrong("a list of tcp and udp"))?);
                }
                ("run", _) => return Err(wrong("a list of tcp and udp")),
                ("trace", Value::Null) => request.trace = Some(Wanted::Nothing),
                ("trace", Value::String(name)) => {
                    request.trace = Some(Wanted::Lane(Name::parse(name)?));
                }
                ("trace", _) => return Err(wrong("the name of a lane or null")),
                ("table", Value::Bool(wanted)) => request.table = Some(*wanted),
                ("table", _) => return Err(wrong("true or false")),
                _ => {
                    let member = quoted(&member);
                    return Err(bad(format!("{member} is none of run, trace and table")));
                }
            }
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_may_ask_for_several_things() {
        let request =
            PageRequest::parse(r#"{"run":["tcp","udp"],"trace":"ws","table":false}"#).unwrap();
        let trace = Some(Wanted::Lane(Name::parse("ws").unwrap()));
        let run = Some(vec![Way::Tcp, Way::Udp]);
        assert_eq!(request, PageRequest { run, trace, table: Some(false) });
        let request = PageRequest::parse(r#"{"run":[],"trace":null}"#).unwrap();
        assert_eq!(
            request,
            PageRequest { run: Some(Vec::new()), trace: Some(Wanted::Nothing), table: None }
        );
        assert_eq!(PageRequest::parse("{}").unwrap(), PageRequest::default());
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        for (frame, told) in [
            ("", "'' is no JSON object"),
            ("[1]", "'[1]' is no JSON object"),
            (r#"{"run":["sse"]}"#, r#"run '["sse"]' is not a list of tcp and udp"#),
            (r#"{"run":"tcp"}"#, r#"run '"tcp"' is not a list of tcp and udp"#),
            (r#"{"trace":"W S"}"#, "lane 'W S' is not 1 to 16 of a-z"),
            (r#"{"trace":1}"#, "trace '1' is not the name of a lane or null"),
            (r#"{"table":"no"}"#, r#"table '"no"' is not true or false"#),
            (r#"{"colour":1}"#, "'colour' is none of run, trace and table"),
        ] {
            assert_eq!(PageRequest::parse(frame).unwrap_err().to_string(), told, "{frame}");
        }
    }
}
