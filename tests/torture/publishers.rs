//! Those who publish until the server is gone, over HTTP and in lines.

use std::sync::mpsc::Sender;

use crate::support::http::Connection;
use crate::support::{Event, Lines, Request, TestServer};

/// How many publish at the same time.
pub(super) const PUBLISHERS: u64 = 4;
/// The topic of the last message.
pub(super) const END: &str = "end";
/// Lines that are sent before their answers are read.
const LINES_MAX: u64 = 12;

/// Somebody who publishes.
pub(super) struct Publisher {
    name: u64,
    connection: Publishing,
}

enum Publishing {
    Http(Connection),
    Lines(Lines),
}

/// What one of them published.
pub(super) struct Published {
    pub(super) publisher: u64,
    /// How many of its texts were sent.
    pub(super) sent: u64,
    /// The number of each text that was acknowledged, and the answer.
    pub(super) acknowledged: Vec<(u64, Event)>,
}

/// A publisher's text of this number; no two are the same.
pub(super) fn text(publisher: u64, number: u64) -> String {
    let mixed = mix(publisher, number);
    let bytes = if mixed.is_multiple_of(4) { 3000 } else { mixed % 700 };
    format!("{publisher} {number} {}", "x".repeat(usize::try_from(bytes).unwrap()))
}

/// The topic of that text. One of them is seldom published to.
pub(super) fn topic(publisher: u64, number: u64) -> &'static str {
    match mix(number, publisher) % 50 {
        0 => "quiet",
        1..20 => "a",
        20..40 => "b.x",
        _ => "b.y",
    }
}

/// Whose text it is, and which.
pub(super) fn author(text: &str) -> Option<(u64, u64)> {
    let mut words = text.split(' ');
    let mut number = || words.next()?.parse().ok();
    Some((number()?, number()?))
}

/// Some number that these two make.
fn mix(one: u64, other: u64) -> u64 {
    let mixed = (one + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(other);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
}

impl Publisher {
    /// Connects; by which way depends on the name.
    pub(super) fn connect(server: &TestServer, name: u64) -> Self {
        let connection = match name % PUBLISHERS {
            0 => Publishing::Lines(server.lines()),
            1 => Publishing::Lines(Lines::greeted_unix(&server.unix())),
            _ => Publishing::Http(Connection::open(server.http)),
        };
        Self { name, connection }
    }

    /// Publishes until the server is gone.
    pub(super) fn publish(self, acknowledge: &Sender<()>) -> Published {
        let mut own = Published { publisher: self.name, sent: 0, acknowledged: Vec::new() };
        let mut connection = self.connection;
        while own.publish_some(&mut connection, acknowledge).is_some() {}
        own
    }
}

impl Published {
    /// Publishes some texts and waits for their answers; `None` if the server is gone.
    fn publish_some(
        &mut self,
        connection: &mut Publishing,
        acknowledge: &Sender<()>,
    ) -> Option<()> {
        let first = self.sent;
        let name = self.publisher;
        let text_of = |number| (topic(name, number), text(name, number));
        match connection {
            Publishing::Http(connection) => {
                self.sent += 1;
                let (topic, text) = text_of(first);
                let request = Request::post(&format!("/{topic}"), text);
                let response = connection.try_exchange(&request).ok()?;
                assert_eq!(response.status, 200, "{}", response.text());
                self.acknowledged.push((first, response.events().remove(0)));
                let _ = acknowledge.send(());
            }
            Publishing::Lines(lines) => {
                self.sent += 1 + mix(name, first) % LINES_MAX;
                let commands: Vec<String> = (first..self.sent)
                    .map(text_of)
                    .map(|(topic, text)| format!("PUB {topic} {text}"))
                    .collect();
                lines.try_say(commands.join("\n")).ok()?;
                for number in first..self.sent {
                    let answer = lines.try_event()?;
                    assert_eq!(answer.kind(), "ok", "{}", answer.line);
                    self.acknowledged.push((number, answer));
                    let _ = acknowledge.send(());
                }
            }
        }
        Some(())
    }
}
