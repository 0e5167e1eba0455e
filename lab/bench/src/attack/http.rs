//! Attacks on those who speak HTTP/1.1.

use super::attacker::Attacker;
use crate::failure::Result;

/// Patterns of one filter, as many as a server takes.
const PATTERNS: usize = 64;

/// Heads that never end, a byte now and then.
pub(super) fn half_heads(attacker: &mut Attacker) -> Result<()> {
    let begin = b"GET /v1/health HTTP/1.1\r\nhost: x\r\nx-slow: ";
    let http = attacker.http;
    attacker.keep(http, 500, begin);
    attacker.on_each(http, begin, 500, |socket, _| socket.say(b"x"))
}

/// Requests one after the other on a few connections.
pub(super) fn requests(attacker: &mut Attacker) -> Result<()> {
    on_few(attacker, 8, 2000, b"GET /v1/health HTTP/1.1\r\nhost: localhost\r\n\r\n", true)
}

/// Large answers that nobody reads.
pub(super) fn large_polls(attacker: &mut Attacker) -> Result<()> {
    let poll = b"GET /big/json?poll=1&since=all&max=10000 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    on_few(attacker, 300, 300, poll, false)
}

/// Large answers, each of which must be compressed.
pub(super) fn compressed_polls(attacker: &mut Attacker) -> Result<()> {
    let poll = b"GET /big/json?poll=1&since=all&max=10000 HTTP/1.1\r\nhost: localhost\r\n\
        accept-encoding: br\r\n\r\n";
    on_few(attacker, 4, 20, poll, true)
}

/// Polls of many patterns where there are many topics.
pub(super) fn wild_polls(attacker: &mut Attacker) -> Result<()> {
    let tcp = attacker.tcp;
    for chunk in 0..40 {
        let names = |number| format!("PUB many.{}.x y\n", chunk * 500 + number);
        let publishes: Vec<String> = (0..500).map(names).collect();
        attacker.keep(tcp, 1, publishes.concat().as_bytes());
    }
    // What was said must be taken whole before the connections are given up.
    for _ in 0..100 {
        for socket in &mut attacker.sockets {
            socket.say(b"");
            socket.hear();
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    attacker.sockets.clear();
    let patterns: Vec<String> = (0..PATTERNS).map(|number| format!("*.x{number}.%3E")).collect();
    let filter = patterns.join(",");
    let poll = format!("GET /{filter}/json?poll=1&since=none HTTP/1.1\r\nhost: localhost\r\n\r\n");
    on_few(attacker, 4, 20, poll.as_bytes(), true)
}

/// The same request on so many connections in turn, so often; the answers are read, or not.
fn on_few(
    attacker: &mut Attacker,
    connections: usize,
    per_second: u32,
    request: &[u8],
    hears: bool,
) -> Result<()> {
    let http = attacker.http;
    attacker.keep(http, connections, request);
    attacker.on_each(http, b"", per_second, |socket, _| {
        socket.say(request);
        if hears {
            socket.hear();
        }
    })
}
