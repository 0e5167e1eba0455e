//! The arguments of `doorbell trace`.

use std::fmt;
use std::time::Duration;

use clap::{Args, ValueEnum};
use doorbell::Topic;
use doorbell_protocol::since::parse_duration;

const INTERVAL: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(60));

/// What the help says below the flags.
pub const EXAMPLES: &str = "\
Examples:
  doorbell trace                               lines over TCP: handshake, push, goodbye
  doorbell trace --via poll --interval 50ms    what asking costs
  doorbell trace --via sse --svg > sse.svg     a picture
  doorbell trace --via ws --json | jq .phases
  sudo setcap cap_net_raw+ep \"$(command -v doorbell)\"
                                               grants what it needs, once
  unshare -Urn sh -c 'ip link set lo up; doorbell trace'
                                               or in a network of its own, without root

Without --server it starts a server for it, beside this program or in PATH.";

/// Arguments of `doorbell trace`.
#[derive(Debug, Args)]
pub struct TraceArguments {
    /// How the message comes
    #[arg(long, value_enum, default_value_t = Way::Tcp)]
    pub(crate) via: Way,
    /// The topic to subscribe to
    #[arg(long, default_value = "demo")]
    pub(crate) topic: Topic,
    /// The message to publish
    #[arg(long, default_value = "hi")]
    pub(crate) message: String,
    /// The silence before the message is published; with --via poll, from one poll to the next
    #[arg(long, value_name = "TIME", default_value = "30ms", value_parser = interval)]
    pub(crate) interval: Duration,
    /// Print the segments as JSON
    #[arg(long, conflicts_with = "svg")]
    pub(crate) json: bool,
    /// Print a picture as SVG
    #[arg(long)]
    pub(crate) svg: bool,
}

/// The ways that can be traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// Pushed as lines over TCP
    Tcp,
    /// Pushed over a WebSocket
    Ws,
    /// Pushed as server-sent events
    Sse,
    /// Asked for over HTTP, the answer held back until there is one
    Longpoll,
    /// Asked for over HTTP at an interval
    Poll,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "lines over TCP",
            Self::Ws => "WebSocket",
            Self::Sse => "server-sent events",
            Self::Longpoll => "long polling",
            Self::Poll => "polling",
        })
    }
}

impl Way {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Ws => "ws",
            Self::Sse => "sse",
            Self::Longpoll => "longpoll",
            Self::Poll => "poll",
        }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let (least, most) = INTERVAL;
    parse_duration(text)
        .filter(|duration| (least..=most).contains(duration))
        .ok_or_else(|| format!("write a time from {least:?} to {most:?}, such as 30ms or 1s"))
}
