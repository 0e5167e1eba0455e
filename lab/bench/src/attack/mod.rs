//! Attacks: what one client can do on purpose, at a rate that is fixed, so that the same can be
//! done to a program that only reads. Each is a function; all are run from a process of their own
//! with a low priority, on this machine alone.
//!
//! - `attacker`: sockets that never wait, and moments that are met
//! - `lines`, `http`, `http2`, `websocket`, `datagrams`: the attacks on each
//! - `sink`: the program that only reads
//! - `client`: the one who behaves, and what he notices

mod attacker;
pub(crate) mod client;
mod datagrams;
mod http;
mod http2;
mod lines;
mod sink;
mod websocket;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;

use self::attacker::Attacker;
use crate::failure::{Failure, Result};
use crate::peer::Named;

pub(crate) use self::sink::run as run_sink;

/// How much less than everybody else an attacker's process wants to run.
const NICE: i32 = 10;
/// Longer than any run: an attacker whose starter is gone ends by itself.
const SECONDS_MAX: u64 = 120;

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attack {
    /// As in `--contenders` and in the table.
    pub(crate) name: &'static str,
    /// MiB by which the server's memory may grow meanwhile.
    pub(crate) bound_mib: f64,
    run: fn(&mut Attacker) -> Result<()>,
}

impl Named for Attack {
    fn name(self) -> &'static str {
        self.name
    }
}

/// All of them. The bounds: what so many connections may hold, each at its own limit.
pub(crate) const ATTACKS: &[Attack] = &[
    Attack { name: "connections", bound_mib: 64.0, run: lines::connections },
    Attack { name: "half-closed", bound_mib: 64.0, run: lines::half_closed },
    Attack { name: "half-lines", bound_mib: 32.0, run: lines::half_lines },
    Attack { name: "unread", bound_mib: 64.0, run: lines::unread },
    Attack { name: "filters", bound_mib: 16.0, run: lines::filters },
    Attack { name: "patterns", bound_mib: 64.0, run: lines::patterns },
    Attack { name: "churn", bound_mib: 16.0, run: lines::churn },
    Attack { name: "tiny-publishes", bound_mib: 64.0, run: lines::tiny_publishes },
    Attack { name: "topics", bound_mib: 64.0, run: lines::topics },
    Attack { name: "half-heads", bound_mib: 32.0, run: http::half_heads },
    Attack { name: "requests", bound_mib: 32.0, run: http::requests },
    Attack { name: "large-polls", bound_mib: 64.0, run: http::large_polls },
    Attack { name: "compressed-polls", bound_mib: 64.0, run: http::compressed_polls },
    Attack { name: "wild-polls", bound_mib: 64.0, run: http::wild_polls },
    Attack { name: "http2-halves", bound_mib: 32.0, run: http2::halves },
    Attack { name: "http2-windows", bound_mib: 64.0, run: http2::windows },
    Attack { name: "http2-resets", bound_mib: 32.0, run: http2::resets },
    Attack { name: "http2-continuations", bound_mib: 32.0, run: http2::continuations },
    Attack { name: "http2-pings", bound_mib: 32.0, run: http2::pings },
    Attack { name: "websocket-pings", bound_mib: 16.0, run: websocket::pings },
    Attack { name: "websocket-fragments", bound_mib: 32.0, run: websocket::fragments },
    Attack { name: "datagrams", bound_mib: 16.0, run: datagrams::subscriptions },
];

/// The command line of the attacker's process.
#[derive(Debug, Clone, Args)]
pub(crate) struct AttackArguments {
    /// Which attack
    name: String,
    /// Where HTTP is spoken
    #[arg(long)]
    http: SocketAddr,
    /// Where lines are spoken
    #[arg(long)]
    tcp: SocketAddr,
    /// Where datagrams are heard
    #[arg(long)]
    udp: SocketAddr,
}

impl AttackArguments {
    /// Says that it is ready, and attacks until its starter ends it.
    pub(crate) fn run(self) -> Result<()> {
        let Self { name, http, tcp, udp } = self;
        let attack = ATTACKS.iter().find(|attack| attack.name == name);
        let attack = attack.ok_or_else(|| Failure(format!("{name} is no attack")))?;
        crate::machine::raise_descriptors();
        rustix::process::nice(NICE)?;
        println!("ready");
        let until = Instant::now() + Duration::from_secs(SECONDS_MAX);
        (attack.run)(&mut Attacker { http, tcp, udp, until, sockets: Vec::new() })
    }
}
