//! What can go wrong between this client and a server, and whether trying again can help.

use std::io;
use std::time::Duration;

use doorbell_protocol::code::ErrorBody;
use doorbell_protocol::event::Event;

/// An error of a [`Subscription`](crate::Subscription) or a [`Publisher`](crate::Publisher).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is malformed, or is not one that this transport can use.
    #[error("{0}")]
    Address(String),
    /// The server could not show who it is.
    #[error("{0}")]
    Untrusted(String),
    /// No connection came about.
    #[error("cannot connect to {endpoint}: {source}")]
    Connect {
        /// Where to.
        endpoint: String,
        /// Why.
        source: io::Error,
    },
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(String),
    /// The server ended the connection.
    #[error("the server closed the connection")]
    Closed,
    /// Nothing came for so long that the connection counts as dead.
    #[error("nothing heard for {} s", .0.as_secs())]
    Silent(Duration),
    /// The server answered with an error.
    #[error("the server refused: {0}")]
    Refused(Refusal),
    /// What came is nothing that a doorbell server says.
    #[error("{0}")]
    Unexpected(String),
    /// The connection broke while publishes were under way and could not be had again. Each of
    /// them may have been stored or not.
    #[error("{cause}; {count} published without an answer, each may be stored or not")]
    Unacknowledged {
        /// How many.
        count: usize,
        /// What went wrong last.
        cause: Box<Error>,
    },
}

impl Error {
    /// Whether the same attempt may succeed later without a change on this side.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Lost(_) | Self::Closed | Self::Silent(_) => true,
            Self::Refused(refusal) => refusal.is_transient(),
            Self::Address(_)
            | Self::Untrusted(_)
            | Self::Unexpected(_)
            | Self::Unacknowledged { .. } => false,
        }
    }

    /// How long the server asked to be left alone, if it did.
    pub(crate) fn retry_after(&self) -> Duration {
        match self {
            Self::Refused(refusal) => refusal.retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

/// The server's refusal of one request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} ({code})")]
pub struct Refusal {
    /// The number of the error; the HTTP status alone if the server gave none.
    pub code: u32,
    /// The HTTP status, or the one that the error would have over HTTP.
    pub status: u16,
    /// The server's sentence. It comes from outside: escape it before it meets a terminal.
    pub text: String,
    /// How long to wait before another attempt, if the server said so; a minute at most.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Whether the same request may succeed later without being changed.
    pub fn is_transient(&self) -> bool {
        matches!(self.status, 408 | 429 | 500..)
    }

    /// The refusal in an `error` event.
    pub(crate) fn from_event(event: &Event<'_>) -> Self {
        let status = event.http.unwrap_or(400);
        Self {
            code: event.code.unwrap_or_else(|| status.into()),
            status,
            text: event.error.as_deref().unwrap_or("no reason given").to_owned(),
            retry_after: None,
        }
    }

    /// The refusal in an HTTP answer.
    pub(crate) fn from_answer(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let body = serde_json::from_slice::<ErrorBody<'_>>(body).ok();
        Self {
            code: body.as_ref().map_or(status.into(), |body| body.code),
            status,
            text: body
                .map_or_else(|| format!("HTTP status {status}"), |body| body.error.into_owned()),
            retry_after,
        }
    }
}
