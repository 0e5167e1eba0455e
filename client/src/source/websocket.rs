//! Receiving by WebSocket: one text frame an event.

use std::sync::Arc;

use bytes::Bytes;
use doorbell_protocol::Since;
use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::address::{Authority, Endpoint};
use crate::error::{Error, Refusal};
use crate::http::ANSWER_DEADLINE;
use crate::lines::LINE_BYTES_MAX;
use crate::received::Received;
use crate::socket::{Meter, SILENCE_DEADLINE, Socket, connect, heard};

const BUFFER_BYTES: usize = 8 << 10;

/// An open WebSocket.
pub(crate) struct Frames(WebSocketStream<Socket>);

impl Frames {
    pub(crate) async fn open(
        authority: &Authority,
        path: &str,
        since: &Since,
        meter: &Arc<Meter>,
    ) -> Result<Self, Error> {
        let socket = connect(&Endpoint::Tcp(authority.clone()), meter).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(LINE_BYTES_MAX))
            .max_frame_size(Some(LINE_BYTES_MAX));
        let url = format!("ws://{authority}{path}/ws?since={since}");
        meter.count_request();
        let (stream, _) = heard(ANSWER_DEADLINE, async {
            client_async_with_config(url, socket, Some(config)).await.map_err(error)
        })
        .await?;
        Ok(Self(stream))
    }

    /// The next event. Pings are answered on the way, and count as a sign of life.
    pub(crate) async fn next(&mut self) -> Result<Received, Error> {
        loop {
            let frame =
                heard(SILENCE_DEADLINE, async { self.0.next().await.transpose().map_err(error) });
            match frame.await? {
                Some(Message::Text(text)) => return Received::parse(Bytes::from(text)),
                Some(Message::Close(_)) | None => return Err(Error::Closed),
                Some(_) => {}
            }
        }
    }
}

fn error(error: WebSocketError) -> Error {
    match error {
        WebSocketError::Io(error) => error.into(),
        WebSocketError::ConnectionClosed | WebSocketError::AlreadyClosed => Error::Closed,
        WebSocketError::Http(answer) => {
            let body = answer.body().as_deref().unwrap_or_default();
            Error::Refused(Refusal::from_answer(answer.status().as_u16(), body, None))
        }
        // A server that dies sends no close frame.
        WebSocketError::Protocol(error) => Error::Lost(error.to_string()),
        error => Error::Unexpected(format!("no WebSocket of a doorbell server: {error}")),
    }
}
