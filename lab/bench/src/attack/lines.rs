//! Attacks on those who speak lines.

use super::attacker::Attacker;
use crate::failure::Result;

/// Bytes of a line that is nearly as long as it may be.
const LONG_LINE_BYTES: usize = 65_000;
/// Patterns of one filter, as many as a server takes.
const PATTERNS: usize = 64;
/// Different names of a filter, as many as the protocol takes.
const NAMES: usize = 1024;

/// Connections that are opened until one has had its answers.
const ANSWERED_AFTER: usize = 50;

/// Connections that say nothing.
pub(super) fn connections(attacker: &mut Attacker) -> Result<()> {
    let tcp = attacker.tcp;
    attacker.keep(tcp, 4000, b"");
    attacker.stay()
}

/// Subscribers that go away at once, again and again.
pub(super) fn half_closed(attacker: &mut Attacker) -> Result<()> {
    attacker.steps(500, |attacker, _| {
        let tcp = attacker.tcp;
        attacker.keep(tcp, 1, b"SUB probe\n");
        // What is closed with answers unread is reset, and that is noticed.
        if attacker.sockets.len() > ANSWERED_AFTER {
            attacker.sockets.remove(0).hear();
        }
        Ok(())
    })
}

/// Long lines that are begun and not ended.
pub(super) fn half_lines(attacker: &mut Attacker) -> Result<()> {
    let line = "x".repeat(60_000).into_bytes();
    let tcp = attacker.tcp;
    attacker.keep(tcp, 200, &line);
    attacker.on_each(tcp, &line, 200, |socket, _| socket.say(b""))
}

/// Subscribers of everything that read nothing.
pub(super) fn unread(attacker: &mut Attacker) -> Result<()> {
    let tcp = attacker.tcp;
    attacker.keep(tcp, 200, b"SUB > since=all\n");
    attacker.stay()
}

/// Filters that name the same over and over.
pub(super) fn filters(attacker: &mut Attacker) -> Result<()> {
    let names: Vec<String> = (0..NAMES).map(|number| format!("{number:x}")).collect();
    let mut line = format!("SUB {}", names.join(","));
    while line.len() < LONG_LINE_BYTES {
        line += ",3ff";
    }
    line.push('\n');
    say_and_hear(attacker, 1, 20, |_| line.clone().into_bytes())
}

/// As many patterns as there may be, on each of some connections.
pub(super) fn patterns(attacker: &mut Attacker) -> Result<()> {
    let subscriptions: Vec<String> = (0..PATTERNS)
        .map(|row| {
            let pattern = |column| format!("*.{}{row}.{column}", "a".repeat(40));
            format!("SUB {}\n", (0..PATTERNS).map(pattern).collect::<Vec<_>>().join(","))
        })
        .collect();
    let tcp = attacker.tcp;
    let subscriptions = subscriptions.concat().into_bytes();
    attacker.keep(tcp, 25, &subscriptions);
    attacker.on_each(tcp, &subscriptions, 1000, |socket, _| {
        socket.say(b"");
        socket.hear();
    })
}

/// Subscribing and unsubscribing all the time.
pub(super) fn churn(attacker: &mut Attacker) -> Result<()> {
    say_and_hear(attacker, 4, 500, |_| b"SUB a.*,probe\nUNSUB a.*,probe\n".repeat(10))
}

/// Messages of one byte, as many as come to mind.
pub(super) fn tiny_publishes(attacker: &mut Attacker) -> Result<()> {
    say_and_hear(attacker, 4, 200, |_| b"PUB x x\n".repeat(100))
}

/// A new topic with each message.
pub(super) fn topics(attacker: &mut Attacker) -> Result<()> {
    say_and_hear(attacker, 4, 200, |number| {
        let publish = |each| format!("PUB n.{} x\n", number * 50 + each);
        (0..50).map(publish).collect::<Vec<_>>().concat().into()
    })
}

/// So many connections, on which something is said so often, and all answers are read.
fn say_and_hear(
    attacker: &mut Attacker,
    connections: usize,
    per_second: u32,
    say: impl Fn(usize) -> Vec<u8>,
) -> Result<()> {
    let tcp = attacker.tcp;
    attacker.keep(tcp, connections, b"");
    attacker.on_each(tcp, b"", per_second, |socket, number| {
        socket.say(&say(number));
        socket.hear();
    })
}
