//! What is done to every answer on its way out: which pages may see it, and whether it is
//! compressed.

use std::convert::Infallible;
use std::future::ready;

use axum::body::Body as HttpBody;
use axum::extract::Request as HttpRequest;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::compression::{CompressionLayer, predicate::SizeAbove};

use super::App;
use super::credentials;
use super::gzip::{Gzip, GzipTurns};
use super::origin::Audience;
use super::reply::{Body, Reply};
use super::request::{Headers, Request};
use crate::limits::COMPRESSED_BYTES;

/// Headers of a poll that any page may see.
const EXPOSED: &[u8] = b"doorbell-next,doorbell-more,doorbell-gap,etag,retry-after";

/// What a client says about how it takes its answer.
#[derive(Debug, Default)]
pub(super) struct ResponsePolicy {
    audience: Audience,
    accepted: Option<HeaderValue>,
    /// Turns for streams that are compressed, if there may be any.
    gzip: Option<GzipTurns>,
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
        let audience = app.origins.audience(request, may_see);
        let gzip = Some(app.gzip.clone()).filter(|_| accepted.is_some());
        Self { audience, accepted, gzip, is_trusting }
    }

    /// Of a request that could not be read.
    pub(super) fn unread(app: &App) -> Self {
        let headers = Headers::Plain(&[]);
        Self::of(app, &Request { method: "GET", path: "/", query: None, headers, upgrade: None })
    }

    /// Finishes an answer.
    ///
    /// What a page of another origin may see is told only to such a page: no other client pays for
    /// it with every poll. A poll's answer is compressed if the client asks for it and it is so
    /// short that others hardly wait for that; a longer one goes as it is, and so does what does
    /// not end, unless there is a turn for it.
    pub(super) fn apply(&self, mut reply: Reply) -> Reply {
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
        if !reply.is_compressible {
            return reply;
        }
        match reply.body {
            Body::Whole(bytes) if COMPRESSED_BYTES.contains(&bytes.len()) => {
                let (coding, bytes) = self.compressed(CompressionLayer::new(), bytes);
                if let Some(coding) = coding {
                    reply.head.add("content-encoding", coding.as_bytes());
                }
                reply.head.add("vary", b"accept-encoding");
                reply.body = Body::Whole(bytes);
            }
            Body::Stream(session, _) => {
                let gzip = self.gzip();
                if gzip.is_some() {
                    reply.head.add("content-encoding", b"gzip");
                }
                reply.body = Body::Stream(session, gzip);
            }
            Body::Whole(_) | Body::Pieces(..) | Body::Upgraded => {}
        }
        reply
    }

    /// What a stream is compressed by, if the client takes that and a turn is left.
    fn gzip(&self) -> Option<Box<Gzip>> {
        let gzip = self.gzip.as_ref()?.take()?;
        let only = CompressionLayer::new().no_br();
        self.compressed(only, Bytes::from_static(b"anything")).0.map(|_| gzip)
    }

    /// The same bytes in a coding that the client takes, and its name, or as they are.
    fn compressed(&self, layer: CompressionLayer, bytes: Bytes) -> (Option<HeaderValue>, Bytes) {
        let compressed = self.accepted.as_ref().and_then(|by| compressed(layer, by, &bytes));
        compressed.map_or((None, bytes), |(coding, bytes)| (Some(coding), bytes))
    }
}

/// The same bytes in a coding of these that the client takes, and its name.
fn compressed(
    layer: CompressionLayer,
    accepted: &HeaderValue,
    bytes: &Bytes,
) -> Option<(HeaderValue, Bytes)> {
    let mut request = HttpRequest::new(HttpBody::empty());
    request.headers_mut().insert(header::ACCEPT_ENCODING, accepted.clone());
    let service =
        service_fn(|_| ready(Ok::<_, Infallible>(Response::new(HttpBody::from(bytes.clone())))));
    let compression = layer.compress_when(SizeAbove::new(0));
    // Everything is there, so that there is nothing to wait for.
    let Ok(answer) = compression.layer(service).oneshot(request).now_or_never()?;
    let coding = answer.headers().get(header::CONTENT_ENCODING)?.clone();
    let bytes = answer.into_body().collect().now_or_never()?.ok()?.to_bytes();
    Some((coding, bytes))
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn an_answer_is_compressed_whole_and_only_if_that_takes_no_time() {
        let gzip = HeaderValue::from_static("gzip");
        let policy = ResponsePolicy { accepted: Some(gzip), ..ResponsePolicy::default() };
        for (length, is_compressed) in
            [(31, false), (32, true), (64 << 10, true), ((64 << 10) + 1, false)]
        {
            let whole = Reply::whole(StatusCode::OK, "text/plain", "x".repeat(length));
            let reply = policy.apply(Reply { is_compressible: true, ..whole });
            let Body::Whole(bytes) = &reply.body else { panic!("{length}: no whole answer") };
            assert_eq!(bytes.len() != length, is_compressed, "{length}: {}", bytes.len());
            let headers = reply.into_response(false).headers().clone();
            assert_eq!(headers.contains_key(header::CONTENT_ENCODING), is_compressed, "{length}");
            assert_eq!(headers.contains_key(header::VARY), is_compressed, "{length}");
        }
    }
}
