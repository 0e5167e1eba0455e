//! What an HTTP request costs with axum when the handler does nothing but read its body, and answer
//! with bytes that it has.

use std::convert::Infallible;
use std::sync::LazyLock;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::serve::ListenerExt;
use futures_util::stream;

use crate::failure::Result;

use super::listener::{listener, say_ready};

/// Serves.
pub(super) fn run() -> Result<()> {
    let listener = listener()?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        // Without it answers to pipelined requests wait for acknowledgements.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let router = Router::new().fallback(any(read_body));
        say_ready(address)?;
        Ok(axum::serve(listener, router).await?)
    })
}

/// The most that is answered, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;
static ANSWER: LazyLock<Bytes> = LazyLock::new(|| vec![b'x'; ANSWER_BYTES_MAX].into());

/// Reads the body. The path says how many bytes are answered, or none, and whether in pieces:
/// `/BYTES/PIECE`.
async fn read_body(address: Uri, body: Bytes) -> Response {
    drop(body);
    let mut numbers = address.path()[1..].split('/').map(|word| word.parse().unwrap_or(0));
    let bytes = numbers.next().unwrap_or(0);
    let mut left = ANSWER.slice(..bytes.min(ANSWER_BYTES_MAX));
    let Some(piece @ 1..) = numbers.next() else { return left.into_response() };
    let pieces = std::iter::from_fn(move || {
        let piece = left.split_to(left.len().min(piece));
        (!piece.is_empty()).then_some(Ok::<_, Infallible>(piece))
    });
    Body::from_stream(stream::iter(pieces)).into_response()
}
