//! The one who behaves: he publishes at a fixed rate, hears what he has published, and notes how
//! long each message took from its planned moment.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use doorbell_protocol::{Event, Kind};
use hdrhistogram::Histogram;

use crate::failure::{Failure, Result};

/// How long a message may be on its way before it is lost.
const PATIENCE: Duration = Duration::from_secs(3);
/// The largest latency that is told apart, in nanoseconds, and its digits.
const LATENCY_MAX: u64 = 60_000_000_000;
const DIGITS: u8 = 3;
/// Bytes read at a time.
const READ_BYTES: usize = 64 << 10;

/// What was noticed for some time.
pub(crate) struct Noticed {
    /// Nanoseconds from the planned moment.
    pub(crate) latency: Histogram<u64>,
    pub(crate) lost: usize,
}

/// A publisher and a subscriber.
pub(crate) struct Client {
    publisher: TcpStream,
    /// Numbers of messages, and when they came.
    heard: Receiver<(u64, Instant)>,
    next: u64,
    rate: f64,
}

impl Client {
    /// Connects to where lines are spoken.
    pub(crate) fn connect(tcp: SocketAddr, rate: f64) -> Result<Self> {
        let mut subscriber = BufReader::new(TcpStream::connect(tcp)?);
        subscriber.get_mut().write_all(b"SUB probe\n")?;
        let mut line = String::new();
        while !line.contains("\"event\":\"ok\"") {
            line.clear();
            if subscriber.read_line(&mut line)? == 0 {
                return Err(Failure("the server does not take the one who behaves".into()));
            }
        }
        let publisher = TcpStream::connect(tcp)?;
        publisher.set_nodelay(true)?;
        publisher.set_write_timeout(Some(PATIENCE))?;
        let mut answers = publisher.try_clone()?;
        std::thread::spawn(move || {
            let mut bytes = vec![0; READ_BYTES];
            while answers.read(&mut bytes).is_ok_and(|count| count > 0) {}
        });
        let (sender, heard) = channel();
        std::thread::spawn(move || {
            for line in subscriber.lines() {
                let Ok(line) = line else { return };
                let came = Instant::now();
                let event = Event::parse(line.as_bytes()).ok();
                let event = event.filter(|event| event.event == Kind::Message);
                let number = event.and_then(|event| event.message?.parse().ok());
                // Nobody listens any more once the measurement is over.
                if number.is_some_and(|number| sender.send((number, came)).is_err()) {
                    return;
                }
            }
        });
        Ok(Self { publisher, heard, next: 0, rate })
    }

    /// Publishes for so long, and waits for what is on its way.
    pub(crate) fn observe(&mut self, duration: Duration) -> Result<Noticed> {
        let count = (duration.as_secs_f64() * self.rate) as u64;
        let first = self.next;
        let began = Instant::now();
        let planned =
            |number: u64| began + Duration::from_secs_f64((number - first) as f64 / self.rate);
        self.next += count;
        for number in first..self.next {
            std::thread::sleep(planned(number).saturating_duration_since(Instant::now()));
            // A server that takes nothing for so long has lost what follows as well.
            if self.publisher.write_all(format!("PUB probe {number}\n").as_bytes()).is_err() {
                break;
            }
        }
        let mut latency = Histogram::new_with_max(LATENCY_MAX, DIGITS)
            .map_err(|error| Failure(format!("no histogram: {error}")))?;
        let mut missing: BTreeSet<u64> = (first..self.next).collect();
        while !missing.is_empty()
            && let Ok((number, came)) = self.heard.recv_timeout(PATIENCE)
        {
            if missing.remove(&number) {
                let took = came.saturating_duration_since(planned(number)).as_nanos();
                latency.saturating_record(took as u64);
            }
        }
        Ok(Noticed { latency, lost: missing.len() })
    }
}

/// How long somebody who was not there before waits for an answer; none if none comes.
pub(crate) fn newcomer(http: SocketAddr) -> Option<Duration> {
    let began = Instant::now();
    let mut stream = TcpStream::connect_timeout(&http, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(b"GET /v1/health HTTP/1.1\r\nhost: localhost\r\n\r\n").ok()?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).ok()?;
    (&status == b"HTTP/1.1 200").then(|| began.elapsed())
}
