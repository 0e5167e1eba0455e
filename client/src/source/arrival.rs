//! What one step of receiving brings, whichever way.

use std::time::Duration;

use doorbell_protocol::Id;
use doorbell_protocol::event::{Gap, Kind};

use crate::error::{Error, Refusal};
use crate::received::Received;

/// One step of a source.
#[derive(Debug, Default)]
pub(crate) struct Arrival {
    /// Messages that were lost before what follows.
    pub(crate) gap: Option<Gap>,
    /// A message, or what was done to one.
    pub(crate) message: Option<Received>,
    /// The place that is reached after this step.
    pub(crate) place: Option<Id>,
    /// After how many seconds the server shows that it lives, if this says so.
    pub(crate) keepalive: Option<u64>,
    /// How long the server wants to be left alone once the connection is lost, if it says so.
    pub(crate) retry: Option<Duration>,
}

impl Arrival {
    /// What an event brings; one that ends the connection is an error.
    pub(crate) fn from_event(received: Received) -> Result<Self, Error> {
        let event = &received.event;
        match event.event {
            Kind::Close => return Err(Error::Closed),
            Kind::Error => return Err(Error::Refused(Refusal::from_event(event))),
            kind if kind.is_published() && event.id.is_none() => {
                return Err(Error::Unexpected("a message without an id".to_owned()));
            }
            _ => {}
        }
        Ok(Self {
            gap: event.gap.clone(),
            place: event.id,
            keepalive: event.keepalive,
            retry: None,
            message: event.event.is_published().then_some(received),
        })
    }
}
