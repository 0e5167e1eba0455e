//! The subscriber over TCP: connect, `AUTH` where that is asked for, `SUB TOPIC`, read lines.

use std::io;
use std::net::SocketAddr;

use doorbell_protocol::{Event, Id, Kind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{ANSWER_WAIT_MAX, Failure, Subscriber};
use crate::connections::Ends;
use crate::lab::lane::Name;
use crate::listen::reachable;

/// Bytes of one line from the server: a message of the largest size, all of it escaped, and what
/// stands around it.
const LINE_BYTES_MAX: usize = 8 << 20;
const READ_BYTES: usize = 16 << 10;

/// Receives until the stop (`Ok`) or a failure. `reached` is the last message, to go on from.
pub(super) async fn receive(
    subscriber: &Subscriber,
    reached: &mut Option<Id>,
) -> Result<(), Failure> {
    let stop = &subscriber.stop;
    let opening = timeout(ANSWER_WAIT_MAX, Talk::open(subscriber, *reached));
    let mut talk = match stop.run_until_cancelled(opening).await {
        None => return Ok(()),
        Some(Err(_)) => return Err(format!("no answer within {} s", ANSWER_WAIT_MAX.as_secs())),
        Some(Ok(talk)) => talk?,
    };
    subscriber.up(talk.ends).await;
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => {
                talk.part().await;
                return Ok(());
            }
            event = talk.next() => event?,
        };
        if let Some(id) = event.id.filter(|_| event.event.is_published()) {
            *reached = Some(id);
            subscriber.arrived(id, event.time_us).await;
        }
    }
}

/// One connection.
struct Talk {
    stream: TcpStream,
    /// Its own end and the server's.
    ends: (SocketAddr, SocketAddr),
    heard: Vec<u8>,
    /// Where the first line begins that was not taken.
    start: usize,
}

fn failed(error: &io::Error) -> Failure {
    format!("the connection failed: {error}")
}

impl Talk {
    /// Connects and subscribes.
    async fn open(subscriber: &Subscriber, reached: Option<Id>) -> Result<Self, Failure> {
        let bound =
            subscriber.seat.parts().addresses.tcp.ok_or("the server has no TCP listener")?;
        let address = reachable(bound);
        let connected = TcpStream::connect(address).await;
        let stream =
            connected.map_err(|error| format!("{address} could not be reached: {error}"))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let local = stream.local_addr().map_err(|error| failed(&error))?;
        // The server sees it the other way round.
        let seen = Ends::internet(address, local);
        subscriber.seat.charge(seen, Name::tcp());
        let mut talk = Self { stream, ends: (local, address), heard: Vec::new(), start: 0 };
        talk.hear(Kind::Open).await?;
        subscriber.seat.name(seen);
        let pass = subscriber.seat.pass().map_err(|error| error.text().to_owned())?;
        if let Some(pass) = pass {
            talk.say(&format!("AUTH {}\n", pass.reveal())).await?;
            talk.hear(Kind::Ok).await?;
        }
        let since = reached.map(|id| format!(" since={id}")).unwrap_or_default();
        talk.say(&format!("SUB {}{since}\n", subscriber.topic)).await?;
        talk.hear(Kind::Ok).await?;
        Ok(talk)
    }

    async fn say(&mut self, line: &str) -> Result<(), Failure> {
        self.stream.write_all(line.as_bytes()).await.map_err(|error| failed(&error))
    }

    async fn hear(&mut self, kind: Kind) -> Result<(), Failure> {
        while self.next().await?.event != kind {}
        Ok(())
    }

    /// The next event. Dropped before it is done, it loses nothing.
    async fn next(&mut self) -> Result<Event<'static>, Failure> {
        loop {
            let waiting = &self.heard[self.start..];
            if let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
                let event = Event::parse(&waiting[..end]).map(Event::into_owned);
                self.start += end + 1;
                return expected(event.map_err(|error| format!("no event came: {error}"))?);
            }
            self.heard.drain(..self.start);
            self.start = 0;
            if self.heard.len() > LINE_BYTES_MAX {
                return Err(format!("a line is longer than {LINE_BYTES_MAX} bytes, the limit"));
            }
            self.heard.reserve(READ_BYTES);
            match self.stream.read_buf(&mut self.heard).await {
                Ok(0) => return Err("the server closed the connection".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
    }

    /// Says goodbye and hears the server's, so that the connection ends in order.
    async fn part(mut self) {
        let goodbye = async {
            self.stream.write_all(b"QUIT\n").await?;
            while self.stream.read(&mut [0; 4096]).await? > 0 {}
            io::Result::Ok(())
        };
        let _ = timeout(ANSWER_WAIT_MAX, goodbye).await;
    }
}

fn expected(event: Event<'static>) -> Result<Event<'static>, Failure> {
    match event.event {
        Kind::Close => Err(event.message.unwrap_or_default().into_owned()),
        Kind::Error => Err(event.error.unwrap_or_default().into_owned()),
        _ => Ok(event),
    }
}
