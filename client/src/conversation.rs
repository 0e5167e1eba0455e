//! A connection of the line protocol: commands out, events in.

use bytes::{Buf, Bytes, BytesMut};
use doorbell_protocol::command::Command;
use doorbell_protocol::event::Kind;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::address::Endpoint;
use crate::credential::Credential;
use crate::error::{Error, Refusal};
use crate::laboratory::{ByteStream, Observed};
use crate::lines::Lines;
use crate::received::Received;
use crate::socket::{CONNECT_DEADLINE, Silence, connect, heard};
use crate::trust::Handshake;

/// An open conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    reader: ReadHalf<Box<dyn ByteStream>>,
    writer: WriteHalf<Box<dyn ByteStream>>,
    lines: Lines,
    outgoing: BytesMut,
    silence: Silence,
}

impl Conversation {
    /// Connects and waits for the server, which speaks first and then hears who asks.
    pub(crate) async fn open(
        endpoint: &Endpoint,
        credential: Option<&Credential>,
        observed: &Observed,
    ) -> Result<Self, Error> {
        let token = match credential {
            Some(credential) => {
                endpoint.protects(credential)?;
                Some(credential.line()?)
            }
            None => None,
        };
        let (reader, writer) =
            tokio::io::split(connect(endpoint, observed, Handshake::default()).await?);
        let mut conversation = Self {
            reader,
            writer,
            lines: Lines::default(),
            outgoing: BytesMut::new(),
            silence: Silence::default(),
        };
        let opened = conversation.expect(Kind::Open, endpoint).await?;
        if let Some(seconds) = opened.event.keepalive {
            conversation.silence = Silence::with_keepalive(seconds);
        }
        if let Some(token) = token {
            conversation.say(&Command::Authenticate(token));
            conversation.expect(Kind::Ok, endpoint).await?;
        }
        Ok(conversation)
    }

    /// How long the server may be silent.
    pub(crate) fn silence(&self) -> Silence {
        self.silence
    }

    async fn expect(&mut self, wanted: Kind, endpoint: &Endpoint) -> Result<Received, Error> {
        let answer = heard(CONNECT_DEADLINE, self.hear()).await?;
        match answer.event.event {
            kind if kind == wanted => Ok(answer),
            Kind::Error => Err(Error::Refused(Refusal::from_event(&answer.event))),
            Kind::Close => Err(Error::Closed),
            kind => Err(Error::Unexpected(format!("{endpoint} says {kind:?}, and not {wanted:?}"))),
        }
    }

    /// Queues a command; [`hear`](Self::hear) writes it.
    pub(crate) fn say(&mut self, command: &Command<'_>) {
        self.say_line(&command.to_string());
    }

    /// Queues a line, whatever it says.
    pub(crate) fn say_line(&mut self, line: &str) {
        self.outgoing.extend_from_slice(line.as_bytes());
        self.outgoing.extend_from_slice(b"\n");
    }

    /// The server's next event. What is queued is written meanwhile.
    ///
    /// Dropped before it is done, it loses nothing: call it again.
    pub(crate) async fn hear(&mut self) -> Result<Received, Error> {
        Received::parse(self.hear_line().await?)
    }

    /// The server's next line. What is queued is written meanwhile.
    ///
    /// Dropped before it is done, it loses nothing: call it again.
    pub(crate) async fn hear_line(&mut self) -> Result<Bytes, Error> {
        loop {
            if let Some(line) = self.lines.next_line()? {
                return Ok(line);
            }
            tokio::select! {
                read = self.reader.read_buf(self.lines.space()) => {
                    if read? == 0 {
                        return Err(Error::Closed);
                    }
                }
                written = self.writer.write(&self.outgoing), if !self.outgoing.is_empty() => {
                    self.outgoing.advance(written?);
                }
            }
        }
    }
}
