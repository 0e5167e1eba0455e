//! A WebSocket by hand.

use std::net::{SocketAddr, TcpStream};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::HandshakeError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

use super::{Event, PATIENCE};

/// One connection.
pub(crate) struct Socket {
    inner: WebSocket<TcpStream>,
}

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    /// An event in a text frame.
    Event(Event),
    /// A ping.
    Ping,
    /// The end, with its code and reason.
    Close(u16, String),
}

impl Socket {
    /// Connects to `/FILTER/ws`; `query` begins with a question mark or is empty.
    pub(crate) fn connect(address: SocketAddr, filter: &str, query: &str) -> Self {
        Self::over(TcpStream::connect(address).unwrap(), &format!("{filter}/ws{query}"))
    }

    /// Connects with a token, as a page does: in a sub-protocol. The error is the status of the
    /// refusal.
    pub(crate) fn connect_as(
        token: Option<&str>,
        address: SocketAddr,
        filter: &str,
        query: &str,
    ) -> Result<Self, u16> {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let url = format!("ws://localhost/{filter}/ws{query}");
        let mut request = url.into_client_request().unwrap();
        if let Some(token) = token {
            let token = URL_SAFE_NO_PAD.encode(token);
            let protocols = format!("doorbell, bearer.{token}").parse().unwrap();
            request.headers_mut().insert("sec-websocket-protocol", protocols);
        }
        match client(request, stream) {
            Ok((inner, answer)) => {
                let chosen = answer.headers().get("sec-websocket-protocol");
                let chosen = chosen.map(|value| value.to_str().unwrap());
                assert_eq!(chosen, token.map(|_| "doorbell"), "the token is not repeated");
                Ok(Self { inner })
            }
            Err(HandshakeError::Failure(Error::Http(answer))) => Err(answer.status().as_u16()),
            Err(other) => panic!("not expected: {other}"),
        }
    }

    /// Speaks over a TCP connection that is there.
    pub(crate) fn over(stream: TcpStream, path: &str) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let (inner, _) = client(format!("ws://localhost/{path}"), stream).unwrap();
        Self { inner }
    }

    /// The next frame that means something.
    pub(crate) fn hear(&mut self) -> Heard {
        loop {
            match self.inner.read() {
                Ok(Message::Text(text)) => return Heard::Event(Event::parse(&text)),
                Ok(Message::Ping(_)) => return Heard::Ping,
                Ok(Message::Close(Some(CloseFrame { code, reason }))) => {
                    return Heard::Close(code.into(), reason.to_string());
                }
                Ok(Message::Pong(_)) => {}
                other => panic!("not expected: {other:?}"),
            }
        }
    }

    /// The next event.
    pub(crate) fn event(&mut self) -> Event {
        loop {
            match self.hear() {
                Heard::Event(event) => return event,
                Heard::Ping => {}
                Heard::Close(code, reason) => panic!("closed with {code}: {reason}"),
            }
        }
    }

    /// The next event of a server that may be gone; `None` if it is.
    pub(crate) fn try_event(&mut self) -> Option<Event> {
        loop {
            match self.inner.read() {
                Ok(Message::Text(text)) => return Some(Event::parse(&text)),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                _ => return None,
            }
        }
    }

    /// Sends a text frame.
    pub(crate) fn say(&mut self, text: &str) {
        self.inner.send(Message::text(text)).unwrap();
    }

    /// Answers a ping that may not have been sent.
    pub(crate) fn pong(&mut self) {
        self.inner.send(Message::Pong(Vec::new().into())).unwrap();
    }

    /// Begins the closing handshake.
    pub(crate) fn close(&mut self) {
        let frame = CloseFrame { code: 1000.into(), reason: "enough".into() };
        self.inner.close(Some(frame)).unwrap();
    }

    /// Sends a binary frame.
    pub(crate) fn say_bytes(&mut self, bytes: &[u8]) {
        self.inner.send(Message::binary(bytes.to_vec())).unwrap();
    }

    /// Sends a text frame and returns the next event.
    pub(crate) fn ask(&mut self, text: &str) -> Event {
        self.say(text);
        self.event()
    }
}
