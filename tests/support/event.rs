//! One event of the wire, with the bytes that it came in.

use std::ops::Index;

use serde_json::Value;

/// An event and its line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    /// The bytes, without the end of the line.
    pub(crate) line: String,
    json: Value,
}

impl Event {
    /// Reads a line; it must be one JSON object.
    pub(crate) fn parse(line: &str) -> Self {
        let json: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        assert!(json.is_object(), "not an object: {line}");
        Self { line: line.to_owned(), json }
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> &str {
        self.text("event")
    }

    /// Its place as 12 characters.
    pub(crate) fn id(&self) -> &str {
        self.text("id")
    }

    /// Its place as a number.
    pub(crate) fn seq(&self) -> u64 {
        self.json["seq"].as_u64().unwrap_or_else(|| panic!("no seq in {}", self.line))
    }

    /// The text of a message.
    pub(crate) fn message(&self) -> &str {
        self.text("message")
    }

    /// The number of an error.
    pub(crate) fn code(&self) -> u64 {
        self.json["code"].as_u64().unwrap_or_else(|| panic!("no code in {}", self.line))
    }

    /// What it says was lost.
    pub(crate) fn gap(&self) -> Option<&Value> {
        self.json.get("gap")
    }

    /// It without what is told of this delivery alone: a gap before it, and its link to the
    /// datagram before it.
    pub(crate) fn plain(&self) -> Value {
        let mut json = self.json.clone();
        let members = json.as_object_mut().unwrap();
        members.remove("gap");
        members.remove("prev");
        json
    }

    /// The names of its members, sorted.
    pub(crate) fn members(&self) -> Vec<&str> {
        self.json.as_object().unwrap().keys().map(String::as_str).collect()
    }

    fn text(&self, member: &str) -> &str {
        self.json[member].as_str().unwrap_or_else(|| panic!("no {member} in {}", self.line))
    }
}

impl Index<&str> for Event {
    type Output = Value;

    fn index(&self, member: &str) -> &Value {
        &self.json[member]
    }
}

/// The texts of some messages.
pub(crate) fn messages(events: &[Event]) -> Vec<&str> {
    events.iter().map(Event::message).collect()
}

/// The places of some messages.
pub(crate) fn seqs(events: &[Event]) -> Vec<u64> {
    events.iter().map(Event::seq).collect()
}
