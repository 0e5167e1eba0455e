//! The clients' ends: they subscribe, get a message each, and check it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use super::stream::{End, pair};
use crate::failure::{Failure, Result};
use crate::generator::dialect::topic_name;
use crate::stamp::{Payload, Stamp};

/// Nothing is slower than that while anything goes on.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes that are read at a time.
const READ_BYTES: usize = 64 << 10;

/// Clients whose topics are shared evenly.
pub(super) struct Crowd {
    clients: Vec<End>,
    topics: usize,
    payload: Payload,
    arrivals: Arc<Arrivals>,
    buffer: Box<[u8]>,
}

/// Counts the clients that something has come to, and wakes the thread that waits for all.
struct Arrivals {
    missing: AtomicIsize,
    waiting: Thread,
}

impl Wake for Arrivals {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.waiting.unpark();
        }
    }
}

/// What is looked at in an event.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    event: &'a str,
    topic: Option<&'a str>,
    message: Option<&'a str>,
}

impl Crowd {
    /// So many clients, and the servers' ends of their streams.
    pub(super) fn new(count: usize, topics: usize, payload: Payload) -> (Self, Vec<End>) {
        let (clients, servers) = (0..count).map(|_| pair()).unzip();
        let waiting = std::thread::current();
        let arrivals = Arc::new(Arrivals { missing: AtomicIsize::new(0), waiting });
        let buffer = vec![0; READ_BYTES].into();
        (Self { clients, topics, payload, arrivals, buffer }, servers)
    }

    /// The number of a client's topic.
    pub(super) fn topic(&self, client: usize) -> usize {
        client % self.topics
    }

    /// Subscribes the next so many, whose other ends are served.
    pub(super) async fn subscribe(&mut self, clients: std::ops::Range<usize>) -> Result<()> {
        for index in clients.clone() {
            let line = format!("SUB {}\n", topic_name(self.topic(index)));
            self.clients[index].write_all(line.as_bytes()).await?;
        }
        let mut lines = Vec::new();
        for index in clients {
            read_lines(&mut self.clients[index], 2, &mut lines).await?;
            if events(&lines)? != ["open", "ok"] {
                let lines = String::from_utf8_lossy(&lines);
                return Err(Failure(format!("session {index} was not subscribed: {lines}")));
            }
        }
        Ok(())
    }

    /// Lets every client wait for bytes. None of them has any yet.
    pub(super) fn wait(&mut self) -> Result<()> {
        let count = isize::try_from(self.clients.len()).unwrap_or(isize::MAX);
        self.arrivals.missing.store(count, Ordering::Release);
        let waker = Waker::from(self.arrivals.clone());
        for (index, client) in self.clients.iter_mut().enumerate() {
            let early = take(client, &waker, &mut self.buffer)?;
            if !early.is_empty() {
                let early = String::from_utf8_lossy(early);
                return Err(Failure(format!("session {index} got what nobody sent: {early}")));
            }
        }
        Ok(())
    }

    /// Waits until something has come to each of them.
    pub(super) fn hear(&self) -> Result<()> {
        let mut before = isize::MAX;
        let mut since = Instant::now();
        loop {
            let missing = self.arrivals.missing.load(Ordering::Acquire);
            if missing <= 0 {
                return Ok(());
            }
            if missing < before {
                (before, since) = (missing, Instant::now());
            }
            let Some(left) = PATIENCE.checked_sub(since.elapsed()) else {
                return Err(Failure(format!("{missing} sessions got nothing for {PATIENCE:?}")));
            };
            // It may return early.
            std::thread::park_timeout(left);
        }
    }

    /// Whether each has got the message of that number, whole and unchanged, and nothing else.
    pub(super) fn check(&mut self, number: u64) -> Result<()> {
        for (index, client) in self.clients.iter_mut().enumerate() {
            let bytes = take(client, Waker::noop(), &mut self.buffer)?;
            let strange = |bytes: &[u8]| {
                let text = String::from_utf8_lossy(bytes);
                Failure(format!(
                    "session {index} was to get message {number} once, and got: {text}"
                ))
            };
            let line = bytes.strip_suffix(b"\n").ok_or_else(|| strange(bytes))?;
            let event = parse(line).map_err(|_| strange(bytes))?;
            let topic = index % self.topics;
            let text = event.message.unwrap_or_default().as_bytes();
            let stamp = Stamp { topic, number, planned_ns: 0 };
            if event.event != "message"
                || event.topic != Some(&topic_name(topic))
                || self.payload.read(text) != Some(stamp)
            {
                return Err(strange(bytes));
            }
        }
        Ok(())
    }
}

/// What the events in some lines are called.
pub(super) fn events(lines: &[u8]) -> Result<Vec<&str>> {
    let lines = lines.split_inclusive(|byte| *byte == b'\n');
    lines.map(|line| parse(line).map(|event| event.event)).collect()
}

fn parse(line: &[u8]) -> Result<Line<'_>> {
    let strange = |_| Failure(format!("no event: {}", String::from_utf8_lossy(line)));
    serde_json::from_slice(line).map_err(strange)
}

/// All bytes that are there.
fn take<'a>(client: &mut End, waker: &Waker, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
    let mut bytes = ReadBuf::new(buffer);
    let mut context = Context::from_waker(waker);
    loop {
        let before = bytes.filled().len();
        match Pin::new(&mut *client).poll_read(&mut context, &mut bytes) {
            Poll::Ready(read) => read?,
            Poll::Pending => break,
        }
        if bytes.filled().len() == before {
            return Err(Failure("a session ended, or said more than one may".into()));
        }
    }
    let count = bytes.filled().len();
    Ok(&buffer[..count])
}

/// Reads until so many lines have come; they are all that comes.
pub(super) async fn read_lines(
    client: &mut (impl AsyncRead + Unpin),
    count: usize,
    lines: &mut Vec<u8>,
) -> Result<()> {
    lines.clear();
    let (mut seen, mut ends) = (0, 0);
    while ends < count {
        if client.read_buf(lines).await? == 0 {
            return Err(Failure("a session ended".into()));
        }
        ends += memchr::memchr_iter(b'\n', &lines[seen..]).count();
        seen = lines.len();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Stamp = Stamp { topic: 0, number: 3, planned_ns: 0 };

    /// What a client makes of that instead of message 3 of its topic.
    async fn verdict(stamp: Stamp, edit: impl Fn(String) -> String) -> Result<()> {
        let payload = Payload::new(64, 1).unwrap();
        let (mut crowd, mut servers) = Crowd::new(1, 1, payload.clone());
        let mut bytes = Vec::new();
        payload.write(stamp, &mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let topic = topic_name(stamp.topic);
        let event = serde_json::json!({"event": "message", "topic": topic, "message": text});
        let line = format!("{event}\n");
        servers[0].write_all(edit(line).as_bytes()).await.unwrap();
        crowd.check(3)
    }

    #[tokio::test]
    async fn a_message_that_is_missing_doubled_changed_or_of_others_is_told() {
        let as_it_is = |line| line;
        assert!(verdict(TEXT, as_it_is).await.is_ok());
        assert!(verdict(TEXT, |_| String::new()).await.is_err(), "missing");
        assert!(verdict(TEXT, |line| line.repeat(2)).await.is_err(), "doubled");
        assert!(verdict(TEXT, |line| line[..line.len() - 1].into()).await.is_err(), "cut short");
        assert!(verdict(TEXT, |line| line.replacen('a', "b", 1)).await.is_err(), "changed");
        assert!(verdict(Stamp { number: 2, ..TEXT }, as_it_is).await.is_err(), "the one before");
        assert!(verdict(Stamp { topic: 1, ..TEXT }, as_it_is).await.is_err(), "of another topic");
    }
}
