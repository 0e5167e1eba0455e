//! What is done to every answer on its way out: which pages may see it, and whether it is
//! compressed.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;

use axum::body::Body as HttpBody;
use axum::extract::Request as HttpRequest;
use axum::http::{HeaderValue, header};
use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::compression::{CompressionLayer, predicate::SizeAbove};

use super::App;
use super::credentials;
use super::origin::Audience;
use super::reply::{Body, Reply};
use super::request::Request;
use crate::limits::COMPRESSORS_MAX;

/// Answers shorter than this are not compressed.
const COMPRESSED_BYTES_MIN: usize = 32;

/// Headers of a poll that any page may see.
const EXPOSED: &[u8] = b"doorbell-next,doorbell-more,doorbell-gap,etag,retry-after";

/// Turns to compress. Clones share them.
#[derive(Debug, Clone)]
pub struct Compressors(Arc<Semaphore>);

impl Default for Compressors {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(COMPRESSORS_MAX)))
    }
}

/// What a client says about how it takes its answer.
#[derive(Debug, Default)]
pub(super) struct ResponsePolicy {
    audience: Audience,
    accepted: Option<HeaderValue>,
    /// Whether the client brings a credential where they mean nothing.
    is_trusting: bool,
}

impl ResponsePolicy {
    /// From the headers `Origin`, `Accept-Encoding` and `Authorization`.
    pub(super) fn of(app: &App, request: &Request<'_>) -> Self {
        // A copy, because a header's value is a slice of the connection's buffer.
        let accepted = request.headers.get("accept-encoding");
        let accepted = accepted.and_then(|value| HeaderValue::from_bytes(value).ok());
        let brings_credential = credentials::are_in(request);
        let is_guarded = app.config.gate.has_access_file();
        let is_trusting = brings_credential && !is_guarded;
        if is_trusting {
            app.credentials_ignored.call_once(|| {
                tracing::warn!(
                    "a client brought a credential, which means nothing without --access"
                );
            });
        }
        let asks_first = request.method == "OPTIONS";
        let may_see = is_guarded && (brings_credential || asks_first);
        Self { audience: app.origins.audience(request, may_see), accepted, is_trusting }
    }

    /// Finishes an answer.
    ///
    /// What a page of another origin may see is told only to such a page: no other client pays for
    /// it with every poll. A poll's answer is compressed if the client asks for it; others do not
    /// pass through the compressor, whose state of some kilobytes would stay with them for as long
    /// as they last, nor do those for which there is no turn.
    pub(super) fn apply(&self, mut reply: Reply, compressors: &Compressors) -> Reply {
        // What others write is never taken for a page or a script.
        reply.head.add("x-content-type-options", b"nosniff");
        let readers: Option<&[u8]> = match &self.audience {
            Audience::Own => None,
            Audience::All | Audience::AllUnseen => Some(b"*"),
            Audience::Of(origin) => Some(origin),
        };
        if let Some(readers) = readers {
            reply.head.add("access-control-allow-origin", readers);
        }
        if matches!(self.audience, Audience::All | Audience::Of(_)) {
            reply.head.add("access-control-expose-headers", EXPOSED);
        }
        if self.is_trusting {
            reply.head.add("doorbell-auth", b"off");
        }
        if matches!(self.audience, Audience::Of(_)) {
            reply.head.add("vary", b"origin");
        }
        if !reply.is_compressible || !is_long(&reply.body) {
            return reply;
        }
        if let Some(accepted) = &self.accepted
            && let Ok(turn) = compressors.0.clone().try_acquire_owned()
        {
            // The compressor says itself that the answer varies.
            return compress(accepted.clone(), reply, turn);
        }
        reply.head.add("vary", b"accept-encoding");
        reply
    }
}

/// Whether compressing an answer gains anything.
fn is_long(body: &Body) -> bool {
    match body {
        Body::Whole(bytes) => bytes.len() >= COMPRESSED_BYTES_MIN,
        Body::Pieces(_) => true,
        Body::Stream(_) | Body::Upgraded => false,
    }
}

fn compress(accepted: HeaderValue, reply: Reply, turn: impl Send + 'static) -> Reply {
    let mut request = HttpRequest::new(HttpBody::empty());
    request.headers_mut().insert(header::ACCEPT_ENCODING, accepted);
    let mut answer = Some(reply.into_response(false));
    let service = service_fn(|_| ready(Ok::<_, Infallible>(answer.take().unwrap_or_default())));
    let compression = CompressionLayer::new().compress_when(SizeAbove::new(0));
    // The answer is there, so that the compressor has nothing to wait for before it begins.
    let answer = compression.layer(service).oneshot(request).now_or_never();
    let answer = answer.map(|Ok(answer)| answer.map(HttpBody::new));
    Reply::from_response(answer.unwrap_or_default(), turn)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::response::Response;
    use http_body_util::BodyExt;

    use super::*;

    /// A poll's answer for a client that takes gzip.
    fn answered(compressors: &Compressors) -> Response {
        let gzip = HeaderValue::from_static("gzip");
        let policy = ResponsePolicy { accepted: Some(gzip), ..ResponsePolicy::default() };
        let whole = Reply::whole(StatusCode::OK, "text/plain", "again and ".repeat(100));
        let reply = Reply { is_compressible: true, ..whole };
        policy.apply(reply, compressors).into_response(false)
    }

    #[tokio::test]
    async fn an_answer_without_a_turn_to_compress_is_sent_as_it_is() {
        let compressors = Compressors::default();
        let coding = |answer: &Response| answer.headers().contains_key(header::CONTENT_ENCODING);
        let mut held: Vec<Response> =
            (0..COMPRESSORS_MAX).map(|_| answered(&compressors)).collect();
        assert!(held.iter().all(coding));
        let plain = answered(&compressors);
        assert!(!coding(&plain));
        assert_eq!(plain.headers()[header::VARY], "accept-encoding");
        assert_eq!(plain.into_body().collect().await.unwrap().to_bytes().len(), 1000);
        // The turn ends with the answer.
        let sent = held.pop().unwrap().into_body().collect().await.unwrap().to_bytes();
        assert!(sent.len() < 100, "{}", sent.len());
        assert!(coding(&answered(&compressors)));
    }
}
