//! From a request to a WebSocket (RFC 6455, section 4).

use axum::extract::Request as HttpRequest;
use axum::http::header;
use doorbell_protocol::{Code, Error};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::credentials::SUBPROTOCOL;
use super::reply::{Body, Head, Reply};
use super::request::{Request, Upgradable};
use crate::stop::detach;

/// A WebSocket that a client has opened.
pub(crate) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The library's default read buffer costs 128 KiB a connection; clients here send little.
const READ_BUFFER_BYTES: usize = 512;

/// A request that asks for a WebSocket, and the answer to it.
#[derive(Debug)]
pub(super) struct Upgrade {
    head: Head,
    connection: OnUpgrade,
}

impl Upgrade {
    /// Takes the connection of a request that asks for one.
    ///
    /// # Errors
    ///
    /// That it does not.
    pub(super) fn of(request: &mut Request<'_>) -> Result<Self, Error> {
        let refused = || {
            let text = "this address speaks WebSocket, and the request does not";
            Error::new(Code::NotWebSocket, text)
        };
        let Upgradable { connection, parts } = request.upgrade.take().ok_or_else(refused)?;
        let request = HttpRequest::from_parts(parts.clone(), ());
        let response = create_response_with_body(&request, || ()).map_err(|_| refused())?;
        let (parts, ()) = response.into_parts();
        let mut head = Head::parsed(&parts);
        // A browser closes a WebSocket that offered some and was answered with none of them.
        let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
        let mut offered = offered.filter_map(|value| value.to_str().ok());
        if offered.any(|value| value.split(',').any(|word| word.trim() == SUBPROTOCOL)) {
            head.add(header::SEC_WEBSOCKET_PROTOCOL.as_str(), SUBPROTOCOL.as_bytes());
        }
        Ok(Self { head, connection })
    }

    /// The answer to the request; once it is out, the WebSocket is served. Its messages have so
    /// many bytes at most.
    pub(super) fn serve<T>(
        self,
        message_bytes: usize,
        serve: impl FnOnce(Socket) -> T + Send + 'static,
    ) -> Reply
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let Self { head, connection } = self;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(message_bytes))
            .max_frame_size(Some(message_bytes));
        detach(async move {
            // A client that goes away before that needs nothing.
            let Ok(stream) = connection.await else { return };
            let stream = TokioIo::new(stream);
            let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config));
            // In a task of its own, which does not keep the room that the handshake took.
            detach(serve(Box::pin(socket).await));
        });
        Reply::new(head, Body::Upgraded)
    }
}
