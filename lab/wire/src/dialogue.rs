//! The segments of one connection as a dialogue: what each side said and when, in words, by phase.
//!
//! Pure: segments in, steps out. Drawing is done elsewhere, and nothing here needs a privilege.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::segment::Segment;
use crate::words::{self, Sense};

/// An end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// It connected.
    Client,
    /// It was connected to.
    Server,
}

/// What a segment is there for. An acknowledgement belongs to what it acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The handshake.
    Open,
    /// The client asks.
    Request,
    /// The server answers what was asked.
    Answer,
    /// The server speaks unasked.
    Push,
    /// The goodbye.
    Close,
}

impl Phase {
    /// All, in the order in which they come first.
    pub const ALL: [Self; 5] = [Self::Open, Self::Request, Self::Answer, Self::Push, Self::Close];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Request => "request",
            Self::Answer => "answer",
            Self::Push => "push",
            Self::Close => "close",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One segment of the dialogue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Since the first segment, in microseconds.
    pub at_us: f64,
    /// The side that sent it.
    pub from: Side,
    /// What it is there for.
    pub phase: Phase,
    /// `SYN`, `ACK`, `PSH`, `FIN`, `RST`.
    pub flags: Vec<&'static str>,
    /// Where its first byte stands, counted from its sender's SYN.
    pub seq: u32,
    /// What it acknowledges, counted from the other side's SYN.
    pub ack: Option<u32>,
    /// Bytes of payload.
    pub payload_bytes: u64,
    /// Bytes of its packets, with the headers of IP and TCP.
    pub wire_bytes: u64,
    /// Packets that would cross a real wire.
    pub packets: u64,
    /// What it carries or does, in words; fit for a terminal.
    pub words: String,
}

/// Packets and bytes of a part of a dialogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Sum {
    /// Packets.
    pub packets: u64,
    /// Their bytes, with the headers of IP and TCP.
    pub wire_bytes: u64,
    /// Bytes of payload among them.
    pub payload_bytes: u64,
}

impl Sum {
    fn of<'a>(steps: impl Iterator<Item = &'a Step>) -> Self {
        steps.fold(Self::default(), |sum, step| Self {
            packets: sum.packets + step.packets,
            wire_bytes: sum.wire_bytes + step.wire_bytes,
            payload_bytes: sum.payload_bytes + step.payload_bytes,
        })
    }
}

/// A connection from its first to its last segment.
#[derive(Debug, Clone, PartialEq)]
pub struct Dialogue {
    /// When the first segment was seen, since the beginning of 1970.
    pub began: Duration,
    /// The segments in order of time.
    pub steps: Vec<Step>,
    /// Whether both sides' SYN were seen; without them sequence numbers count from the first
    /// segment of each side that was.
    pub has_begin: bool,
    /// Whether both FINs and their acknowledgements were seen.
    pub has_end: bool,
}

impl Dialogue {
    /// Puts the segments of one connection in order and tells what they do. Segments of others are
    /// left out.
    pub fn new(segments: &[Segment], client: SocketAddr, server: SocketAddr) -> Self {
        let ends = |segment: &&Segment| {
            [(client, server), (server, client)].contains(&(segment.source, segment.destination))
        };
        let mut own: Vec<&Segment> = segments.iter().filter(ends).collect();
        own.sort_by_key(|segment| segment.time);
        let began = own.first().map(|segment| segment.time).unwrap_or_default();
        let mut teller = Teller::new(&own, client);
        let steps = own.iter().map(|segment| teller.step(segment, began)).collect();
        Self { began, steps, has_begin: teller.syns == 2, has_end: has_end(&own) }
    }

    /// What a phase cost.
    pub fn sum(&self, phase: Phase) -> Sum {
        Sum::of(self.steps.iter().filter(|step| step.phase == phase))
    }

    /// What one side sent.
    pub fn sent_by(&self, side: Side) -> Sum {
        Sum::of(self.steps.iter().filter(|step| step.from == side))
    }

    /// All of it.
    pub fn total(&self) -> Sum {
        Sum::of(self.steps.iter())
    }
}

/// Whether the segments of a connection have both FINs in them and an acknowledgement of each.
fn has_end(segments: &[&Segment]) -> bool {
    let fins = segments.iter().filter(|segment| segment.flags.fin);
    let acknowledged = fins.filter(|fin| {
        let end = fin.sequence.wrapping_add(fin.sequence_length());
        segments.iter().any(|other| other.source == fin.destination && other.acknowledgement == end)
    });
    acknowledged.count() >= 2
}

/// Goes through the segments and knows what was said before.
struct Teller {
    client: SocketAddr,
    /// Where each side's numbers begin.
    origins: HashMap<Side, u32>,
    syns: usize,
    handshake_done: bool,
    closing: bool,
    polling: bool,
    /// The phase of what each side said last.
    last: HashMap<Side, Phase>,
}

impl Teller {
    fn new(segments: &[&Segment], client: SocketAddr) -> Self {
        let mut teller = Self {
            client,
            origins: HashMap::new(),
            syns: segments.iter().filter(|segment| segment.flags.syn).count(),
            handshake_done: false,
            closing: false,
            polling: false,
            last: HashMap::new(),
        };
        for segment in segments {
            let side = teller.side(segment);
            let is_new = !teller.origins.contains_key(&side);
            if segment.flags.syn || is_new {
                teller.origins.insert(side, segment.sequence);
            }
        }
        teller
    }

    fn side(&self, segment: &Segment) -> Side {
        if segment.source == self.client { Side::Client } else { Side::Server }
    }

    fn relative(&self, side: Side, number: u32) -> u32 {
        number.wrapping_sub(self.origins.get(&side).copied().unwrap_or(number))
    }

    fn step(&mut self, segment: &Segment, began: Duration) -> Step {
        let from = self.side(segment);
        let to = if from == Side::Client { Side::Server } else { Side::Client };
        let (phase, words) = self.tell(segment, from, to);
        let flags = segment.flags;
        let names = [
            ("SYN", flags.syn),
            ("FIN", flags.fin),
            ("RST", flags.rst),
            ("PSH", flags.psh),
            ("ACK", flags.ack),
        ];
        Step {
            at_us: segment.time.saturating_sub(began).as_secs_f64() * 1e6,
            from,
            phase,
            flags: names.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect(),
            seq: self.relative(from, segment.sequence),
            ack: flags.ack.then(|| self.relative(to, segment.acknowledgement)),
            payload_bytes: segment.payload.len() as u64,
            wire_bytes: segment.wire_bytes(),
            packets: segment.segments,
            words,
        }
    }

    fn tell(&mut self, segment: &Segment, from: Side, to: Side) -> (Phase, String) {
        let flags = segment.flags;
        if flags.syn {
            let words = if flags.ack { "SYN ACK" } else { "SYN" };
            return (Phase::Open, words.to_owned());
        }
        if !segment.payload.is_empty() {
            let (phase, mut words) = self.say(segment, from);
            if flags.fin {
                words.push_str(", FIN");
            }
            self.closing |= flags.fin;
            self.last.insert(from, phase);
            self.handshake_done = true;
            return (phase, words);
        }
        if flags.fin || flags.rst {
            self.closing = true;
            self.last.insert(from, Phase::Close);
            let mut words = if flags.fin { "FIN" } else { "RST" }.to_owned();
            if flags.ack {
                words.push_str(" ACK");
            }
            return (Phase::Close, words);
        }
        let phase = self.last.get(&to).filter(|_| self.handshake_done).copied();
        self.handshake_done = true;
        let phase = phase.unwrap_or(Phase::Open);
        (phase, "ACK".to_owned())
    }

    fn say(&mut self, segment: &Segment, from: Side) -> (Phase, String) {
        if from == Side::Client {
            let (sense, words) = words::of_client(&segment.payload);
            if let Sense::Request { is_poll } = sense {
                self.polling = is_poll;
            }
            self.closing |= sense == Sense::Goodbye;
            return (if self.closing { Phase::Close } else { Phase::Request }, words);
        }
        let (sense, words) = words::of_server(&segment.payload);
        self.closing |= sense == Sense::Goodbye;
        let before = self.last.get(&from).copied();
        let phase = match sense {
            _ if self.closing => Phase::Close,
            Sense::Event if !self.polling => Phase::Push,
            Sense::Part => before.unwrap_or(Phase::Answer),
            _ => Phase::Answer,
        };
        (phase, words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{Flags, Options};

    const OPEN: &str = "{\"id\":\"00004ziepp2H\",\"time\":1,\"event\":\"open\"}\n";
    const OK: &str = "{\"id\":\"00004ziepp2H\",\"time\":1,\"event\":\"ok\"}\n";
    const MESSAGE: &str =
        "{\"id\":\"00004ziepp2I\",\"time\":1,\"event\":\"message\",\"message\":\"hi\"}\n";

    struct Wire {
        segments: Vec<Segment>,
        next: [u32; 2],
    }

    impl Wire {
        fn client() -> SocketAddr {
            "127.0.0.1:4000".parse().unwrap()
        }

        fn server() -> SocketAddr {
            "127.0.0.1:80".parse().unwrap()
        }

        /// A segment of the client (0) or the server (1).
        fn send(&mut self, side: usize, flags: Flags, payload: &str) {
            let ends = [Self::client(), Self::server()];
            let at = self.segments.len() as u64;
            let segment = Segment {
                time: Duration::from_secs(9) + Duration::from_micros(10 * at),
                source: ends[side],
                destination: ends[1 - side],
                sequence: self.next[side],
                acknowledgement: if flags.ack { self.next[1 - side] } else { 0 },
                window: 100,
                flags,
                options: Options::default(),
                payload: payload.as_bytes().to_vec(),
                header_bytes: 52,
                segments: 1,
            };
            self.next[side] = self.next[side].wrapping_add(segment.sequence_length());
            self.segments.push(segment);
        }

        fn ack(&mut self, side: usize) {
            self.send(side, Flags { ack: true, ..Flags::default() }, "");
        }

        fn say(&mut self, side: usize, payload: &str) {
            self.send(side, Flags { ack: true, psh: true, ..Flags::default() }, payload);
            self.ack(1 - side);
        }
    }

    /// A subscription by lines, from SYN to the last acknowledgement.
    fn lines() -> Vec<Segment> {
        // The numbers wrap around on the way.
        let mut wire = Wire { segments: Vec::new(), next: [u32::MAX - 3, 700] };
        let (syn, fin) = (
            Flags { syn: true, ..Flags::default() },
            Flags { fin: true, ack: true, ..Flags::default() },
        );
        wire.send(0, syn, "");
        wire.send(1, Flags { ack: true, ..syn }, "");
        wire.ack(0);
        wire.say(1, OPEN);
        wire.say(0, "SUB demo\n");
        wire.say(1, OK);
        wire.say(1, MESSAGE);
        wire.send(0, fin, "");
        wire.send(1, fin, "");
        wire.ack(0);
        wire.segments
    }

    #[test]
    fn a_subscription_is_told_from_hello_to_goodbye() {
        let dialogue = Dialogue::new(&lines(), Wire::client(), Wire::server());
        let told: Vec<String> = dialogue
            .steps
            .iter()
            .map(|step| format!("{:?} {} {} {:?}", step.from, step.phase, step.words, step.ack))
            .collect();
        assert_eq!(
            told,
            [
                "Client open SYN None",
                "Server open SYN ACK Some(1)",
                "Client open ACK Some(1)",
                "Server push open Some(1)",
                "Client push ACK Some(47)",
                "Client request SUB demo Some(47)",
                "Server request ACK Some(10)",
                "Server answer ok Some(10)",
                "Client answer ACK Some(91)",
                "Server push message 'hi' Some(10)",
                "Client push ACK Some(155)",
                "Client close FIN ACK Some(155)",
                "Server close FIN ACK Some(11)",
                "Client close ACK Some(156)",
            ]
        );
        assert!(dialogue.has_begin && dialogue.has_end);
        assert_eq!(dialogue.steps[5].seq, 1);
        assert!((dialogue.steps[5].at_us - 50.0).abs() < 1e-6);
        assert_eq!(dialogue.sum(Phase::Open).packets, 3);
        let (near, far) = (dialogue.sent_by(Side::Client), dialogue.sent_by(Side::Server));
        assert_eq!(near.packets + far.packets, dialogue.total().packets);
        let phases = Phase::ALL.map(|phase| dialogue.sum(phase).wire_bytes);
        assert_eq!(phases.iter().sum::<u64>(), dialogue.total().wire_bytes);
    }

    #[test]
    fn the_answer_to_a_poll_is_no_push_even_if_its_body_comes_alone() {
        let mut wire = Wire { segments: Vec::new(), next: [5, 6] };
        wire.say(0, "GET /demo/json?poll=1&since=all HTTP/1.1\r\n\r\n");
        wire.say(1, "HTTP/1.1 200 OK\r\ncontent-length: 64\r\n\r\n");
        wire.say(1, MESSAGE);
        wire.say(0, "GET /demo/sse HTTP/1.1\r\n\r\n");
        wire.say(1, MESSAGE);
        let dialogue = Dialogue::new(&wire.segments, Wire::client(), Wire::server());
        let phases: Vec<&str> = dialogue.steps.iter().step_by(2).map(|s| s.phase.name()).collect();
        assert_eq!(phases, ["request", "answer", "answer", "request", "push"]);
        assert!(!dialogue.has_begin && !dialogue.has_end);
    }

    #[test]
    fn other_connections_are_left_out_and_the_order_is_that_of_time() {
        let mut segments = lines();
        let mut other = segments[0].clone();
        other.source.set_port(9);
        segments.insert(0, other);
        segments.reverse();
        let dialogue = Dialogue::new(&segments, Wire::client(), Wire::server());
        assert_eq!(dialogue.steps.len(), 14);
        assert_eq!(dialogue.steps[0].words, "SYN");
        assert!(Dialogue::new(&[], Wire::client(), Wire::server()).steps.is_empty());
    }
}
