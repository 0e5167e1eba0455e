//! Inputs that nobody meant, for everything that reads what comes from outside.
//!
//! A [`Target`] takes any bytes and panics if a promise does not hold for them. The same targets
//! are run by the program of this crate, which changes what stands in `corpus/` by chance, and by
//! libFuzzer, which also looks at what code an input reaches (`libfuzzer/`). README.md has the
//! commands.
//!
//! - `inputs/words`: the parsers of the protocol, each against what its words mean
//! - `inputs/headers`: text beyond ASCII in headers, and what proxies tell of their clients
//! - `inputs/access`: the access file, and what its rules come to
//! - `inputs/template`: templates, and data to fill them in with
//! - `inputs/conversation`: the server's own readers of HTTP, WebSocket frames and lines, over
//!   streams in memory
//! - `served`: that server
//! - `corpus`, `mutate`: where inputs come from
//! - `run`: many of them, on every core

#![allow(clippy::unwrap_used, reason = "a panic is the report")]
#![allow(clippy::missing_panics_doc, reason = "a panic is the report")]

mod corpus;
mod inputs;
mod mutate;
pub mod run;
mod served;

/// Something that reads what comes from outside.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of its folder in `corpus/` and of its program for libFuzzer.
    pub name: &'static str,
    /// Reads the bytes, and panics if a promise does not hold.
    pub read: fn(&[u8]),
    /// How many inputs are a short run: a conversation takes longer than a word.
    pub short: u64,
    /// What its inputs are likely to hold.
    words: &'static [&'static str],
}

/// Short runs.
const WORDS: u64 = 20_000;
const CONVERSATIONS: u64 = 200;

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "topic",
        read: inputs::words::topic,
        short: WORDS,
        words: inputs::words::FILTER,
    },
    Target {
        name: "filter",
        read: inputs::words::filter,
        short: WORDS,
        words: inputs::words::FILTER,
    },
    Target {
        name: "containment",
        read: inputs::words::containment,
        short: WORDS,
        words: inputs::words::FILTER,
    },
    Target { name: "since", read: inputs::words::since, short: WORDS, words: inputs::words::SINCE },
    Target {
        name: "command",
        read: inputs::words::command,
        short: WORDS,
        words: inputs::words::COMMAND,
    },
    Target {
        name: "datagram",
        read: inputs::words::datagram,
        short: WORDS,
        words: inputs::words::COMMAND,
    },
    Target {
        name: "members",
        read: inputs::words::members,
        short: WORDS,
        words: inputs::words::JSON,
    },
    Target {
        name: "actions",
        read: inputs::words::actions,
        short: WORDS,
        words: inputs::words::ACTIONS,
    },
    Target {
        name: "parameters",
        read: inputs::words::parameters,
        short: WORDS,
        words: inputs::words::PARAMETERS,
    },
    Target { name: "draft", read: inputs::words::draft, short: WORDS, words: inputs::words::JSON },
    Target { name: "event", read: inputs::words::event, short: WORDS, words: inputs::words::JSON },
    Target {
        name: "access-file",
        read: inputs::access::file,
        short: WORDS,
        words: inputs::access::FILE,
    },
    Target {
        name: "rights",
        read: inputs::access::rights,
        short: WORDS,
        words: inputs::access::RULES,
    },
    Target {
        name: "encoded-words",
        read: inputs::headers::encoded_words,
        short: WORDS,
        words: inputs::headers::ENCODED_WORDS,
    },
    Target {
        name: "forwarded",
        read: inputs::headers::forwarded,
        short: WORDS,
        words: inputs::headers::FORWARDED,
    },
    Target {
        name: "proxy-header",
        read: inputs::headers::proxy_header,
        short: WORDS,
        words: inputs::headers::PROXY_HEADER,
    },
    Target {
        name: "template",
        read: inputs::template::template,
        short: WORDS / 4,
        words: inputs::template::TEMPLATE,
    },
    Target {
        name: "http",
        read: inputs::conversation::http,
        short: CONVERSATIONS,
        words: inputs::conversation::HTTP,
    },
    Target {
        name: "lines",
        read: inputs::conversation::lines,
        short: CONVERSATIONS,
        words: inputs::words::COMMAND,
    },
    Target {
        name: "websocket",
        read: inputs::conversation::websocket,
        short: CONVERSATIONS,
        words: &[],
    },
];

/// The target of that name.
pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
