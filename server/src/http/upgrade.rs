//! From a request to a WebSocket (RFC 6455, section 4).

use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::Response;
use doorbell_protocol::{Code, Error};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::answer::Refusal;

/// A WebSocket that a client has opened.
pub(crate) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The library's default read buffer costs 128 KiB a connection; clients here send little.
const READ_BUFFER_BYTES: usize = 512;

/// A request that asks for a WebSocket.
#[derive(Debug)]
pub(crate) struct Upgrade {
    response: Response,
    upgrade: OnUpgrade,
}

impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let refused = || {
            Error::new(
                Code::NotWebSocket,
                "this address speaks WebSocket, and the request does not",
            )
        };
        let upgrade = parts.extensions.remove::<OnUpgrade>().ok_or_else(refused)?;
        let request = Request::from_parts(parts.clone(), ());
        let response = create_response_with_body(&request, Body::empty).map_err(|_| refused())?;
        Ok(Self { response, upgrade })
    }
}

impl Upgrade {
    /// The answer to the request; once it is out, the WebSocket is served. Its messages have so many
    /// bytes at most.
    pub(crate) fn serve<T>(
        self,
        message_bytes: usize,
        serve: impl FnOnce(Socket) -> T + Send + 'static,
    ) -> Response
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let Self { response, upgrade } = self;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(message_bytes))
            .max_frame_size(Some(message_bytes));
        let opened = async move {
            // Who goes away before that needs nobody.
            let Ok(stream) = upgrade.await else { return None };
            let stream = TokioIo::new(stream);
            Some(WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await)
        };
        #[allow(clippy::disallowed_methods, reason = "its socket is waited for")]
        tokio::spawn(async move {
            if let Some(socket) = Box::pin(opened).await {
                #[allow(clippy::disallowed_methods, reason = "its socket is waited for")]
                tokio::spawn(serve(socket));
            }
        });
        response
    }
}
