//! The HTTP library, for what is not plain: bodies in chunks, upgrades, HTTP/2, and whatever must be
//! refused. A connection that needs it once stays with it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};

use super::begun::{Begun, Requests};
use crate::connections::Connection;
use crate::lab;
use crate::limits::{HTTP2_SEND_BYTES_MAX, HTTP2_STREAMS_MAX};
use crate::stop::Stop;
use crate::stream::Guarded;

/// How every HTTP/2 connection begins (RFC 9113, section 3.4); no method of HTTP/1.1 does.
const HTTP2_BEGIN: &[u8] = b"PRI ";

/// What serves connections that are not plain.
#[derive(Debug)]
pub(super) struct Guest {
    router: TowerToHyperService<Router>,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    unfinished: Duration,
    stop: Stop,
}

/// A connection that is handed over.
#[derive(Debug)]
pub(super) struct Handed<S> {
    pub(super) stream: Guarded<S>,
    /// What was read of it and not answered.
    pub(super) unread: Bytes,
    pub(super) connection: Arc<Connection>,
    pub(super) watched: lab::Requests,
}

/// What every request of a connection is noted in.
struct Notes {
    connection: Arc<Connection>,
    watched: lab::Requests,
    begun: Begun,
}

impl Notes {
    /// A request has come whole.
    fn note(&self, request: &mut Request<Incoming>) {
        self.begun.clear();
        self.watched.begin(request.uri().query());
        request.extensions_mut().insert(self.connection.clone());
    }
}

impl Guest {
    /// The library with buffers for many quiet connections. A request must be finished in time.
    pub(super) fn new(
        router: Router,
        header_bytes: usize,
        unfinished: Duration,
        stop: Stop,
    ) -> Self {
        let mut http1 = http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(header_bytes);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .max_send_buf_size(HTTP2_SEND_BYTES_MAX)
            .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX));
        Self { router: TowerToHyperService::new(router), http1, http2, unfinished, stop }
    }

    /// Serves a connection until it ends, or, after the stop, until its answers are out.
    pub(super) async fn serve<S>(&self, handed: Handed<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Handed { stream, unread, connection, watched } = handed;
        let notes = Notes { connection, watched, begun: Begun::default() };
        let is_http2 = unread.starts_with(HTTP2_BEGIN);
        let stream = Requests::new(stream, unread, notes.begun.clone(), self.unfinished);
        let result = if is_http2 {
            notes.begun.end();
            self.serve_http2(stream, &notes).await
        } else {
            self.serve_http1(stream, &notes).await
        };
        if let Err(error) = result {
            tracing::trace!(%error, is_http2, "HTTP connection failed");
        }
    }

    async fn serve_http1<S>(&self, stream: Requests<S>, notes: &Notes) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|mut request| {
            notes.note(&mut request);
            let answer = self.router.call(request);
            async move {
                let answer = answer.await;
                notes.watched.end();
                match answer.as_ref().map(Response::status) {
                    Ok(StatusCode::SWITCHING_PROTOCOLS) => notes.begun.end(),
                    _ => notes.begun.clear(),
                }
                answer
            }
        });
        let connection = self.http1.serve_connection(TokioIo::new(stream), service);
        let mut connection = connection.with_upgrades();
        let mut stopped = self.stop.listener();
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

    async fn serve_http2<S>(&self, stream: Requests<S>, notes: &Notes) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|mut request| {
            notes.note(&mut request);
            let (answer, watched) = (self.router.call(request), notes.watched.clone());
            async move {
                let answer = answer.await;
                watched.end();
                answer
            }
        });
        let connection = self.http2.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            result = connection.as_mut() => result,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    }
}
