//! HTTP: the router, and the connections that it serves.
//!
//! - `connection`: one connection, request after request; `request`: plain requests as they stand in its
//!   buffer; `encode`: answers as bytes
//! - `guest`: the HTTP library, for what is not plain; `begun`: the stream beneath it, and requests that are
//!   not finished in time
//! - `publish`: from a request to a draft
//! - `read`: polls and long polls; `stream`: answers that do not end; `endless`: their connections; `websocket`: the bridge;
//!   `upgrade`: how a request becomes one
//! - `page`: the demo page; `observe`: health, configuration, statistics, metrics; `lab`: who is
//!   connected
//! - `params`, `answer`: what all of them share; `body`: the room for large answers

mod answer;
mod begun;
mod body;
mod connection;
mod encode;
mod endless;
mod guest;
mod lab;
mod observe;
mod page;
mod params;
mod publish;
mod read;
mod request;
mod stream;
mod upgrade;
mod websocket;

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use hyper::body::Body as _;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::compression::{CompressionLayer, predicate::SizeAbove};
use tower_http::cors::{Any, CorsLayer};

pub use self::body::Answers;
pub use self::connection::Http;
use crate::hub::Hub;
use crate::lab::Lab;
use crate::line::Manners;
use crate::listen::Addresses;

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
        .layer(cors())
        .layer(from_fn(finish))
        .with_state(app)
}

/// What is done to every answer on its way out.
async fn finish(request: Request, next: Next) -> Response {
    let wishes = Wishes::of(request.headers());
    wishes.grant(next.run(request).await).await
}

/// What a client says about how it takes its answer.
#[derive(Debug)]
struct Wishes {
    is_page: bool,
    accepted: Option<HeaderValue>,
}

impl Wishes {
    fn of(headers: &HeaderMap) -> Self {
        let header = |name| headers.get(name).map(HeaderValue::as_bytes);
        Self::new(header(header::ORIGIN), header(header::ACCEPT_ENCODING))
    }

    /// From the headers `Origin` and `Accept-Encoding`.
    fn new(origin: Option<&[u8]>, accepted: Option<&[u8]>) -> Self {
        // A copy, because a header's value is a slice of the connection's buffer.
        let accepted = accepted.and_then(|value| HeaderValue::from_bytes(value).ok());
        Self { is_page: origin.is_some(), accepted }
    }

    /// Finishes the answer.
    ///
    /// What a page of another origin may see is told only to such a page: nobody else pays for it with
    /// every poll. A whole answer is compressed if the client asks for it; others do not pass through the
    /// compressor, whose state of some kilobytes would stay with them for as long as they last.
    async fn grant(&self, mut answer: Response) -> Response {
        let whole = answer.extensions().get::<Compressible>().is_some();
        let bytes = answer.size_hint().lower();
        let varies = whole && is_compressible(usize::try_from(bytes).unwrap_or(usize::MAX));
        let compresses = varies && self.accepted.is_some();
        // The compressor says itself that the answer varies.
        self.headers(varies && !compresses, |name, value| {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        });
        if compresses {
            return Box::pin(compress(self.accepted.clone(), answer)).await;
        }
        answer
    }

    /// Whether a whole answer of so many bytes is to be sent as it is.
    fn takes_plain(&self, bytes: usize) -> bool {
        self.accepted.is_none() || !is_compressible(bytes)
    }

    /// The headers that this adds to an answer; `varies` if it may be compressed.
    fn headers(&self, varies: bool, mut add: impl FnMut(&'static str, &'static str)) {
        add("access-control-allow-origin", "*");
        if self.is_page {
            add("access-control-expose-headers", EXPOSED);
        }
        if varies {
            add("vary", "accept-encoding");
        }
    }
}

/// Whether compressing so many bytes gains anything.
const fn is_compressible(bytes: usize) -> bool {
    bytes >= COMPRESSED_BYTES_MIN
}

async fn compress(accepted: Option<HeaderValue>, answer: Response) -> Response {
    let mut request = Request::new(Body::empty());
    request.headers_mut().extend(accepted.map(|value| (header::ACCEPT_ENCODING, value)));
    let mut answer = Some(answer);
    let service = service_fn(|_| ready(Ok::<_, Infallible>(answer.take().unwrap_or_default())));
    let compression = CompressionLayer::new().compress_when(SizeAbove::new(0));
    let Ok(answer) = compression.layer(service).oneshot(request).await;
    answer.map(Body::new)
}

/// Answers shorter than this are not compressed.
const COMPRESSED_BYTES_MIN: usize = 32;

/// Headers of a poll that any page may see.
const EXPOSED: &str = "doorbell-next,doorbell-more,doorbell-gap,etag,retry-after";

/// Any page may read and publish, as in the dialect: this says so before it does.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::PUT, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(Any)
}
