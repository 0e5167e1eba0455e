//! The HTTP library, for what is not plain: bodies in chunks, upgrades, HTTP/2, and whatever must
//! be refused. A connection that needs it once stays with it.
//!
//! It reads and writes; what a request asks for is dispatched as any other is.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;

use axum::body::Body as HttpBody;
use axum::extract::{Request as HttpRequest, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Version, header};
use axum::response::Response;
use axum::{Extension, Router};
use bytes::Bytes;
use doorbell_protocol::code::quoted;
use doorbell_protocol::{Code, Error};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service as _, service_fn};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::time::timeout;

use super::App;
use super::bodies::{BodyLimit, Longer};
use super::dispatch::{Call, Route};
use super::policy::ResponsePolicy;
use super::poll::{Kept, Served};
use super::publish::Sent;
use super::reply::Reply;
use super::request::{Request, is_host, is_websocket};
use super::stalled::{self, Streams};
use super::timeout::{RequestTimeout, TimedStream};
use super::upload::BodyRest;
use crate::connections::Connection;
use crate::lab;
use crate::limits::{
    DRAIN_BYTES_MAX, HTTP2_SEND_BYTES_MAX, HTTP2_STREAMS_MAX, PONG_WAIT_MAX, REFUSED_BODY_WAIT_MAX,
};
use crate::session::Wait;
use crate::stop::detach;
use crate::stream::AcceptedStream;

/// How every HTTP/2 connection begins (RFC 9113, section 3.4); no method of HTTP/1.1 does.
const HTTP2_BEGIN: &[u8] = b"PRI ";

/// What serves connections that are not plain.
#[derive(Debug)]
pub(super) struct Fallback {
    app: App,
    router: TowerToHyperService<Router>,
    http1: http1::Builder,
    http2: http2::Builder<Streams>,
}

/// A connection that is handed over.
#[derive(Debug)]
pub(super) struct Handed<S> {
    pub(super) stream: S,
    /// What was read of it and not answered.
    pub(super) unread: Bytes,
    /// Whether nothing was answered before: only such a connection may be one of HTTP/2.
    pub(super) is_new: bool,
    pub(super) connection: Arc<Connection>,
    pub(super) watched: lab::Requests,
}

/// What every request of a connection is noted in.
struct Notes {
    connection: Arc<Connection>,
    watched: lab::Requests,
    timeout: RequestTimeout,
}

impl Notes {
    /// A request has come whole. It is under way until the guard is dropped.
    fn note(&self, request: &mut HttpRequest<Incoming>) -> lab::RequestGuard {
        self.timeout.clear();
        request.extensions_mut().insert(self.connection.clone());
        request.extensions_mut().insert(self.timeout.clone());
        self.watched.begin(request.uri().query())
    }
}

/// Answers a request that the library has read.
async fn answer(
    State(app): State<App>,
    Extension(connection): Extension<Arc<Connection>>,
    Extension(timeout): Extension<RequestTimeout>,
    request: HttpRequest,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let mut request = Request::parsed(&parts, upgrade);
    let policy = ResponsePolicy::of(&app, &request);
    let route = Route::of(&app, &request);
    let only_head = request.method == "HEAD";
    let reply = match breach(&app, &parts, route) {
        Some(refusal) => refusal,
        None => {
            let limit = route.body(&app, &request);
            let (call, mut rest) = match read_body(&app, limit, body, &parts, timeout).await {
                Ok((begun, rest)) => loop {
                    let sent = Sent { begun: &begun, is_whole: rest.is_none() };
                    match Call::of(&app, route, &mut request, sent, &connection) {
                        Ok(call) => break (call, rest),
                        Err(verification) => verification.run().await,
                    }
                },
                Err(error) => (Call::refused(&app, route, Reply::refusal(&error)), None),
            };
            let mut kept = Kept::new(Wait::new(&app.config.stop));
            let served = Served { connection: &connection, kept: &mut kept, rest: rest.as_mut() };
            let reply = Box::pin(call.perform(&app, served)).await;
            if let Some(rest) = rest {
                refuse_body(rest.is_begun, rest.into_body(), &parts);
            }
            reply
        }
    };
    policy.apply(reply).into_response(only_head)
}

/// The refusal of what the library takes and nobody should send (RFC 9110, RFC 9112): two readers
/// of one connection could understand it in two ways. Nothing is read behind it.
fn breach(app: &App, parts: &Parts, route: Route<'_>) -> Option<Reply> {
    let broken = head_too_long(app, parts).or_else(|| rule_broken(parts, route))?;
    let mut reply = Reply::refusal(&broken);
    if parts.version < Version::HTTP_2 {
        reply.head.add("connection", b"close");
    }
    Some(reply)
}

/// That the head of a request over HTTP/2 is too long, as that counts it: with 32 bytes for each
/// header. The library takes more of it than this, since it refuses without a word.
fn head_too_long(app: &App, parts: &Parts) -> Option<Error> {
    let limit = app.header_bytes;
    let headers = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32);
    let is_long = || headers.sum::<usize>() + parts.uri.path().len() > limit;
    (parts.version >= Version::HTTP_2 && is_long()).then(|| {
        let text = format!("request head has more than {limit} bytes, which is the limit");
        Error::new(Code::HeadTooLong, text)
    })
}

fn rule_broken(parts: &Parts, route: Route<'_>) -> Option<Error> {
    let shown = |value: &HeaderValue| quoted(&String::from_utf8_lossy(value.as_bytes()));
    let bad = |text: String| Some(Error::new(Code::BadRequest, text));
    if parts.method == Method::CONNECT {
        let is_socket = matches!(route, Route::WebSocket(_) | Route::Lab);
        let text = "CONNECT opens WebSockets over HTTP/2 and nothing else";
        let refusal = Error::new(Code::MethodNotAllowed, text);
        return (!is_socket || !is_websocket(parts)).then_some(refusal);
    }
    if parts.version >= Version::HTTP_2 {
        return None;
    }
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if parts.version < Version::HTTP_11 => {}
        (None, _) => return bad("there is no Host".to_owned()),
        (Some(_), Some(_)) => return bad("there is more than one Host".to_owned()),
        (Some(host), None) if is_host(host.as_bytes()) => {}
        (Some(host), None) => return bad(format!("Host {} is malformed", shown(host))),
    }
    let mut codings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next()
        && (codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return bad("Transfer-Encoding may be chunked, once, and nothing else".to_owned());
    }
    let mut expected = parts.headers.get_all(header::EXPECT).iter();
    let unknown =
        expected.find(|expected| !expected.as_bytes().eq_ignore_ascii_case(b"100-continue"))?;
    let text = format!("Expect {} is not 100-continue", shown(unknown));
    Some(Error::new(Code::ExpectationFailed, text))
}

/// All that is taken of a body, if one is, within the time for a request; and the rest, where it is
/// a file.
async fn read_body(
    app: &App,
    limit: Option<BodyLimit>,
    mut body: HttpBody,
    parts: &Parts,
    timed: RequestTimeout,
) -> Result<(Bytes, Option<BodyRest>), Error> {
    let Some(limit) = limit else { return Ok((Bytes::new(), None)) };
    let size = body.size_hint().exact();
    if let Err(error) = size.map_or(Ok(()), |size| limit.check(size)) {
        refuse_body(false, body, parts);
        return Err(error);
    }
    let unfinished = app.config.unfinished;
    let is_file = matches!(limit.longer, Longer::File(_));
    let is_long = limit.bytes == 0 || size.is_some_and(|size| size > limit.bytes as u64);
    if is_file && is_long {
        // None of it is read before it is known whether it may be published.
        return Ok((Bytes::new(), Some(BodyRest::new(body, timed, unfinished, false))));
    }
    let collecting = collect(&mut body, limit.bytes);
    let Ok(collected) = timeout(unfinished, collecting).await else {
        let text = format!("{} was not finished within {} s", limit.what, unfinished.as_secs_f64());
        return Err(Error::new(Code::Timeout, text));
    };
    let collected = collected?;
    if collected.len() <= limit.bytes {
        return Ok((collected.into(), None));
    }
    if is_file {
        return Ok((collected.into(), Some(BodyRest::new(body, timed, unfinished, true))));
    }
    detach(throw_away(body));
    Ok((limit.passed(collected)?.into(), None))
}

/// Reads no more of a body for what it is.
fn refuse_body(is_begun: bool, body: HttpBody, parts: &Parts) {
    // A client that waits to be told to go on sends none of it.
    if is_begun || !parts.headers.contains_key(header::EXPECT) {
        detach(throw_away(body));
    }
}

/// All of a body, or of a longer one a little more than the limit.
async fn collect(body: &mut HttpBody, limit: usize) -> Result<Vec<u8>, Error> {
    let mut collected = Vec::new();
    while collected.len() <= limit
        && let Some(frame) = body.frame().await
    {
        let frame =
            frame.map_err(|_| Error::new(Code::BadRequest, "body was not received whole"))?;
        collected.extend_from_slice(frame.data_ref().map_or(&[][..], |data| &data[..]));
    }
    Ok(collected)
}

/// Reads the rest of a body that was refused, for a bounded time and amount, so that its client
/// comes to read the answer.
async fn throw_away(mut body: HttpBody) {
    let _ = timeout(REFUSED_BODY_WAIT_MAX, async {
        let mut left = DRAIN_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            let Some(rest) = left.checked_sub(bytes) else { break };
            left = rest;
        }
    })
    .await;
}

impl Fallback {
    /// The library with buffers for many quiet connections.
    pub(super) fn new(app: App) -> Self {
        let router = Router::new().fallback(answer).with_state(app.clone());
        let mut http1 = http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(app.header_bytes);
        let write_deadline = app.config.write_deadline;
        let mut http2 = http2::Builder::new(Streams { write_deadline });
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(app.config.keepalive)
            .keep_alive_timeout(PONG_WAIT_MAX)
            .enable_connect_protocol()
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .max_send_buf_size(HTTP2_SEND_BYTES_MAX)
            .max_header_list_size(u32::try_from(2 * app.header_bytes).unwrap_or(u32::MAX));
        Self { app, router: TowerToHyperService::new(router), http1, http2 }
    }

    /// Serves a connection until it ends, or, after the stop, until its answers are out.
    pub(super) async fn serve<S>(&self, handed: Handed<S>)
    where
        S: AcceptedStream,
    {
        let Handed { stream, unread, is_new, connection, watched } = handed;
        let notes = Notes { connection, watched, timeout: RequestTimeout::default() };
        let begins_http2 = || is_new && unread.starts_with(HTTP2_BEGIN);
        let is_http2 = stream.agreed_http2().unwrap_or_else(begins_http2);
        let (timeout, unfinished) = (notes.timeout.clone(), self.app.config.unfinished);
        let stream = TimedStream::new(stream, unread, timeout, unfinished, is_http2);
        let result = if is_http2 {
            self.serve_http2(stream, &notes).await
        } else {
            self.serve_http1(stream, &notes).await
        };
        if let Err(error) = result {
            tracing::trace!(%error, is_http2, "HTTP connection failed");
        }
    }

    async fn serve_http1<S>(&self, stream: TimedStream<S>, notes: &Notes) -> hyper::Result<()>
    where
        S: AcceptedStream,
    {
        let service = service_fn(|mut request| {
            let watched = notes.note(&mut request);
            let answer = self.router.call(request);
            async move {
                let answer = answer.await;
                drop(watched);
                match answer.as_ref().map(Response::status) {
                    Ok(StatusCode::SWITCHING_PROTOCOLS) => notes.timeout.end(),
                    _ => notes.timeout.clear(),
                }
                answer
            }
        });
        let connection = self.http1.serve_connection(TokioIo::new(stream), service);
        let mut connection = connection.with_upgrades();
        let mut stopped = self.app.config.stop.signal();
        let mut stopping = false;
        poll_fn(|context| {
            if !stopping && stopped.poll_stopped(context).is_ready() {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            Pin::new(&mut connection).poll(context)
        })
        .await
    }

    async fn serve_http2<S>(&self, stream: TimedStream<S>, notes: &Notes) -> hyper::Result<()>
    where
        S: AcceptedStream,
    {
        let service = service_fn(|mut request| {
            let watched = notes.note(&mut request);
            let answer = self.router.call(request);
            async move {
                let answer = answer.await;
                drop(watched);
                answer.map(stalled::watch)
            }
        });
        let connection = self.http2.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            result = connection.as_mut() => result,
            () = self.app.config.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    }
}
