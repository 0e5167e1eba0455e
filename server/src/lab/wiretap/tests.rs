//! What is told of connections that are written down as they would be captured.

use doorbell_wire::{Flags, Options};

use super::*;

const SERVER: ([u8; 4], u16) = ([127, 0, 0, 1], 80);

/// One connection to the server, written down as it would be captured.
struct Wire {
    client: SocketAddr,
    next: [u32; 2],
}

impl Wire {
    fn new(port: u16) -> Self {
        Self { client: ([127, 0, 0, 1], port).into(), next: [100, 900] }
    }

    fn segment(&mut self, side: usize, flags: Flags, payload: &str, at: u64) -> Segment {
        let ends = [self.client, SERVER.into()];
        let segment = Segment {
            time: Duration::from_secs(9) + Duration::from_millis(at),
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
        segment
    }

    fn open(&mut self, at: u64) -> [Segment; 3] {
        let syn = Flags { syn: true, ..Flags::default() };
        let ack = Flags { ack: true, ..Flags::default() };
        [
            self.segment(0, syn, "", at),
            self.segment(1, Flags { ack: true, ..syn }, "", at),
            self.segment(0, ack, "", at),
        ]
    }

    fn say(&mut self, side: usize, payload: &str, at: u64) -> Segment {
        self.segment(side, Flags { ack: true, psh: true, ..Flags::default() }, payload, at)
    }

    fn close(&mut self, at: u64) -> [Segment; 3] {
        let fin = Flags { fin: true, ack: true, ..Flags::default() };
        let ack = Flags { ack: true, ..Flags::default() };
        [self.segment(0, fin, "", at), self.segment(1, fin, "", at), self.segment(0, ack, "", at)]
    }
}

/// The book of one lane, and the moment from which a test counts its milliseconds.
struct Fixture {
    book: Book,
    start: Instant,
}

impl Fixture {
    fn new() -> Self {
        Self { book: Book::new("lane=page.ws", [80, 1989]), start: Instant::now() }
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn take(&mut self, segments: impl IntoIterator<Item = Segment>, at: u64) {
        let now = self.at(at);
        segments.into_iter().for_each(|segment| self.book.take(segment, now));
    }

    fn tell(&mut self, at: u64) -> Vec<Trace> {
        let now = self.at(at);
        self.book.tell(&Name::parse("ws").unwrap(), now, |_| false)
    }
}

const REQUEST: &str = "GET /t/ws?lane=page.ws HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_connection_is_told_from_its_handshake_on_once_a_request_names_the_lane() {
    let mut fixture = Fixture::new();
    let mut wire = Wire::new(5000);
    fixture.take(wire.open(0), 0);
    assert!(fixture.tell(50).is_empty(), "whose it is is not known yet");
    fixture.take([wire.say(0, REQUEST, 60)], 60);
    assert_eq!(fixture.tell(61)[0].steps.len(), 3, "the request may be overtaken yet");
    let told = fixture.tell(100).remove(0);
    assert_eq!((told.connection, told.first, told.steps.len()), (1, 3, 1));
    assert!(told.has_begin && !told.has_end && !told.full);
    assert!(fixture.tell(150).is_empty(), "nothing new");
    fixture.take(wire.close(200), 200);
    let told = fixture.tell(250).remove(0);
    assert!(told.has_end && told.first == 4);
    assert!(fixture.tell(2000).is_empty() && fixture.book.connections.is_empty());
}

#[test]
fn requests_of_other_lanes_are_not_told_and_forgotten() {
    let mut fixture = Fixture::new();
    for (port, mark) in [(1, "lane=page.wss"), (2, "lane=other.ws"), (3, "poll=1")] {
        let mut wire = Wire::new(port);
        fixture.take(wire.open(0), 0);
        let request = REQUEST.replace("lane=page.ws", mark);
        fixture.take([wire.say(0, &request, 1)], 1);
        // What the server says does not name a lane.
        fixture.take([wire.say(1, REQUEST, 2)], 2);
    }
    assert!(fixture.tell(500).is_empty());
    assert_eq!(fixture.book.connections.len(), 3);
    assert!(fixture.tell(1500).is_empty() && fixture.book.connections.is_empty());
}

#[test]
fn what_comes_in_the_wrong_order_is_told_in_the_right_one() {
    let mut fixture = Fixture::new();
    let mut wire = Wire::new(5000);
    let [syn, answer, ack] = wire.open(0);
    let request = wire.say(0, REQUEST, 1);
    fixture.take([request, ack, answer, syn], 0);
    let told = fixture.tell(50).remove(0);
    let moments: Vec<f64> = told.steps.iter().map(|step| step.at_us).collect();
    assert!(moments.is_sorted() && told.steps[3].words.starts_with("GET"), "{told:?}");
}

#[test]
fn a_connection_is_told_up_to_its_bound_and_then_that_it_is_full() {
    let mut fixture = Fixture::new();
    let mut wire = Wire::new(5000);
    fixture.take([wire.say(0, REQUEST, 0)], 0);
    for at in 0..STEPS_MAX as u64 {
        fixture.take([wire.say(1, "x", at)], at);
    }
    let told = fixture.tell(1000).remove(0);
    assert!(told.full && told.steps.len() == STEPS_MAX);
    fixture.take([wire.say(1, "x", 2000)], 2000);
    assert!(fixture.tell(3000).is_empty(), "no more of it");
    fixture.take(wire.close(3001), 3001);
    assert!(fixture.tell(9000).is_empty() && fixture.book.connections.is_empty());
}

#[test]
fn strangers_make_room_for_connections_that_come() {
    let mut fixture = Fixture::new();
    let mut own = Wire::new(1);
    fixture.take([own.say(0, REQUEST, 0)], 0);
    assert_eq!(fixture.tell(30).len(), 1);
    for port in 0..2 * u16::try_from(CONNECTIONS_MAX).unwrap() {
        fixture.take(Wire::new(1000 + port).open(1), u64::from(port));
    }
    assert_eq!(fixture.book.connections.len(), CONNECTIONS_MAX);
    fixture.take([own.say(1, "x", 200)], 200);
    assert_eq!(fixture.tell(250).len(), 1, "a connection that is told is kept");
}
