//! From a request to a WebSocket (RFC 6455, section 4; over HTTP/2, RFC 8441).

use axum::extract::Request as HttpRequest;
use axum::http::{StatusCode, header};
use doorbell_protocol::{Code, Error};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::credentials::SUBPROTOCOL;
use super::reply::{Body, Head, Reply};
use super::request::{Request, Upgradable, is_websocket};
use crate::stop::detach;
use crate::websocket::{Socket, SocketBounds};

/// What a WebSocket is spoken over.
pub(crate) type Stream = TokioIo<Upgraded>;

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
        let mut head = if is_websocket(parts) {
            let version = parts.headers.get(header::SEC_WEBSOCKET_VERSION);
            version.filter(|version| *version == "13").ok_or_else(refused)?;
            Head::new(StatusCode::OK)
        } else {
            let request = HttpRequest::from_parts(parts.clone(), ());
            let response = create_response_with_body(&request, || ()).map_err(|_| refused())?;
            Head::parsed(&response.into_parts().0)
        };
        // A browser closes a WebSocket that offered some and was answered with none of them.
        let offered = parts.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
        let mut offered = offered.filter_map(|value| value.to_str().ok());
        if offered.any(|value| value.split(',').any(|word| word.trim() == SUBPROTOCOL)) {
            head.add(header::SEC_WEBSOCKET_PROTOCOL.as_str(), SUBPROTOCOL.as_bytes());
        }
        Ok(Self { head, connection })
    }

    /// The answer to the request; once it is out, the WebSocket is served.
    pub(super) fn serve<T>(
        self,
        bounds: SocketBounds,
        serve: impl FnOnce(Socket<Stream>) -> T + Send + 'static,
    ) -> Reply
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let Self { head, connection } = self;
        detach(async move {
            // A client that goes away before that needs nothing.
            let Ok(stream) = connection.await else { return };
            // In a task of its own, which does not keep the room that the handshake took.
            detach(serve(Socket::new(TokioIo::new(stream), bounds)));
        });
        Reply::new(head, Body::Upgraded)
    }
}
