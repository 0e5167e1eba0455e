//! Attacks on those who hear datagrams.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use super::attacker::Attacker;
use crate::failure::Result;

/// How long the answer with a cookie is waited for.
const ANSWER: Duration = Duration::from_millis(50);
/// Subscribers, each of which is sent everything again and again.
const SUBSCRIBERS: usize = 64;

/// Subscriptions to all that is held, from many ports, and once more before it has come.
pub(super) fn subscriptions(attacker: &mut Attacker) -> Result<()> {
    let mut subscribers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(attacker.udp)?;
        socket.set_read_timeout(Some(ANSWER))?;
        let mut cookie = [0; 64];
        socket.send(b"SUB big since=all                ")?;
        // Where nobody answers, it is asked without one.
        let count = socket.recv(&mut cookie).unwrap_or(0);
        let cookie = String::from_utf8_lossy(&cookie[..count]).into_owned();
        subscribers.push((socket, format!("SUB big since=all {cookie}")));
    }
    attacker.steps(2000, |_, number| {
        let (socket, datagram) = &subscribers[number % SUBSCRIBERS];
        // It may be refused for want of room, or of somebody who hears it.
        let _ = socket.send(datagram.as_bytes());
        Ok(())
    })
}
