//! What the tests share: a server that they start, and hands to talk to it with.

pub(crate) mod access;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod datagrams;
mod driver;
pub(crate) mod elsewhere;
pub(crate) mod event;
pub(crate) mod fronts;
pub(crate) mod held_disk;
pub(crate) mod http;
pub(crate) mod id;
pub(crate) mod lines;
pub(crate) mod nats;
pub(crate) mod preload;
pub(crate) mod push_service;
pub(crate) mod recorded_disk;
pub(crate) mod relay;
pub(crate) mod server;
pub(crate) mod smtp;
pub(crate) mod strangers;
pub(crate) mod tls;
pub(crate) mod transport;
pub(crate) mod websocket;

use std::time::{Duration, Instant};

pub(crate) use access::AccessFile;
pub(crate) use event::{Event, messages, seqs};
pub(crate) use held_disk::HeldDisk;
pub(crate) use http::{Request, Response};
pub(crate) use lines::Lines;
pub(crate) use server::TestServer;
pub(crate) use transport::Transport;

/// How long anything may take before a test calls it missing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Tries until there is something, for what cannot be awaited otherwise.
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Says in one line why a test does nothing. Where everything should be there, it fails instead.
pub(crate) fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// As [`skip`], but in continuous integration, which installs what is needed, it is a failure.
pub(crate) fn skip_unless_ci(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "missing in CI: {reason}");
    skip(reason);
}
