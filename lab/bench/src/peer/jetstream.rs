//! NATS with its log, `JetStream`: a stream of all topics, in memory or in a file; publishes are
//! acknowledged. A subscriber from now on has a plain subscription, which is what it is fastest at;
//! one that comes back has a consumer, pushed to and not acknowledged. The requests are those of
//! <https://docs.nats.io/reference/reference-protocols/nats_api_reference>.

use std::cell::Cell;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use super::cluster::{self, Cluster};
use super::nats::{CONNECT, Operation, launch, operations};
use super::running::{Running, Setting, Storage};
use crate::failure::{Failure, Result};
use crate::generator::dialect::{Dialect, Effects, Heard, State, Target, push};

/// How long a request may take.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// Starts three that replicate and sync, and makes the stream.
pub(super) fn start_cluster() -> Result<Running> {
    let Cluster { mut programs, addresses } = Cluster::start()?;
    let address = addresses[0];
    cluster::until_led(|| make_stream(address, "file", 3))?;
    let program = programs.remove(0);
    let (subscriber, publisher) = (Rc::new(Stream::default()), Rc::new(Stream::default()));
    Ok(Running { _companions: programs, ..Running::at(address, program, subscriber, publisher) })
}

/// Starts it and makes the stream.
pub(super) fn start(setting: &Setting) -> Result<Running> {
    // It synchronises by a timer; so often is as near to always as it comes.
    let always = setting.storage == Storage::Always;
    let sync = if always { "sync_interval: \"1ms\"" } else { "" };
    let (program, address) = launch(&format!("jetstream {{ store_dir: \"FOLDER\"\n{sync} }}"))?;
    let storage = if setting.storage == Storage::Ephemeral { "memory" } else { "file" };
    make_stream(address, storage, 1)?;
    let (subscriber, publisher) = (Rc::new(Stream::default()), Rc::new(Stream::default()));
    Ok(Running::at(address, program, subscriber, publisher))
}

fn make_stream(address: SocketAddr, storage: &str, replicas: usize) -> Result<()> {
    let request = format!(
        "{{\"name\":\"BENCH\",\"subjects\":[\"s.*\"],\"retention\":\"limits\",\"discard\":\"old\",\
         \"storage\":\"{storage}\",\"max_msgs\":-1,\"max_bytes\":1073741824,\"max_age\":0,\
         \"max_consumers\":-1,\"num_replicas\":{replicas},\"duplicate_window\":0}}"
    );
    let mut stream = TcpStream::connect(address)?;
    let mut words = CONNECT.as_bytes().to_vec();
    push!(words, "SUB made 1\r\nPUB $JS.API.STREAM.CREATE.BENCH made {}\r\n", request.len());
    push!(words, "{request}\r\n");
    stream.write_all(&words)?;
    // A cluster that has no leader yet says nothing.
    stream.set_read_timeout(Some(ANSWER_WAIT))?;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if line.contains("\"error\"") {
            return Err(Failure(format!("JetStream made no stream: {line}")));
        }
        if line.starts_with('{') {
            return Ok(());
        }
    }
    Err(Failure("JetStream closed the connection".into()))
}

#[derive(Default)]
struct Stream {
    /// Each subscriber has a subject of its own to which its consumer delivers.
    subscribers: Cell<usize>,
}

impl Dialect for Stream {
    fn subscribe(&self, topics: Range<usize>, state: &mut State, out: &mut Vec<u8>) -> u32 {
        out.extend_from_slice(CONNECT.as_bytes());
        if state.place.is_empty() {
            for topic in topics {
                push!(out, "SUB s.{topic:06} {}\r\n", topic + 1);
            }
            out.extend_from_slice(b"PING\r\n");
            return 1;
        }
        let number = self.subscribers.get();
        self.subscribers.set(number + 1);
        push!(out, "SUB d.{number} 1\r\nSUB r.{number} 2\r\n");
        let count = topics.len() as u32;
        for topic in topics {
            let request = format!(
                "{{\"stream_name\":\"BENCH\",\"config\":{{\"deliver_subject\":\"d.{number}\",\
                 \"deliver_policy\":\"all\",\"ack_policy\":\"none\",\
                 \"filter_subject\":\"s.{topic:06}\",\"replay_policy\":\"instant\",\
                 \"mem_storage\":true,\"num_replicas\":1}}}}"
            );
            push!(out, "PUB $JS.API.CONSUMER.CREATE.BENCH r.{number} {}\r\n", request.len());
            push!(out, "{request}\r\n");
        }
        count
    }

    fn introduce(&self, publisher: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(CONNECT.as_bytes());
        push!(out, "SUB a.{publisher} 1\r\n");
    }

    fn publish(&self, to: Target, payload: &[u8], out: &mut Vec<u8>) {
        push!(out, "PUB s.{:06} a.{} {}\r\n", to.topic, to.publisher, payload.len());
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
    }

    fn acknowledges(&self) -> bool {
        true
    }

    fn hear(&self, _state: &mut State, bytes: &[u8], effects: &mut Effects<'_>) -> Result<usize> {
        operations(bytes, effects, |operation, effects| match operation {
            Operation::Pong => effects.heard(Heard::Ready),
            Operation::Error(words) => effects.heard(Heard::Refused(words)),
            // Delivered messages keep the subject that they were published to.
            Operation::Message { subject, text } if subject.starts_with(b"s.") => {
                effects.heard(Heard::Message(text));
            }
            Operation::Message { text, .. }
                if memchr::memmem::find(text, b"\"error\"").is_some() =>
            {
                effects.heard(Heard::Refused(text));
            }
            Operation::Message { subject, .. } if subject.starts_with(b"r.") => {
                effects.heard(Heard::Ready);
            }
            Operation::Message { .. } => effects.heard(Heard::Acknowledged(1)),
        })
    }
}
