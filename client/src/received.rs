//! One event as it came over the wire.

use bytes::Bytes;
use doorbell_protocol::code::quoted;
use doorbell_protocol::event::Event;

use crate::error::Error;

/// An event: its members, and the very bytes that the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// What it says.
    pub event: Event<'static>,
    /// One JSON object on one line, without the line's end.
    pub json: Bytes,
}

impl Received {
    /// Reads an event; the end of its line is left out if it came along.
    pub(crate) fn parse(mut json: Bytes) -> Result<Self, Error> {
        json.truncate(json.trim_ascii_end().len());
        match Event::parse(&json) {
            Ok(event) => Ok(Self { event: event.into_owned(), json }),
            Err(error) => Err(Error::Unexpected(format!(
                "{} is no doorbell event: {error}",
                quoted(&String::from_utf8_lossy(&json))
            ))),
        }
    }
}
