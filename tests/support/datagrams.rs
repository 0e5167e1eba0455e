//! One question by UDP, from an address that shows that it hears.

use std::net::{SocketAddr, UdpSocket};

use super::{Event, PATIENCE};

/// The first answer to a command that comes with its cookie.
pub(crate) fn ask(from: &str, server: SocketAddr, command: &str) -> Event {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(server).unwrap();
    let mut buffer = [0; 2048];
    let mut answer = |datagram: String| {
        socket.send(datagram.as_bytes()).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    // As long as the answer with the cookie, or longer.
    let cookie = answer(format!("{command:<40}\n"));
    Event::parse(&answer(format!("{command} {cookie}")))
}
