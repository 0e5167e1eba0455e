//! What a contender's bytes mean: how one subscribes and publishes, and what is heard.

use std::ops::Range;

use crate::failure::Result;

/// Something in what a server sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard<'a> {
    /// A subscription stands.
    Ready,
    /// The text of a message.
    Message(&'a [u8]),
    /// So many publishes, or requests, were answered as they should be.
    Acknowledged(u64),
    /// The server refuses; its words.
    Refused(&'a [u8]),
}

/// Where a connection stands within its protocol.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The head of an HTTP answer has been read.
    pub(crate) opened: bool,
    /// Bytes of the current chunk that are still to come.
    pub(crate) left: usize,
    /// Content that was cut between two chunks.
    pub(crate) content: Vec<u8>,
    /// The next request of one that polls; or the id of the last message, where a dialect knows it.
    pub(crate) place: Vec<u8>,
    /// The first topic that the connection is for.
    pub(crate) topic: usize,
    /// Messages heard so far.
    pub(crate) heard: u64,
}

/// A publisher, and what it publishes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) publisher: usize,
    pub(crate) topic: usize,
}

/// What comes of hearing something.
pub(crate) struct Effects<'a> {
    /// What has to be answered.
    pub(crate) out: &'a mut Vec<u8>,
    /// Is told what was heard.
    listener: &'a mut dyn FnMut(Heard<'_>),
}

impl<'a> Effects<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, listener: &'a mut dyn FnMut(Heard<'_>)) -> Self {
        Self { out, listener }
    }

    /// Something was heard.
    pub(crate) fn heard(&mut self, what: Heard<'_>) {
        (self.listener)(what);
    }
}

/// How one talks to a contender, as a subscriber or as a publisher. What only one of them says is
/// nothing for the other.
pub(crate) trait Dialect {
    /// What is said first as a subscriber of these topics. Returns how often [`Heard::Ready`] is to
    /// be waited for.
    fn subscribe(&self, _topics: Range<usize>, _state: &mut State, _out: &mut Vec<u8>) -> u32 {
        0
    }

    /// What is said first as a publisher of that number.
    fn introduce(&self, _publisher: usize, _out: &mut Vec<u8>) {}

    /// A publish.
    fn publish(&self, _to: Target, _payload: &[u8], _out: &mut Vec<u8>) {}

    /// Whether every publish is answered.
    fn acknowledges(&self) -> bool {
        false
    }

    /// Takes what it can from the bytes and returns how many that were.
    fn hear(&self, state: &mut State, bytes: &[u8], effects: &mut Effects<'_>) -> Result<usize>;
}

/// The name of a topic, the same for every contender.
pub(crate) fn topic_name(topic: usize) -> String {
    format!("t{topic:06}")
}

/// Appends what is written like `format!`.
macro_rules! push {
    ($out:expr, $($arguments:tt)*) => {{
        use std::io::Write as _;
        // Writing to memory does not fail.
        let _ = write!($out, $($arguments)*);
    }};
}
pub(crate) use push;

/// Hands on whole lines, without their ends; returns the bytes that they took.
pub(crate) fn lines(bytes: &[u8], mut line: impl FnMut(&[u8]) -> Result<()>) -> Result<usize> {
    let mut used = 0;
    while let Some(length) = memchr::memchr(b'\n', &bytes[used..]) {
        line(&bytes[used..used + length])?;
        used += length + 1;
    }
    Ok(used)
}
