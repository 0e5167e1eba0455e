//! Writes what publishers say to those who want it, and nothing else; to a file before, if it has
//! one.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;

use crate::failure::Result;
use crate::stamp::topic_of;

use super::door::{Peers, Work, serve_over};

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writes {
    /// Each message by itself.
    Each,
    /// All that came together.
    Together,
    /// As together; whoever subscribes gets first what came before.
    Kept,
}

/// Serves, encrypted if that is said.
pub(super) fn run(writes: Writes, tls: Option<Arc<ServerConfig>>) -> Result<()> {
    serve_over(tls, FanOut { writes, file: None, topics: Vec::new(), waiting: Vec::new() })
}

/// Serves; appends each message to a file before it writes it.
pub(super) fn run_log(file: &Path) -> Result<()> {
    let (writes, file) = (Writes::Each, Some(File::create(file)?));
    serve_over(None, FanOut { writes, file, topics: Vec::new(), waiting: Vec::new() })
}

struct FanOut {
    writes: Writes,
    file: Option<File>,
    /// By the number of the topic.
    topics: Vec<Topic>,
    /// Topics with messages that were not written yet.
    waiting: Vec<usize>,
}

#[derive(Default)]
struct Topic {
    subscribers: Vec<usize>,
    /// Lines that came since the last write.
    batch: Vec<u8>,
    /// Lines that came before.
    kept: Vec<u8>,
}

#[derive(Default)]
pub(super) enum Role {
    #[default]
    Unknown,
    Publisher,
    Subscriber,
}

impl Work for FanOut {
    type Role = Role;

    fn hear(&mut self, peers: &mut Peers<Role>, key: usize, lines: &[u8]) {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let Some(peer) = peers.get(key) else { return };
            match peer.role {
                Role::Publisher => self.publish(line),
                Role::Subscriber => {}
                Role::Unknown if line.starts_with(b"P") => peer.role = Role::Publisher,
                Role::Unknown => {
                    peer.role = Role::Subscriber;
                    self.subscribe(peers, key, line);
                }
            }
            if self.writes == Writes::Each && self.write(peers).is_err() {
                // Whoever waits for the message sees that it never comes.
                return;
            }
        }
    }

    fn rest(&mut self, peers: &mut Peers<Role>) -> Result<()> {
        self.write(peers)
    }
}

impl FanOut {
    fn topic(&mut self, number: usize) -> &mut Topic {
        if self.topics.len() <= number {
            self.topics.resize_with(number + 1, Topic::default);
        }
        &mut self.topics[number]
    }

    /// `S FIRST END`: topics from the first, up to the end.
    fn subscribe(&mut self, peers: &mut Peers<Role>, key: usize, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let mut numbers = text.split_whitespace().skip(1).filter_map(|word| word.parse().ok());
        let (Some(first), Some(end)) = (numbers.next(), numbers.next()) else { return };
        peers.send(key, b"ok\n");
        for number in first..end {
            let topic = self.topic(number);
            topic.subscribers.push(key);
            if !topic.kept.is_empty() {
                let kept = std::mem::take(&mut topic.kept);
                peers.send(key, &kept);
                self.topics[number].kept = kept;
            }
        }
    }

    fn publish(&mut self, line: &[u8]) {
        let Some(number) = topic_of(line) else { return };
        let topic = self.topic(number);
        let waits = !topic.batch.is_empty();
        topic.batch.extend_from_slice(line);
        if !waits {
            self.waiting.push(number);
        }
    }

    fn write(&mut self, peers: &mut Peers<Role>) -> Result<()> {
        for number in self.waiting.drain(..) {
            let topic = &mut self.topics[number];
            if let Some(file) = &mut self.file {
                file.write_all(&topic.batch)?;
            }
            for key in &topic.subscribers {
                peers.send(*key, &topic.batch);
            }
            if self.writes == Writes::Kept {
                topic.kept.append(&mut topic.batch);
            }
            topic.batch.clear();
        }
        Ok(())
    }
}
