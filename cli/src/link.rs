//! `doorbell link`: a relay with delays, by hand.

use std::io::Write;
use std::net::SocketAddr;

use clap::Args;
use doorbell_instruments::Failure;
use doorbell_link::{Link, Relay};
use tokio::signal::unix::{SignalKind, signal};

use crate::text::talk;

/// What the help says below the flags.
pub(crate) const EXAMPLES: &str = "\
Examples:
  doorbell link 'delay 40ms jitter 5ms rate 10mbit' --to 127.0.0.1:8080
  doorbell link 'delay 40ms loss 1% reorder 2%' --to 127.0.0.1:1990 --udp

Properties: delay and jitter (times, one way), rate (kbit, mbit, gbit), and with --udp loss, reorder
and duplicate (percent). Each connection has the link for itself. TCP segments are not lost: a relay
has streams and no segments. `doorbell compare --link` loses them, in a network of its own.

The address to connect to is printed. It runs until Ctrl-C.";

#[derive(Debug, Args)]
pub(crate) struct LinkArguments {
    /// The link, such as 'delay 40ms jitter 5ms rate 10mbit'
    link: Link,
    /// The server, as an IP address and a port
    #[arg(long, value_name = "ADDRESS")]
    to: SocketAddr,
    /// Relay datagrams instead of connections
    #[arg(long)]
    udp: bool,
    /// The seed of jitter and mishaps; the same seed gives the same ones
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

pub(crate) async fn run(arguments: LinkArguments) -> Result<(), Failure> {
    let LinkArguments { link, to, .. } = arguments;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let relay = if arguments.udp {
        Relay::udp(link, to, seed).await?
    } else {
        let link = link.for_tcp().map_err(|error| Failure::Usage(error.to_string()))?;
        Relay::tcp(link, to, seed).await?
    };
    say(&relay.local_addr().to_string())?;
    talk(&format!("{link} to {to}, seed {seed}; Ctrl-C ends it"));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    if arguments.udp {
        let passed = relay.passed();
        talk(&format!(
            "{} datagrams: {} lost, {} held back, {} doubled, {} without room in the queue",
            passed.datagrams, passed.lost, passed.reordered, passed.duplicated, passed.overflowed
        ));
    }
    Ok(())
}

fn say(text: &str) -> Result<(), Failure> {
    let mut output = std::io::stdout();
    writeln!(output, "{text}")?;
    Ok(output.flush()?)
}
