//! Polls on kept connections, one after the other on each: without news (as 304 and as an empty
//! 200) and with ten messages, from a log that holds much and from one that holds nothing else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;

use super::bench::Bench;
use crate::failure::{Failure, Result};
use crate::generator::dialect::{Dialect, Effects, State, Target, push};
use crate::generator::http::{Head, acknowledgements};
use crate::generator::load::{Load, Pace};
use crate::peer::{Contender, Running};
use crate::report::figure::Figure;
use crate::report::{Measured, Report, measured};

const CONTENDERS: &[&str] = &["floor-http", "doorbell-tcp"];
const COLUMNS: &[Figure] = &[
    Figure::AnswersPerSecond,
    Figure::CpuPerMillionAnswers,
    Figure::ServerCore,
    Figure::GeneratorCore,
];
const RATIOS: &[Figure] = &[Figure::CpuPerMillionAnswers, Figure::AnswersPerSecond];
/// Connections that poll.
const POLLERS: usize = 64;
/// Messages that are new to polls for news.
const NEWS: u64 = 10;

/// What a poll is answered with.
#[derive(Debug, Clone, Copy)]
enum Answer {
    NotModified,
    Empty,
    News,
}

/// Runs it.
pub(super) fn run(bench: &Bench) -> Result<Report> {
    let flags = &bench.flags;
    let mut report = Report::new("polls", COLUMNS, RATIOS);
    let contenders = bench.contenders(CONTENDERS)?;
    let many = flags.messages.unwrap_or(if flags.quick { 10_000 } else { 1_000_000 });
    for (name, answer) in
        [("304", Answer::NotModified), ("empty 200", Answer::Empty), ("ten messages", Answer::News)]
    {
        for held in [0, many] {
            let case =
                [("answer", name.to_owned()), ("messages in the log before", held.to_string())];
            bench.rounds(
                &mut report,
                &case,
                &contenders,
                |_| "floor-http",
                |contender| measure(bench, contender, answer, held),
            );
        }
    }
    Ok(report)
}

fn measure(bench: &Bench, contender: Contender, answer: Answer, held: u64) -> Result<Measured> {
    let running = bench.start(contender, &bench.setting)?;
    let (request, address) = match contender.name {
        "floor-http" => (floor_request(bench, answer), running.publish_at),
        _ => prepare(bench, &running, answer, held)?,
    };
    let mut generator = bench.generator(POLLERS)?;
    let dialect: Rc<dyn Dialect> = Rc::new(Request(request));
    generator.connect_publishers(address, &dialect, POLLERS)?;
    let load = Load {
        pace: Pace::ONE_BY_ONE,
        subscribers: 0,
        warm_up: bench.warm_up(),
        duration: bench.flags.duration(0.2, 2.0)?,
    };
    let mut figures = measured(&generator.run(&load, running.program.pid())?);
    figures.remove(&Figure::PublishesPerSecond);
    Ok(figures)
}

/// A request whose answer has as many bytes as the server's.
fn floor_request(bench: &Bench, answer: Answer) -> Vec<u8> {
    /// Of an event beside its text.
    const EVENT_BYTES: usize = 150;
    let bytes = match answer {
        Answer::NotModified | Answer::Empty => 0,
        Answer::News => NEWS as usize * (bench.flags.payload() + EVENT_BYTES),
    };
    format!("GET /{bytes} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// Fills the log and finds the request that gets the wanted answer.
fn prepare(
    bench: &Bench,
    running: &Running,
    answer: Answer,
    held: u64,
) -> Result<(Vec<u8>, SocketAddr)> {
    let mut generator = bench.generator(1)?;
    generator.connect_publishers(running.publish_at, &running.publisher, 1)?;
    generator.publish_all(held)?;
    let http = running.http.ok_or_else(|| Failure("who is polled must speak HTTP".into()))?;
    let before = ask(http, "since=none")?;
    generator.publish_all(NEWS)?;
    let after = ask(http, "since=none")?;
    let poll = |since: &str, header: &str| {
        let path = format!("/t000000/json?poll=1&since={since}");
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n").into_bytes()
    };
    let request = match answer {
        Answer::News => poll(&before.next, ""),
        Answer::Empty => poll(&after.next, ""),
        Answer::NotModified => poll(&after.next, &format!("If-None-Match: {}\r\n", after.tag)),
    };
    Ok((request, http))
}

/// What a poll said about places.
struct Place {
    next: String,
    tag: String,
}

fn ask(address: SocketAddr, query: &str) -> Result<Place> {
    let mut words = Vec::new();
    push!(words, "GET /t000000/json?poll=1&{query} HTTP/1.1\r\nHost: localhost\r\n");
    push!(words, "Connection: close\r\n\r\n");
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(&words)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let head = Head::parse(&bytes)?.ok_or_else(|| Failure("a poll's answer is cut off".into()))?;
    let header = |name: &str| {
        let value = head.header(name).map(|value| String::from_utf8_lossy(value).into_owned());
        value.ok_or_else(|| Failure(format!("a poll's answer has no {name}")))
    };
    Ok(Place { next: header("doorbell-next")?, tag: header("etag")? })
}

/// One request again and again.
struct Request(Vec<u8>);

impl Dialect for Request {
    fn publish(&self, _to: Target, _payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn acknowledges(&self) -> bool {
        true
    }

    fn hear(&self, _state: &mut State, bytes: &[u8], effects: &mut Effects<'_>) -> Result<usize> {
        acknowledgements(bytes, effects)
    }
}
