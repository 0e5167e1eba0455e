//! The conversation that is traced: connect, subscribe or ask, one message, goodbye.
//!
//! Written on a bare socket, so that every byte of it is known and the end can be shown as it is:
//! with a server that closes first, the client acknowledges at once and closes a little later,
//! which makes the four segments of the textbooks.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doorbell::{Draft, Publisher, Receipt, Transport};
use doorbell_instruments::Failure;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;

/// Between the acknowledgement of the server's FIN and the client's own: long enough to be two
/// segments, short enough not to be felt.
const PAUSE_BEFORE_FIN: Duration = Duration::from_millis(2);
/// How long the server is asked to hold a long poll back; the message comes much sooner.
const WAIT: &str = "10s";
/// Bytes that a server may say in one trace.
const HEARD_BYTES_MAX: usize = 1 << 20;
/// The client's close frame (1000), masked with zeros: a client must mask, with whatever mask.
const WEBSOCKET_CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];

const OPEN: &[u8] = br#""event":"open""#;
const OK: &[u8] = br#""event":"ok""#;
const MESSAGE: &[u8] = br#""event":"message""#;

/// What is to be traced.
pub(crate) struct Scenario {
    pub(crate) via: Transport,
    /// The one message.
    pub(crate) draft: Draft,
    /// Time from one poll to the next, and how long an open connection is silent before the
    /// message.
    pub(crate) interval: Duration,
}

/// What happened, beside the segments.
pub(crate) struct Outcome {
    /// The client's end of the traced connection.
    pub(crate) client: SocketAddr,
    /// When the message was handed to the publisher's connection, since the beginning of 1970.
    pub(crate) published: Duration,
}

impl Scenario {
    /// Plays it.
    pub(crate) async fn run(
        &self,
        server: SocketAddr,
        publisher: &mut Publisher,
    ) -> Result<Outcome, Failure> {
        let mut talk = Talk::connect(server).await?;
        let client = talk.stream.local_addr()?;
        let moment = match self.via {
            Transport::Tcp => self.lines(&mut talk, publisher).await?,
            Transport::Websocket => self.websocket(&mut talk, server, publisher).await?,
            Transport::Longpoll => self.long_poll(&mut talk, server, publisher).await?,
            Transport::Poll => self.polls(&mut talk, server, publisher).await?,
            Transport::Sse => self.events(&mut talk, server, publisher).await?,
            Transport::Ndjson | Transport::Raw | Transport::Unix | Transport::Udp => {
                return Err(Failure::Usage(format!("{} cannot be traced", self.via)));
            }
        };
        talk.end().await?;
        Ok(Outcome { client, published: moment })
    }

    async fn lines(&self, talk: &mut Talk, publisher: &mut Publisher) -> Result<Duration, Failure> {
        talk.hear(OPEN).await?;
        talk.say(&format!("SUB {}\n", self.draft.topic)).await?;
        talk.hear(OK).await?;
        let moment = self.publish(publisher).await?;
        talk.hear(MESSAGE).await?;
        talk.say("QUIT\n").await?;
        Ok(moment)
    }

    async fn websocket(
        &self,
        talk: &mut Talk,
        server: SocketAddr,
        publisher: &mut Publisher,
    ) -> Result<Duration, Failure> {
        let topic = &self.draft.topic;
        talk.say(&format!(
            "GET /{topic}/ws HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
            generate_key()
        ))
        .await?;
        talk.hear(OPEN).await?;
        let moment = self.publish(publisher).await?;
        talk.hear(MESSAGE).await?;
        talk.stream.write_all(&WEBSOCKET_CLOSE).await?;
        Ok(moment)
    }

    async fn events(
        &self,
        talk: &mut Talk,
        server: SocketAddr,
        publisher: &mut Publisher,
    ) -> Result<Duration, Failure> {
        let topic = &self.draft.topic;
        talk.say(&format!(
            "GET /{topic}/sse HTTP/1.1\r\nHost: {server}\r\nAccept: text/event-stream\r\n\r\n"
        ))
        .await?;
        talk.hear(OPEN).await?;
        let moment = self.publish(publisher).await?;
        talk.hear(MESSAGE).await?;
        talk.leave().await?;
        Ok(moment)
    }

    /// The first poll learns the place, the second waits for what comes after it.
    async fn long_poll(
        &self,
        talk: &mut Talk,
        server: SocketAddr,
        publisher: &mut Publisher,
    ) -> Result<Duration, Failure> {
        let first = talk.ask(&self.poll("none", server)).await?;
        let place = format!("{}&wait={WAIT}", first.place()?);
        talk.say(&self.poll(&place, server)).await?;
        let moment = self.publish(publisher).await?;
        talk.answer().await?.has_message()?;
        talk.leave().await?;
        Ok(moment)
    }

    /// The first poll learns the place, the second comes too early, the third brings the message.
    async fn polls(
        &self,
        talk: &mut Talk,
        server: SocketAddr,
        publisher: &mut Publisher,
    ) -> Result<Duration, Failure> {
        let first = talk.ask(&self.poll("none", server)).await?;
        let mut request = self.poll(first.place()?, server);
        if let Some(etag) = first.header("etag") {
            request = request.replace("\r\n\r\n", &format!("\r\nIf-None-Match: {etag}\r\n\r\n"));
        }
        sleep(self.interval).await;
        talk.ask(&request).await?;
        sleep(self.interval / 2).await;
        let moment = self.publish_now(publisher).await?;
        sleep(self.interval / 2).await;
        talk.ask(&request).await?.has_message()?;
        talk.leave().await?;
        Ok(moment)
    }

    fn poll(&self, since: &str, server: SocketAddr) -> String {
        let topic = &self.draft.topic;
        format!("GET /{topic}/json?poll=1&since={since} HTTP/1.1\r\nHost: {server}\r\n\r\n")
    }

    /// Publishes after a silence, so that it can be seen that nothing crosses the wire meanwhile.
    async fn publish(&self, publisher: &mut Publisher) -> Result<Duration, Failure> {
        sleep(self.interval).await;
        self.publish_now(publisher).await
    }

    async fn publish_now(&self, publisher: &mut Publisher) -> Result<Duration, Failure> {
        let moment = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        match publisher.publish(self.draft.clone()).await? {
            Receipt::Accepted(_) => Ok(moment),
            Receipt::Refused(refusal) => {
                Err(Failure::Failed(format!("the server refused: {refusal}")))
            }
        }
    }
}

/// The client's end of the traced connection.
struct Talk {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Talk {
    async fn connect(server: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(server)
            .await
            .map_err(|error| Failure::Failed(format!("cannot connect to {server}: {error}")))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, heard: Vec::new() })
    }

    async fn say(&mut self, text: &str) -> Result<(), Failure> {
        self.heard.clear();
        Ok(self.stream.write_all(text.as_bytes()).await?)
    }

    /// Reads more; at the end it is `false`.
    async fn read(&mut self) -> Result<bool, Failure> {
        if self.heard.len() > HEARD_BYTES_MAX {
            return Err(Failure::Failed(format!("the server said {HEARD_BYTES_MAX} bytes")));
        }
        Ok(self.stream.read_buf(&mut self.heard).await? > 0)
    }

    /// Reads until something was said since the client last spoke.
    async fn hear(&mut self, what: &[u8]) -> Result<(), Failure> {
        while !self.heard.windows(what.len()).any(|window| window == what) {
            if !self.read().await? {
                return Err(unexpected(&self.heard));
            }
        }
        Ok(())
    }

    async fn ask(&mut self, request: &str) -> Result<Answer, Failure> {
        self.say(request).await?;
        self.answer().await
    }

    /// Reads one whole HTTP answer.
    async fn answer(&mut self) -> Result<Answer, Failure> {
        loop {
            if let Some(answer) = Answer::parse(&self.heard) {
                return match answer.status() {
                    "200" | "304" => Ok(answer),
                    _ => Err(unexpected(&self.heard)),
                };
            }
            if !self.read().await? {
                return Err(unexpected(&self.heard));
            }
        }
    }

    /// Ends the client's side first; the server then ends its own.
    async fn leave(&mut self) -> Result<(), Failure> {
        Ok(self.stream.shutdown().await?)
    }

    /// Waits for the server's end and closes.
    async fn end(mut self) -> Result<(), Failure> {
        while self.read().await? {
            self.heard.clear();
        }
        // Sends the acknowledgement that the kernel would keep for the client's own FIN. Where the
        // client has closed first it changes nothing.
        SockRef::from(&self.stream).set_tcp_quickack(true)?;
        sleep(PAUSE_BEFORE_FIN).await;
        Ok(())
    }
}

/// A whole HTTP answer.
struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    /// `None` until all of it is there.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let answer = Self { head, body: bytes[end..].to_vec() };
        let is_whole = match answer.header("content-length") {
            Some(length) => answer.body.len() >= length.parse().unwrap_or_default(),
            None if answer.header("transfer-encoding").is_some() => {
                answer.body.ends_with(b"0\r\n\r\n")
            }
            None => true,
        };
        is_whole.then_some(answer)
    }

    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn place(&self) -> Result<&str, Failure> {
        self.header("doorbell-next").ok_or_else(|| {
            Failure::Failed(
                "the answer to a poll has no Doorbell-Next: is this a doorbell \
                server?"
                    .to_owned(),
            )
        })
    }

    fn has_message(&self) -> Result<(), Failure> {
        if self.body.windows(MESSAGE.len()).any(|window| window == MESSAGE) {
            return Ok(());
        }
        Err(Failure::Failed("the poll after the message came back without it".to_owned()))
    }
}

fn unexpected(heard: &[u8]) -> Failure {
    let heard = String::from_utf8_lossy(heard);
    let line = heard.lines().next().unwrap_or("nothing").chars().take(120).collect::<String>();
    Failure::Failed(format!("the server said something else and no more: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        let whole = |text: &str| Answer::parse(text.as_bytes());
        assert!(whole("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n").is_none());
        assert!(whole("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh").is_none());
        let answer =
            whole("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: \"x\"\r\n\r\nhi").unwrap();
        assert_eq!((answer.status(), answer.header("etag")), ("200", Some("\"x\"")));
        assert!(answer.place().is_err() && answer.has_message().is_err());
        assert!(whole("HTTP/1.1 304 Not Modified\r\n\r\n").is_some());
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n";
        assert!(whole(chunked).is_none());
        assert!(whole(&format!("{chunked}0\r\n\r\n")).is_some());
    }
}
