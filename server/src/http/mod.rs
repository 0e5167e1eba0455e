//! HTTP: the router, and the connections that it serves.
//!
//! - `publish`: from a request to a draft
//! - `read`: polls and long polls; `stream`: answers that do not end; `websocket`: the bridge
//! - `page`: the demo page; `observe`: health, configuration, statistics, metrics; `lab`: who is
//!   connected
//! - `params`, `answer`: what all of them share; `begun`: requests that are
//!   not finished in time; `body`: the room for large answers

mod answer;
mod begun;
mod body;
mod lab;
mod observe;
mod page;
mod params;
mod publish;
mod read;
mod stream;
mod websocket;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, Method, StatusCode, Version, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_http::compression::CompressionLayer;
use tower_http::cors::{Any, CorsLayer};

use self::begun::{Begun, Requests};
pub use self::body::Answers;
use crate::hub::Hub;
use crate::lab::Lab;
use crate::limits::{HTTP2_SEND_BYTES_MAX, HTTP2_STREAMS_MAX};
use crate::line::Manners;
use crate::listen::Addresses;
use crate::stream::Guarded;

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct App {
    /// The log and its readers.
    pub hub: Hub,
    /// Keepalive, limits and counters, shared with the line protocol.
    pub manners: Arc<Manners>,
    /// Where the server listens.
    pub addresses: Arc<Addresses>,
    /// The room for large answers.
    pub answers: Answers,
    /// Connections that the server takes.
    pub connections: usize,
    /// Bytes of a header block.
    pub header_bytes: usize,
    /// Those who watch the connections.
    pub lab: Lab,
}

/// Marks an answer that is whole, so that compressing it delays nothing.
#[derive(Debug, Clone, Copy)]
struct Compressible;

/// All addresses of the HTTP interface.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(page::index).post(publish::json).put(publish::json))
        .route("/static/{file}", get(page::asset))
        .route("/v1/health", get(observe::health))
        .route("/v1/config", get(observe::config))
        .route("/v1/stats", get(observe::stats))
        .route("/v1/connections", get(lab::connections))
        .route("/v1/lab", get(lab::session))
        .route("/metrics", get(observe::metrics))
        .route("/{topic}", get(page::topic).post(publish::body).put(publish::body))
        .route("/{topic}/publish", get(publish::query))
        .route("/{topic}/send", get(publish::query))
        .route("/{topic}/trigger", get(publish::query))
        .route("/{filter}/json", get(read::ndjson))
        .route("/{filter}/sse", get(read::sse))
        .route("/{filter}/raw", get(read::raw))
        .route("/{filter}/ws", get(websocket::upgrade))
        .route("/{filter}/auth", get(observe::auth))
        .route(
            "/{topic}/{sequence_id}",
            post(publish::update).put(publish::update).get(answer::not_found),
        )
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(CompressionLayer::new().compress_when(is_compressible))
        .layer(cors())
        .layer(from_fn(expose_where_asked))
        .with_state(app)
}

fn is_compressible(_: StatusCode, _: Version, _: &HeaderMap, extensions: &Extensions) -> bool {
    extensions.get::<Compressible>().is_some()
}

/// What a page of another origin may see is told only to such a page: nobody else pays for it with
/// every poll.
async fn expose_where_asked(request: Request, next: Next) -> Response {
    let asked = request.headers().contains_key(header::ORIGIN);
    let mut response = next.run(request).await;
    if !asked {
        response.headers_mut().remove(header::ACCESS_CONTROL_EXPOSE_HEADERS);
    }
    response
}

/// Any page may read and publish, as in the dialect; it may also see the headers of a poll.
fn cors() -> CorsLayer {
    let exposed = ["doorbell-next", "doorbell-more", "doorbell-gap", "etag", "retry-after"];
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::PUT, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(Any)
        .expose_headers(exposed.map(header::HeaderName::from_static))
}

/// The HTTP protocol over accepted streams.
#[derive(Debug, Clone)]
pub struct Http {
    router: Router,
    builder: auto::Builder<TokioExecutor>,
    manners: Arc<Manners>,
    lab: Lab,
}

impl Http {
    /// HTTP/1.1 and cleartext HTTP/2 with buffers for many quiet connections.
    pub fn new(app: App) -> Self {
        let (manners, lab) = (app.manners.clone(), app.lab.clone());
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(app.header_bytes);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .max_send_buf_size(HTTP2_SEND_BYTES_MAX)
            .max_header_list_size(u32::try_from(app.header_bytes).unwrap_or(u32::MAX));
        Self { router: router(app), builder, manners, lab }
    }

    /// Serves one connection until it ends, or, after the stop, until its answers are out.
    pub async fn serve<S>(self, stream: Guarded<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = stream.connection().clone();
        let watched = crate::lab::Requests::new(self.lab, connection.clone());
        let begun = Begun::default();
        let stream = Requests::new(stream, begun.clone(), self.manners.unfinished);
        let router = TowerToHyperService::new(self.router);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            begun.clear();
            watched.begin(request.uri().query());
            request.extensions_mut().insert(connection.clone());
            let (begun, watched) = (begun.clone(), watched.clone());
            let answer = router.call(request);
            async move {
                let answer = answer.await;
                watched.end();
                match &answer {
                    Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => begun.end(),
                    _ => begun.clear(),
                }
                answer
            }
        });
        let connection = self.builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = self.manners.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::trace!(%error, "HTTP connection failed");
        }
    }
}
