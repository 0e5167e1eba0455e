//! UDP by hand, from an address that shows that it hears: one question, or a subscription.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::{Event, PATIENCE, Request, TestServer};

/// Bytes that no datagram reaches.
const DATAGRAM: usize = 2048;
/// A server that says nothing for so long is asked whether it is there.
const SILENCE: Duration = Duration::from_millis(100);
/// Silences in a row after which nobody is there.
const SILENCES_MAX: u32 = 100;
/// The server sends 256 held messages to a client that says nothing.
const MESSAGES_PER_PING: usize = 128;

/// The first answer to a command that comes with its cookie.
pub(crate) fn ask(from: &str, server: SocketAddr, command: &str) -> Event {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(server).unwrap();
    let mut buffer = [0; DATAGRAM];
    let mut answer = |datagram: String| {
        socket.send(datagram.as_bytes()).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    // As long as the answer with the cookie, or longer.
    let cookie = answer(format!("{command:<40}\n"));
    Event::parse(&answer(format!("{command} {cookie}")))
}

/// A subscription. A datagram that does not follow the one before it, or that only announces a
/// message, is fetched by a poll.
pub(crate) struct Datagrams {
    socket: UdpSocket,
    http: SocketAddr,
    filter: String,
    /// Ends the line of what is said.
    cookie: String,
    /// Everything wanted up to here was handed out.
    place: String,
    fetched: VecDeque<Event>,
    /// Messages since the last ping.
    unacknowledged: usize,
}

impl Datagrams {
    /// Subscribes; the second is the answer.
    pub(crate) fn subscribe(server: &TestServer, filter: &str, since: &str) -> (Self, Event) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        socket.connect(server.listener("udp")).unwrap();
        let mut own = Self {
            socket,
            http: server.http,
            filter: filter.to_owned(),
            // As long as the answer with the cookie, or longer.
            cookie: " ".repeat(40),
            place: since.to_owned(),
            fetched: VecDeque::new(),
            unacknowledged: 0,
        };
        assert!(own.say_subscribe());
        let answer = own.receive().expect("an answer to SUB");
        assert_eq!(answer.kind(), "ok", "{}", answer.line);
        answer.id().clone_into(&mut own.place);
        (own, answer)
    }

    /// The next event that goes on from the place; `None` if the server is gone.
    pub(crate) fn try_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.fetched.pop_front() {
                event.id().clone_into(&mut self.place);
                return Some(event);
            }
            let event = self.receive()?;
            let is_message = event.kind().starts_with("message");
            self.unacknowledged += usize::from(is_message);
            if self.unacknowledged >= MESSAGES_PER_PING && !self.ping() {
                return None;
            }
            if !is_message && !["keepalive", "pong"].contains(&event.kind()) {
                assert_eq!(event.kind(), "close", "{}", event.line);
                return None;
            }
            if event["prev"].as_str().unwrap() > self.place.as_str() || event["large"] == true {
                self.fetch()?;
            } else if event.id() > self.place.as_str() {
                event.id().clone_into(&mut self.place);
                if is_message || event.gap().is_some() {
                    return Some(event);
                }
            }
        }
    }

    fn fetch(&mut self) -> Option<()> {
        let (filter, place) = (self.filter.replace('>', "%3E"), &self.place);
        let request = Request::get(&format!("/{filter}/json?poll=1&since={place}"));
        let response = request.try_send_to(self.http).ok()?;
        assert_eq!(response.status, 200, "{}", response.text());
        self.fetched.extend(response.events_and_place());
        Some(())
    }

    fn receive(&mut self) -> Option<Event> {
        let mut buffer = [0; DATAGRAM];
        for _ in 0..SILENCES_MAX {
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    let text = std::str::from_utf8(&buffer[..length]).unwrap();
                    if !text.starts_with("cookie=") {
                        return Some(Event::parse(text.trim_end()));
                    }
                    text.trim_end().clone_into(&mut self.cookie);
                    if !self.say_subscribe() {
                        return None;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !self.ping() {
                        return None;
                    }
                }
                // Nobody hears what was sent.
                Err(_) => return None,
            }
        }
        None
    }

    fn say_subscribe(&self) -> bool {
        let Self { filter, place, cookie, .. } = self;
        self.socket.send(format!("SUB {filter} since={place} {cookie}\n").as_bytes()).is_ok()
    }

    fn ping(&mut self) -> bool {
        self.unacknowledged = 0;
        self.socket.send(format!("PING {}\n", self.cookie).as_bytes()).is_ok()
    }
}
