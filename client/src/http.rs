//! HTTP: one connection, kept from request to request. HTTP/1.1, but for experiments.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use doorbell_protocol::code::quoted;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER,
};
use hyper::{Request, Response, StatusCode, Uri, http};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinSet;

use crate::address::Site;
use crate::browser;
use crate::content::{CODINGS, Content, lost};
use crate::error::{Error, Refusal};
use crate::laboratory::{Habits, Observation, Observed, RequestHeaders};
use crate::socket::{connect, heard};
use crate::trust::Handshake;

/// How long the head of an answer may take.
pub(crate) const ANSWER_DEADLINE: Duration = Duration::from_secs(20);
/// The name of HTTP/2 in the handshake of TLS.
const HTTP2_PROTOCOL: &[u8] = b"h2";
/// The longest that a server's `Retry-After` is followed after a refusal.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// The body of a request: a few bytes, or a file as it is read.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, io::Error>;

/// A client of one server. It connects when it has to, and drops what it opened when dropped.
#[derive(Debug)]
pub(crate) struct HttpClient {
    site: Site,
    observed: Observed,
    habits: Habits,
    connection: Option<Connection>,
}

#[derive(Debug)]
struct Connection {
    sender: Sender,
    /// The task that moves the bytes; dropping the set ends it.
    _driver: JoinSet<()>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<RequestBody>),
    Http2(http2::SendRequest<RequestBody>),
}

impl Sender {
    /// Whether the connection still takes requests.
    async fn is_ready(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    async fn send(&mut self, request: Request<RequestBody>) -> Result<Response<Incoming>, Error> {
        let answer = match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        };
        answer.map_err(lost)
    }
}

impl HttpClient {
    pub(crate) fn new(site: Site, observed: Observed, habits: Habits) -> Self {
        Self { site, observed, habits, connection: None }
    }

    /// Lets go of the connection, so that the next request has one of its own.
    pub(crate) fn disconnect(&mut self) {
        self.connection = None;
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
        let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
        self.send_body(request, body, deadline).await
    }

    /// The same with a body that comes piece by piece.
    pub(crate) async fn send_body(
        &mut self,
        request: http::request::Builder,
        body: RequestBody,
        deadline: Duration,
    ) -> Result<Response<Incoming>, Error> {
        let impossible =
            |error: http::Error| Error::Unexpected(format!("no request can be made: {error}"));
        let Habits { headers, http2, compress, .. } = self.habits;
        let mut request = browser::headers(request, headers, &self.site.origin(), http2);
        if compress && headers == RequestHeaders::Client {
            request = request.header(ACCEPT_ENCODING, CODINGS);
        }
        if !http2 {
            request = request.header(HOST, self.site.authority().to_string());
        }
        if let Some(authorization) = self.site.authorization()? {
            request = request.header(AUTHORIZATION, authorization);
        }
        let mut request = request.body(body).map_err(impossible)?;
        // HTTP/2 names the server in the address.
        let origin = if http2 { self.site.origin() } else { String::new() };
        let target = format!("{origin}{}{}", self.site.path(), request.uri());
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
        let retry_after = retry_after(answer.headers()).map(|wait| wait.min(RETRY_AFTER_MAX));
        let body = Content::of(answer)?.whole().await?;
        Err(Error::Refused(Refusal::from_answer(status.as_u16(), &body, retry_after)))
    }

    async fn exchange(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Error> {
        let mut kept = self.connection.take();
        if let Some(connection) = &mut kept
            && !connection.sender.is_ready().await
        {
            kept = None;
        }
        let connection = match kept {
            Some(connection) => connection,
            None => self.open().await?,
        };
        let connection = self.connection.insert(connection);
        self.observed.note(Observation::Request);
        let sent = Instant::now();
        let answer = connection.sender.send(request).await?;
        self.observed.note(Observation::Answer { after: sent.elapsed() });
        Ok(answer)
    }

    async fn open(&self) -> Result<Connection, Error> {
        let protocol = self.habits.http2.then_some(HTTP2_PROTOCOL);
        let handshake = Handshake { protocol, is_whole: !self.habits.resumes_tls };
        let socket = connect(&self.site.endpoint(), &self.observed, handshake).await?;
        let socket = TokioIo::new(socket);
        let mut tasks = JoinSet::new();
        // What fails in a driver fails in the request or the body that waits for it, too.
        let sender = if self.habits.http2 {
            let (sender, driver) =
                http2::handshake(TokioExecutor::new(), socket).await.map_err(lost)?;
            tasks.spawn(async move {
                let _ = driver.await;
            });
            Sender::Http2(sender)
        } else {
            let (sender, driver) = http1::handshake(socket).await.map_err(lost)?;
            tasks.spawn(async move {
                let _ = driver.await;
            });
            Sender::Http1(sender)
        };
        Ok(Connection { sender, _driver: tasks })
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

/// How long the server wants to be left alone, if it says so.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
