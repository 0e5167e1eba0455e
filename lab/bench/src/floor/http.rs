//! What an HTTP request costs with axum when the handler does nothing but read its body.

use axum::Router;
use axum::body::Bytes;
use axum::http::Uri;
use axum::routing::any;
use axum::serve::ListenerExt;

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
const ANSWER_BYTES_MAX: usize = 1 << 20;
static ANSWER: [u8; ANSWER_BYTES_MAX] = [b'x'; ANSWER_BYTES_MAX];

/// Reads the body. Answers as many bytes as the path says, or none.
async fn read_body(address: Uri, body: Bytes) -> &'static [u8] {
    drop(body);
    let bytes = address.path()[1..].parse().unwrap_or(0);
    &ANSWER[..bytes.min(ANSWER_BYTES_MAX)]
}
