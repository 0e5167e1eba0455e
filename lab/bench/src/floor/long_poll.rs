//! Answers long polls and nothing else. `GET /TOPIC/NUMBER` waits for the messages of a topic from
//! that number on; connections are kept. Publishers speak as to the other floor programs.

use crate::failure::Result;
use crate::stamp::topic_of;

use super::door::{Peers, Work, serve};

/// Serves.
pub(super) fn run() -> Result<()> {
    serve(LongPoll::default())
}

#[derive(Default)]
struct LongPoll {
    /// By the number of the topic.
    topics: Vec<Topic>,
    answer: Vec<u8>,
}

#[derive(Default)]
struct Topic {
    /// All lines that came.
    lines: Vec<u8>,
    /// Where each of them begins.
    begins: Vec<usize>,
    /// Connections that wait for the next one.
    waiting: Vec<usize>,
}

impl Topic {
    /// Writes the answer with everything from a message on; false if there is nothing.
    fn answer(&self, number: usize, answer: &mut Vec<u8>) -> bool {
        let Some(begin) = self.begins.get(number) else { return false };
        let lines = &self.lines[*begin..];
        answer.clear();
        answer.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: ");
        answer.extend_from_slice(lines.len().to_string().as_bytes());
        answer.extend_from_slice(b"\r\n\r\n");
        answer.extend_from_slice(lines);
        true
    }
}

impl Work for LongPoll {
    type Role = bool; // Whether it is a publisher.

    fn hear(&mut self, peers: &mut Peers<bool>, key: usize, lines: &[u8]) {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let Some(peer) = peers.get(key) else { return };
            if peer.role {
                self.publish(peers, line);
            } else if line.starts_with(b"P\n") {
                peer.role = true;
            } else if let Some(target) = line.strip_prefix(b"GET /") {
                self.poll(peers, key, target);
            }
        }
    }
}

impl LongPoll {
    fn topic(&mut self, number: usize) -> &mut Topic {
        if self.topics.len() <= number {
            self.topics.resize_with(number + 1, Topic::default);
        }
        &mut self.topics[number]
    }

    fn poll(&mut self, peers: &mut Peers<bool>, key: usize, target: &[u8]) {
        let target = String::from_utf8_lossy(target);
        let mut words = target.split(['/', ' ']).map(str::parse::<usize>);
        let (Some(Ok(topic)), Some(Ok(number))) = (words.next(), words.next()) else { return };
        let mut answer = std::mem::take(&mut self.answer);
        let topic = self.topic(topic);
        if topic.answer(number, &mut answer) {
            peers.send(key, &answer);
        } else {
            topic.waiting.push(key);
        }
        self.answer = answer;
    }

    fn publish(&mut self, peers: &mut Peers<bool>, line: &[u8]) {
        let Some(number) = topic_of(line) else { return };
        let mut answer = std::mem::take(&mut self.answer);
        let topic = self.topic(number);
        let newest = topic.begins.len();
        topic.begins.push(topic.lines.len());
        topic.lines.extend_from_slice(line);
        // Those that wait have all before this message.
        topic.answer(newest, &mut answer);
        for key in topic.waiting.drain(..) {
            peers.send(key, &answer);
        }
        self.answer = answer;
    }
}
