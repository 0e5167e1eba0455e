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
    /// The server could not show who it is, or does not take the certificate that it was shown.
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
    /// What answered is no doorbell server, or something before it.
    #[error("{0}")]
    Foreign(String),
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
            | Self::Foreign(_)
            | Self::Unacknowledged { .. } => false,
        }
    }

    /// Whether it may be the word of something between this client and the server.
    pub(crate) fn may_be_of_a_proxy(&self) -> bool {
        match self {
            Self::Refused(refusal) => !refusal.is_own(),
            Self::Foreign(_) => true,
            _ => false,
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

impl Error {
    /// What it means that a connection broke in this way.
    pub(crate) fn lost(error: &io::Error) -> Self {
        if is_refusal(error) {
            Self::Untrusted(format!("the server does not take the certificate of --cert: {error}"))
        } else {
            Self::Lost(error.to_string())
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::lost(&error)
    }
}

/// Whether the other side says that it does not take this one's certificate. It may say so after
/// the handshake, to whatever is read first.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    use rustls::AlertDescription as Alert;
    let of_tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::AlertReceived(alert)) = of_tls else { return false };
    matches!(
        alert,
        Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
    )
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

    /// Whether a doorbell server said it, whose numbers are longer than a status.
    fn is_own(&self) -> bool {
        self.code != u32::from(self.status)
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
