//! The arguments of `doorbell trace`.

use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use doorbell::{Topic, Transport};
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
    #[arg(long, default_value = "tcp", value_parser = via())]
    pub(crate) via: Transport,
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

/// The transports that can be traced, in the order of the help.
const OFFERED: [(Transport, &str); 5] = [
    (Transport::Tcp, "Pushed as lines over TCP"),
    (Transport::Websocket, "Pushed over a WebSocket"),
    (Transport::Sse, "Pushed as server-sent events"),
    (Transport::Longpoll, "Asked for over HTTP, the answer held back until there is one"),
    (Transport::Poll, "Asked for over HTTP at an interval"),
];

fn via() -> impl TypedValueParser<Value = Transport> {
    let named = |(via, help): (Transport, &'static str)| PossibleValue::new(via.name()).help(help);
    PossibleValuesParser::new(OFFERED.map(named)).try_map(|name| name.parse::<Transport>())
}

fn interval(text: &str) -> Result<Duration, String> {
    let (least, most) = INTERVAL;
    parse_duration(text)
        .filter(|duration| (least..=most).contains(duration))
        .ok_or_else(|| format!("write a time from {least:?} to {most:?}, such as 30ms or 1s"))
}
