//! Receiving by WebSocket: one text frame an event.

use bytes::Bytes;
use doorbell_protocol::limits::EVENT_BYTES_MAX;
use futures_util::StreamExt;
use hyper::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::error::{Error, Refusal};
use crate::http::ANSWER_DEADLINE;
use crate::laboratory::{ByteStream, Observation};
use crate::options::Options;
use crate::received::Received;
use crate::socket::{Silence, connect, heard};
use crate::trust::Handshake;

const BUFFER_BYTES: usize = 8 << 10;

/// An open WebSocket.
pub(crate) struct Frames(WebSocketStream<Box<dyn ByteStream>>);

impl Frames {
    pub(crate) async fn open(options: &Options) -> Result<Self, Error> {
        let (site, observed) = (options.server.http()?, &options.observed);
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(EVENT_BYTES_MAX))
            .max_frame_size(Some(EVENT_BYTES_MAX));
        // The library is given an open stream, so it need not know whether that is encrypted.
        let (authority, prefix) = (site.authority(), site.path());
        let url = format!("ws://{authority}{prefix}{}/ws?{}", options.path(), options.query());
        let mut request = url.into_client_request().map_err(error)?;
        if let Some(authorization) = site.authorization()? {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let socket = connect(&site.endpoint(), observed, Handshake::default()).await?;
        observed.note(Observation::Request);
        let (stream, _) = heard(ANSWER_DEADLINE, async {
            client_async_with_config(request, socket, Some(config)).await.map_err(error)
        })
        .await?;
        Ok(Self(stream))
    }

    /// The next event. Pings are answered on the way, and count as a sign of life.
    pub(crate) async fn next(&mut self, silence: Silence) -> Result<Received, Error> {
        loop {
            let frame = silence.hear(async { self.0.next().await.transpose().map_err(error) });
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
