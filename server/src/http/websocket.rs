//! The bridge for browsers: the line protocol over a WebSocket, one event a text frame.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{
    CloseFrame, Message as Frame, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code,
};
use axum::response::Response;
use bytes::Bytes;
use doorbell_protocol::{Code, Error, Filter, Since};
use futures_util::{SinkExt, StreamExt};

use super::App;
use super::answer::Refusal;
use super::params::{Address, Params};
use super::read::open;
use crate::connections::{Connection, Service};
use crate::line::{Conversation, Ending, Link};
use crate::metrics::Transport;

/// The library's default read buffer costs 128 KiB a connection; clients here send little.
pub(super) const READ_BUFFER_BYTES: usize = 1024;
/// Bytes of a close reason that fit into a control frame beside its code (RFC 6455, section 5.5).
const CLOSE_REASON_BYTES: usize = 123;

/// `GET /FILTER/ws`.
pub(crate) async fn upgrade(
    State(app): State<App>,
    Address(filter): Address<String>,
    Extension(connection): Extension<Arc<Connection>>,
    params: Params,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let upgrade = upgrade.map_err(|_| {
        Error::new(Code::NotWebSocket, "this address speaks WebSocket, and the request does not")
    })?;
    let filter: Filter = filter.parse()?;
    let since = params.since(Since::None)?;
    let cursor = open(&app, filter, &since, &params).await?;
    let line_bytes = app.manners.line_bytes;
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(line_bytes)
        .max_frame_size(line_bytes);
    let App { hub, manners, .. } = app;
    Ok(upgrade.on_upgrade(move |socket| {
        let transport = Transport::Websocket;
        let serving = connection.serve(Service::Reader(transport));
        let link = Bridge(socket);
        // Made out here: a future keeps room for what it was given beside what it makes of it.
        let mut conversation = Conversation::new(link, hub, manners, transport, cursor, serving);
        async move { conversation.run().await }
    }))
}

/// The connection broke, or else the peer sent what is no frame or too long a one.
fn failure(error: &axum::Error) -> io::Error {
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    match causes.find_map(|cause| cause.downcast_ref::<io::Error>()) {
        Some(broken) => broken.kind().into(),
        None => io::Error::new(io::ErrorKind::InvalidData, error.to_string()),
    }
}

/// A WebSocket as a link.
struct Bridge(WebSocket);

impl Link for Bridge {
    fn poll_receive(
        &mut self,
        input: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        loop {
            let bytes = match ready!(self.0.poll_next_unpin(context)) {
                Some(Ok(Frame::Text(text))) => Bytes::from(text),
                Some(Ok(Frame::Binary(bytes))) => bytes,
                // The library answers pings and the closing handshake itself, while it is read on.
                Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Close(_))) => continue,
                None => return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
                Some(Err(error)) => return Poll::Ready(Err(failure(&error))),
            };
            input.extend_from_slice(&bytes);
            if !input.ends_with(b"\n") {
                input.push(b'\n');
            }
            return Poll::Ready(Ok(true));
        }
    }

    async fn send(&mut self, lines: &[Bytes]) -> io::Result<()> {
        for line in lines {
            let json = line.slice(..line.len() - 1);
            let text = Utf8Bytes::try_from(json).map_err(io::Error::other)?;
            self.0.feed(Frame::Text(text)).await.map_err(io::Error::other)?;
        }
        self.0.flush().await.map_err(io::Error::other)
    }

    async fn keep_alive(&mut self, _line: Bytes) -> io::Result<()> {
        self.0.send(Frame::Ping(Bytes::new())).await.map_err(io::Error::other)
    }

    async fn close(&mut self, ending: &Ending, _line: Option<Bytes>) -> io::Result<()> {
        let code = match ending {
            Ending::Stopping => close_code::AWAY,
            Ending::Fault(error) => match error.code() {
                Code::LineTooLong => close_code::SIZE,
                Code::Internal => close_code::ERROR,
                _ => close_code::POLICY,
            },
            Ending::Quit | Ending::Gone | Ending::Broken(_) => close_code::NORMAL,
        };
        let text = ending.text();
        let mut end = text.len().min(CLOSE_REASON_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let frame = CloseFrame { code, reason: text[..end].into() };
        self.0.send(Frame::Close(Some(frame))).await.map_err(io::Error::other)
    }
}
