//! One poll of many bytes: a kept connection asks for everything of a topic, again and again, and
//! reads each answer to its end as any client does. Its floor is a handler that has as many bytes
//! in memory and sends them with their length, or in pieces.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use doorbell_protocol::Event;

use super::bench::Bench;
use crate::failure::{Failure, Result};
use crate::generator::PATIENCE;
use crate::generator::dialect::topic_name;
use crate::generator::http::Arriving;
use crate::peer::{Contender, Running, Setting};
use crate::report::figure::Figure;
use crate::report::{Measured, Report};
use crate::stamp::Payload;
use crate::statistics::Summary;
use crate::usage::Cpu;

const FLOOR: &str = "floor-http";
const FLOOR_IN_PIECES: &str = "floor-http-pieces";
const DOORBELL: &str = "doorbell-http";
const CONTENDERS: &[&str] = &[FLOOR, FLOOR_IN_PIECES, DOORBELL];
const COLUMNS: &[Figure] = &[Figure::LatencyP50, Figure::LatencyMost, Figure::CpuPerMillionAnswers];
const RATIOS: &[Figure] = &[Figure::LatencyP50, Figure::CpuPerMillionAnswers];
/// Bytes of a message's text.
const PAYLOAD_BYTES: usize = 1000;
/// Messages of an answer: 53 KB, 212 KB, 1.0 MB and 8.3 MB with what stands around their texts.
const MESSAGES: &[u64] = &[46, 185, 880, 7200];
const MESSAGES_QUICK: &[u64] = &[46, 880];
/// What the floor sends at a time, where it sends pieces.
const PIECE_BYTES: usize = 64 << 10;
/// What the client reads at a time.
const READ_BYTES: usize = 64 << 10;

/// Runs it.
pub(super) fn run(bench: &Bench) -> Result<Report> {
    let flags = &bench.flags;
    let payload = flags.payload.unwrap_or(PAYLOAD_BYTES);
    let bench = &Bench {
        payload: Payload::new(payload, flags.seed)?,
        setting: Setting { payload, ..bench.setting.clone() },
        ..bench.clone()
    };
    let mut report = Report::new("large answers", COLUMNS, RATIOS);
    let contenders = bench.contenders(CONTENDERS)?;
    let given: Vec<u64> = flags.messages.into_iter().collect();
    for messages in flags.or(&given, MESSAGES_QUICK, MESSAGES) {
        let bytes = bytes_of(bench, messages)?;
        let case = [
            ("bytes", bytes.to_string()),
            ("messages", messages.to_string()),
            ("bytes of a text", payload.to_string()),
        ];
        bench.rounds(
            &mut report,
            &case,
            &contenders,
            |_| FLOOR,
            |contender| measure(bench, contender, messages, bytes),
        );
    }
    Ok(report)
}

/// Bytes of the server's answer with so many messages.
fn bytes_of(bench: &Bench, messages: u64) -> Result<usize> {
    let doorbell = Contender::named(DOORBELL);
    let doorbell = doorbell.ok_or_else(|| Failure(format!("{DOORBELL} is no contender")))?;
    let running = bench.start(doorbell, &bench.setting)?;
    let mut client = filled(bench, &running, messages)?;
    client.ask()?;
    Ok(client.content().len())
}

fn measure(bench: &Bench, contender: Contender, messages: u64, bytes: usize) -> Result<Measured> {
    let running = bench.start(contender, &bench.setting)?;
    let pid = running.program.pid();
    let (mut client, is_floor) = match contender.name {
        FLOOR => (Client::new(running.publish_at, &format!("/{bytes}"))?, true),
        FLOOR_IN_PIECES => {
            (Client::new(running.publish_at, &format!("/{bytes}/{PIECE_BYTES}"))?, true)
        }
        _ => (filled(bench, &running, messages)?, false),
    };
    let mut ask = || {
        let took = client.ask()?;
        let content = client.content();
        if is_floor && content.len() != bytes {
            return Err(Failure(format!("{} bytes came instead of {bytes}", content.len())));
        }
        if !is_floor {
            check(&content, &bench.payload, messages)?;
        }
        Ok(took.as_secs_f64() * 1e3)
    };
    let began = Instant::now();
    while began.elapsed() < bench.warm_up() {
        ask()?;
    }
    let duration = bench.flags.duration(0.2, 2.0)?;
    let (server, began) = (Cpu::of(pid)?, Instant::now());
    let mut millis = vec![ask()?];
    while began.elapsed() < duration {
        millis.push(ask()?);
    }
    let server = Cpu::of(pid)? - server;
    let mut figures =
        Measured::from([(Figure::CpuPerMillionAnswers, server.total * 1e6 / millis.len() as f64)]);
    if let Some(Summary { median, high, .. }) = Summary::of(&millis) {
        figures.extend([(Figure::LatencyP50, median), (Figure::LatencyMost, high)]);
    }
    Ok(figures)
}

/// Puts so many messages into a server's log; returns a client that asks for all of them.
fn filled(bench: &Bench, running: &Running, messages: u64) -> Result<Client> {
    let mut generator = bench.generator(1)?;
    generator.connect_publishers(running.publish_at, &running.publisher, 1)?;
    generator.publish_all(messages)?;
    let http = running.http.ok_or_else(|| Failure("what is polled must speak HTTP".into()))?;
    Client::new(http, &format!("/{}/json?poll=1&since=all", topic_name(0)))
}

/// Whether an answer has every message, whole and in order.
fn check(content: &[u8], payload: &Payload, messages: u64) -> Result<()> {
    let mut expected = 0;
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let event = Event::parse(line).map_err(|error| Failure(format!("no event: {error}")))?;
        let text = event.message.as_deref().unwrap_or_default();
        match payload.read(text.as_bytes()) {
            Some(stamp) if stamp.number == expected => expected += 1,
            _ => return Err(Failure(format!("message {expected} is not as it was sent"))),
        }
    }
    if expected == messages {
        Ok(())
    } else {
        Err(Failure(format!("an answer holds {expected} messages of {messages}")))
    }
}

/// One that asks on a kept connection and keeps the last answer.
struct Client {
    stream: TcpStream,
    request: String,
    /// All that came of the answer, and room for more.
    bytes: Vec<u8>,
    arriving: Arriving,
}

impl Client {
    fn new(address: SocketAddr, path: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Ok(Self { stream, request, bytes: Vec::new(), arriving: Arriving::default() })
    }

    /// Asks, and reads the answer to its end; returns the time that this took.
    fn ask(&mut self) -> Result<Duration> {
        let Self { stream, request, bytes, arriving } = self;
        *arriving = Arriving::default();
        let mut filled = 0;
        let began = Instant::now();
        stream.write_all(request.as_bytes())?;
        while !arriving.look(&bytes[..filled])? {
            // Grown at the first answers only.
            bytes.resize(bytes.len().max(filled + READ_BYTES), 0);
            match stream.read(&mut bytes[filled..filled + READ_BYTES])? {
                0 => return Err(Failure("the server ended the connection".into())),
                count => filled += count,
            }
        }
        Ok(began.elapsed())
    }

    /// What stood in the last answer.
    fn content(&self) -> Vec<u8> {
        let pieces = self.arriving.content.iter().map(|place| &self.bytes[place.clone()]);
        pieces.collect::<Vec<_>>().concat()
    }
}
