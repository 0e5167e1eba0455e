//! The HTTP library, for what is not plain: bodies in chunks, upgrades, HTTP/2, and whatever must
//! be refused. A connection that needs it once stays with it.
//!
//! It reads and writes; what a request asks for is dispatched as any other is.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::extract::{Request as HttpRequest, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Router};
use bytes::Bytes;
use doorbell_protocol::{Code, Error};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service as _, service_fn};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::time::timeout;

use super::App;
use super::dispatch::{Call, Route};
use super::policy::ResponsePolicy;
use super::poll::{Kept, Served};
use super::request::Request;
use super::stalled::Answers;
use super::timeout::{RequestTimeout, TimedStream};
use crate::connections::Connection;
use crate::lab;
use crate::limits::{HTTP2_SEND_BYTES_MAX, HTTP2_STREAMS_MAX};
use crate::session::Wait;
use crate::stream::AcceptedStream;

/// How every HTTP/2 connection begins (RFC 9113, section 3.4); no method of HTTP/1.1 does.
const HTTP2_BEGIN: &[u8] = b"PRI ";

/// What serves connections that are not plain.
#[derive(Debug)]
pub(super) struct Fallback {
    app: App,
    router: TowerToHyperService<Router>,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

/// A connection that is handed over.
#[derive(Debug)]
pub(super) struct Handed<S> {
    pub(super) stream: S,
    /// What was read of it and not answered.
    pub(super) unread: Bytes,
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
        self.watched.begin(request.uri().query())
    }
}

/// Answers a request that the library has read.
async fn answer(
    State(app): State<App>,
    Extension(connection): Extension<Arc<Connection>>,
    request: HttpRequest,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let mut request = Request::parsed(&parts, upgrade);
    let policy = ResponsePolicy::of(&app, &request);
    let route = Route::of(&app, &request);
    let only_head = request.method == "HEAD";
    let call = match read_body(&app, route, body).await {
        Ok(body) => loop {
            match Call::of(&app, route, &mut request, &body, &connection) {
                Ok(call) => break call,
                Err(verification) => Box::pin(verification.run()).await,
            }
        },
        Err(error) => Call::refused(&app, route, &error),
    };
    let mut kept = Kept::new(Wait::new(&app.config.stop));
    let served = Served { connection: &connection, kept: &mut kept };
    let reply = Box::pin(call.perform(&app, served)).await;
    policy.apply(reply, &app.compressors).into_response(only_head)
}

/// All of a body, if its route takes one, within the time for a request.
async fn read_body(app: &App, route: Route<'_>, body: HttpBody) -> Result<Bytes, Error> {
    let Some(limit) = route.body(app.message_bytes) else { return Ok(Bytes::new()) };
    if let Some(size) = body.size_hint().exact() {
        limit.check(size)?;
    }
    let unfinished = app.config.unfinished;
    let Ok(collected) = timeout(unfinished, Limited::new(body, limit.bytes).collect()).await else {
        let text = format!("{} was not finished within {} s", limit.what, unfinished.as_secs_f64());
        return Err(Error::new(Code::Timeout, text));
    };
    match collected {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(limit.passed()),
        Err(_) => Err(Error::new(Code::BadRequest, "body was not received whole")),
    }
}

impl Fallback {
    /// The library with buffers for many quiet connections.
    pub(super) fn new(app: App) -> Self {
        let router = Router::new().fallback(answer).with_state(app.clone());
        let mut http1 = http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(app.header_bytes);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .max_send_buf_size(HTTP2_SEND_BYTES_MAX)
            .max_header_list_size(u32::try_from(app.header_bytes).unwrap_or(u32::MAX));
        Self { app, router: TowerToHyperService::new(router), http1, http2 }
    }

    /// Serves a connection until it ends, or, after the stop, until its answers are out.
    pub(super) async fn serve<S>(&self, handed: Handed<S>)
    where
        S: AcceptedStream,
    {
        let Handed { stream, unread, connection, watched } = handed;
        let notes = Notes { connection, watched, timeout: RequestTimeout::default() };
        let is_http2 = stream.agreed_http2().unwrap_or_else(|| unread.starts_with(HTTP2_BEGIN));
        let write_deadline = stream.write_deadline();
        let unfinished = self.app.config.unfinished;
        let stream = TimedStream::new(stream, unread, notes.timeout.clone(), unfinished);
        let result = if is_http2 {
            notes.timeout.end();
            self.serve_http2(stream, &notes, write_deadline).await
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

    async fn serve_http2<S>(
        &self,
        stream: TimedStream<S>,
        notes: &Notes,
        write_deadline: Duration,
    ) -> hyper::Result<()>
    where
        S: AcceptedStream,
    {
        let answers = Answers::default();
        let service = service_fn(|mut request| {
            let watched = notes.note(&mut request);
            let (answer, answers) = (self.router.call(request), answers.clone());
            async move {
                let answer = answer.await;
                drop(watched);
                answer.map(|answer| answers.watch(answer))
            }
        });
        let connection = self.http2.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            result = connection.as_mut() => result,
            () = answers.stalled(write_deadline) => Ok(()),
            () = self.app.config.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    }
}
