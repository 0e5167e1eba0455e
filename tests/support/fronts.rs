//! The suite over a cluster: where `DOORBELL_CLUSTER_SUITE` names one, every server that would have
//! a log of its own in memory or in a folder is a front of a fresh stream, and what tests publish
//! by the helpers of [`TestServer`](super::TestServer) goes to a second front of it.
//!
//! A server that is started with a folder, a way of syncing or a disk of its own is left as it is,
//! and so is one that a test starts by itself.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::nats::request;
use super::server::listener;
use super::{Lines, Request, eventually};

/// What is given to `--cluster`, for the whole suite.
pub(crate) const SUITE: &str = "DOORBELL_CLUSTER_SUITE";
/// A file in which the tests that had a front are named, one a line.
pub(crate) const SUITE_USED: &str = "DOORBELL_CLUSTER_SUITE_USED";

/// Flags that say where a log of one's own is.
const OWN_LOG: [&str; 3] = ["--data", "--sync", "--cluster"];

/// A stream of the suite's cluster, gone when it is dropped.
pub(crate) struct Stream {
    cluster: String,
    name: String,
}

impl Stream {
    /// One for a server with these flags, which are made those of a front of it; `None` if it has a
    /// log of its own.
    pub(crate) fn take(flags: &mut Vec<String>, variables: &[(&str, PathBuf)]) -> Option<Self> {
        static STREAMS: AtomicU32 = AtomicU32::new(0);
        let cluster = std::env::var(SUITE).ok()?;
        let is_own = |flag: &String| OWN_LOG.contains(&flag.as_str());
        if flags.iter().any(is_own) || !variables.is_empty() {
            return None;
        }
        let number = STREAMS.fetch_add(1, Ordering::Relaxed);
        let name = format!("suite-{}-{number}", std::process::id());
        flags.retain(|flag| flag != "--ephemeral");
        flags.extend(["--cluster", &cluster, "--cluster-stream", &name].map(str::to_owned));
        if let Some(path) = std::env::var_os(SUITE_USED) {
            let mut used = File::options().append(true).open(path).unwrap();
            writeln!(used, "{}", std::thread::current().name().unwrap_or("?")).unwrap();
        }
        Some(Self { cluster, name })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let server = self.cluster.split(',').next().unwrap().trim_start_matches("nats://");
        request(server.parse().unwrap(), &format!("$JS.API.STREAM.DELETE.{}", self.name), "");
    }
}

/// Waits until a front that was given a stream has it; at once for any other server. It is asked
/// for what nobody counts: its health, if it speaks plain HTTP.
pub(crate) fn await_log(flags: &[String], ready: &str, unix: &Path) {
    if !flags.iter().any(|flag| flag == "--cluster-stream") {
        return;
    }
    let is_proxied = flags.iter().any(|flag| flag == "--proxy-protocol");
    let http = listener(ready, "http").filter(|_| !is_proxied);
    eventually("the front has its log", || {
        let is_there = match http {
            Some(http) => Request::get("/v1/health").try_send_to(http).ok()?.status == 200,
            None => Lines::connect_unix(unix).event().kind() == "open",
        };
        is_there.then_some(())
    });
}
