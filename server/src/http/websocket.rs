//! The bridge for browsers: the line protocol over a WebSocket, one event a text frame.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use doorbell_protocol::{Code, Error, Since};
use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWrite;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message as Frame};

use super::App;
use super::params::Params;
use super::reply::Reply;
use super::request::{Request, decoded};
use super::upgrade::{Socket, Upgrade};
use crate::access::{Access, Readable};
use crate::conditions::Conditions;
use crate::connections::{Connection, Service};
use crate::cursor::Cursor;
use crate::line::{self, Link};
use crate::metrics::Transport;
use crate::session::Ending;

/// Bytes of a close reason that fit into a control frame beside its code (RFC 6455, section 5.5).
const CLOSE_REASON_BYTES: usize = 123;

/// A request for `GET /FILTER/ws`.
pub(super) struct OpenSocket {
    access: Access,
    filter: Readable,
    since: Since,
    conditions: Conditions,
    upgrade: Upgrade,
}

impl OpenSocket {
    /// Reads it from a request.
    pub(super) fn of(
        access: Access,
        filter: &str,
        request: &mut Request<'_>,
    ) -> Result<Self, Error> {
        let params = Params::of(request)?;
        let (since, conditions) = (params.since(Since::None), params.conditions());
        let upgrade = Upgrade::of(request)?;
        let filter = access.readable(decoded(filter)?.parse()?)?;
        Ok(Self { access, filter, since: since?, conditions: conditions?, upgrade })
    }
}

/// Opens one, and speaks lines over it.
pub(super) async fn open(
    app: &App,
    opening: OpenSocket,
    connection: &Arc<Connection>,
) -> Result<Reply, Error> {
    let OpenSocket { access, filter, since, conditions, upgrade } = opening;
    let cursor = Cursor::open(&access, filter, &since).await?.with_conditions(conditions);
    let (config, connection) = (app.config.clone(), connection.clone());
    Ok(upgrade.serve(config.line_bytes, move |socket| {
        let transport = Transport::Websocket;
        let serving = connection.serve(Service::Reader(transport));
        let link = Bridge { socket, unanswered: false };
        line::serve(link, config, transport, cursor, serving)
    }))
}

/// A WebSocket as a link.
///
/// What it reads goes through the library, which answers pings and the closing handshake while it
/// is read. What it sends is framed here: a batch is framed once for all who get it.
struct Bridge {
    socket: Socket,
    /// Whether the library may have an answer that is not written.
    unanswered: bool,
}

impl Link for Bridge {
    fn poll_receive(
        &mut self,
        input: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        let bytes = match ready!(self.socket.poll_next_unpin(context)) {
            Some(Ok(Frame::Text(text))) => Bytes::from(text),
            Some(Ok(Frame::Binary(bytes))) => bytes,
            Some(Ok(Frame::Pong(_))) => {
                // It needs no answer: whoever waits in a group stays there. What comes after it is
                // read in another turn, since a peer may send nothing but these.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Ok(_)) => {
                // The library answers when it is read on.
                self.unanswered = true;
                return Poll::Ready(Ok(true));
            }
            None => return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            Some(Err(error)) => return Poll::Ready(Err(failure(error))),
        };
        input.extend_from_slice(&bytes);
        if !input.ends_with(b"\n") {
            input.push(b'\n');
        }
        Poll::Ready(Ok(true))
    }

    fn frame(&self, lines: &[Bytes]) -> Bytes {
        let text = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
        let size = |line: &Bytes| text.len(line.len() as u64) + line.len();
        let mut bytes = Vec::with_capacity(lines.iter().map(size).sum());
        for line in lines {
            let json = &line[..line.len() - 1];
            write_header(&text, json.len(), &mut bytes);
            bytes.extend_from_slice(json);
        }
        bytes.into()
    }

    fn sign_of_life(&self, _: Bytes) -> Bytes {
        let ping = FrameHeader { opcode: OpCode::Control(Control::Ping), ..FrameHeader::default() };
        let mut bytes = Vec::new();
        write_header(&ping, 0, &mut bytes);
        bytes.into()
    }

    fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.unanswered {
            // The library's frames and these must not stand in each other.
            ready!(self.socket.poll_flush_unpin(context)).map_err(failure)?;
            self.unanswered = false;
        }
        Pin::new(self.socket.get_mut()).poll_write(context, bytes)
    }

    async fn close(&mut self, ending: &Ending, _line: Option<Bytes>) -> io::Result<()> {
        let code = match ending {
            Ending::Stopping => CloseCode::Away,
            Ending::Fault(error) => match error.code() {
                Code::LineTooLong => CloseCode::Size,
                Code::Internal => CloseCode::Error,
                _ => CloseCode::Policy,
            },
            Ending::Quit | Ending::Gone | Ending::Broken(_) => CloseCode::Normal,
        };
        let text = ending.text();
        let mut end = text.len().min(CLOSE_REASON_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let frame = CloseFrame { code, reason: text[..end].into() };
        self.socket.send(Frame::Close(Some(frame))).await.map_err(failure)
    }
}

/// Writes the beginning of a frame from the server, which is not masked.
fn write_header(header: &FrameHeader, bytes: usize, out: &mut Vec<u8>) {
    header.format(bytes as u64, out).expect("memory takes what is written");
}

/// The connection broke, or else the peer sent what is no frame or too long a one.
fn failure(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(broken) => broken,
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            io::ErrorKind::ConnectionAborted.into()
        }
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}
