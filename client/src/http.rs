//! HTTP/1.1: one connection, kept from request to request.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use doorbell_protocol::code::quoted;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode, Uri, http};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use crate::address::Site;
use crate::error::{Error, Refusal};
use crate::laboratory::{Observation, Observed};
use crate::lines::LINE_BYTES_MAX;
use crate::socket::{Silence, connect, heard};

/// How long the head of an answer may take.
pub(crate) const ANSWER_DEADLINE: Duration = Duration::from_secs(20);
/// Bytes of an answer that is read as a whole: an error, the configuration, an accepted message.
const WHOLE_BYTES_MAX: usize = LINE_BYTES_MAX;
/// The longest that a server's `Retry-After` is followed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// A client of one server. It connects when it has to, and drops what it opened when dropped.
#[derive(Debug)]
pub(crate) struct HttpClient {
    site: Site,
    observed: Observed,
    connection: Option<Connection>,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// The task that moves the bytes; dropping the set ends it.
    _driver: JoinSet<()>,
}

impl HttpClient {
    pub(crate) fn new(site: Site, observed: Observed) -> Self {
        Self { site, observed, connection: None }
    }

    /// Hears of what its requests bring.
    pub(crate) fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Sends a request, on the kept connection if it is still open, and waits for the head of the
    /// answer. A status that is neither success nor `304` is an error.
    pub(crate) async fn send(
        &mut self,
        request: http::request::Builder,
        body: Bytes,
        deadline: Duration,
    ) -> Result<Response<Incoming>, Error> {
        let impossible =
            |error: http::Error| Error::Unexpected(format!("no request can be made: {error}"));
        let mut request = request.header(HOST, self.site.authority().to_string());
        if let Some(authorization) = self.site.authorization()? {
            request = request.header(AUTHORIZATION, authorization);
        }
        let mut request = request.body(Full::new(body)).map_err(impossible)?;
        let target = format!("{}{}", self.site.path(), request.uri());
        *request.uri_mut() = target.parse::<Uri>().map_err(|error| impossible(error.into()))?;
        let answer = heard(deadline, self.exchange(request)).await;
        if answer.is_err() {
            self.connection = None;
        }
        let answer = answer?;
        let status = answer.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(answer);
        }
        let retry_after = retry_after(answer.headers());
        let body = whole(answer.into_body()).await?;
        Err(Error::Refused(Refusal::from_answer(status.as_u16(), &body, retry_after)))
    }

    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Error> {
        let mut kept = self.connection.take();
        if let Some(connection) = &mut kept
            && connection.sender.ready().await.is_err()
        {
            kept = None;
        }
        let connection = match kept {
            Some(connection) => connection,
            None => self.open().await?,
        };
        let connection = self.connection.insert(connection);
        self.observed.note(Observation::Request);
        connection.sender.send_request(request).await.map_err(lost)
    }

    async fn open(&self) -> Result<Connection, Error> {
        let socket = connect(&self.site.endpoint(), &self.observed).await?;
        let (sender, driver) = http1::handshake(TokioIo::new(socket)).await.map_err(lost)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // What fails here fails in the request or the body that waits for it, too.
            let _ = driver.await;
        });
        Ok(Connection { sender, _driver: tasks })
    }
}

/// The next piece of a body, or `None` at its end.
pub(crate) async fn piece(body: &mut Incoming, silence: Silence) -> Result<Option<Bytes>, Error> {
    loop {
        let frame = silence.hear(async { body.frame().await.transpose().map_err(lost) });
        match frame.await? {
            Some(frame) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
            None => return Ok(None),
        }
    }
}

/// Refuses an answer that is not of this media type; its parameters say nothing here.
pub(crate) fn expect_type(answer: &Response<Incoming>, expected: &str) -> Result<(), Error> {
    let found = answer.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let text = String::from_utf8_lossy(found.unwrap_or_default());
    let essence = text.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let text = quoted(&text);
    Err(Error::Foreign(format!("the answer is {text}, not {expected}: is this a doorbell server?")))
}

/// A body as a whole.
pub(crate) async fn whole(mut body: Incoming) -> Result<Bytes, Error> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = piece(&mut body, Silence::default()).await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > WHOLE_BYTES_MAX {
            return Err(Error::Unexpected(format!(
                "an answer is longer than {WHOLE_BYTES_MAX} bytes"
            )));
        }
    }
    Ok(bytes.freeze())
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
fn lost(error: hyper::Error) -> Error {
    if error.is_parse() {
        return Error::Unexpected(format!("the answer is not HTTP/1.1: {error}"));
    }
    match std::error::Error::source(&error) {
        Some(cause) => match cause.downcast_ref::<io::Error>() {
            Some(broken) => Error::lost(broken),
            None => Error::Lost(cause.to_string()),
        },
        None => Error::Lost(error.to_string()),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}
