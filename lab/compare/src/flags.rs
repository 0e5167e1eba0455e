//! What may be written behind `doorbell compare`, and the bounds of it.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use doorbell::laboratory::RequestHeaders;
use doorbell::{CoalesceWindow, Server};
use doorbell_instruments::{INTERVAL, time_between};
use doorbell_link::Link;
use doorbell_protocol::limits::MESSAGE_BYTES_MAX;

use crate::condition::Condition;
use crate::way::Way;

/// What the help says below the flags.
pub const EXAMPLES: &str = "\
Examples:
  doorbell compare                             start a server for it, measure for 30 s
  doorbell compare --rate 20 --interval 2s --duration 1m
  doorbell compare --via poll,tcp --interval 500ms,1s,5s
  doorbell compare --rate 50 --interval 10s    polling moves fewer bytes here
  doorbell compare --rate 20 --coalesce 500ms  push that gathers messages, as polls do
  doorbell compare --mode apart --rounds 3     one after another, three times, with the spread
  doorbell compare --replay traffic.jsonl      the times and sizes of your own messages
  doorbell compare --link 'delay 40ms loss 2%'
                                               over a network that takes its time
  doorbell compare --compress --headers browser
                                               as a browser asks, and compressed
  doorbell compare --tls --mode apart          encrypted, with what handshakes cost the server
  doorbell compare --ethernet --payload 20000  packets of 1500 bytes, as an Ethernet has them
  doorbell compare --project 1000000           what a million such clients would cost
  doorbell compare --report report.html --json result.json
  doorbell compare --restart --duration 20s    how soon each hears again when the server comes back
  doorbell compare --via sse,ws --expect 'p99<50ms' --expect 'missed<=0'
                                               a check that fails where it does not hold
  doorbell compare --chart picture.svg         one picture of it
  doorbell compare sweep                       at which rate polling moves fewer bytes than push
  doorbell compare ramp --via sse,tcp --subscribers 200
                                               how many messages a second each keeps
  doorbell compare --server http://host:8080   against a server that runs

The same messages are published to all contenders at times planned before the run, in one process
and on one clock. Latency counts from the moment at which a message was to be sent, so a poll's wait
for its turn is in it. Bytes on the wire are the kernel's own counts of each connection.

Figures of --expect: p50, p90, p99, p999, max, mean, first, again (an outage) and cpu are times;
bytes, packets, missed, repeated, gaps and disconnects are numbers. A message that was missed is
infinitely late.

Contenders of --via:
  poll-new     short poll, a new connection each time
  poll-new-resumed
               the same, taking up the session before it; with --tls
  poll-plain   short poll on a kept connection
  poll         short poll on a kept connection, with an ETag: no news is a 304
  poll-h2      the same over HTTP/2; poll-h2-new, a new connection each time
  poll-backoff the same, up to eight intervals apart while there is no news
  poll-steered the same at the interval that the server names; with --poll-interval
  longpoll     the server holds the answer back until there is news, 30 s at most
  ndjson, sse  pushed as one HTTP answer that does not end; sse-h2, over HTTP/2
  raw          the same, the texts alone: they have no places, so nothing can be resumed
  ws           pushed over a WebSocket
  tcp, unix    pushed as lines over TCP or a Unix socket
  udp          pushed as datagrams; what they lose is fetched by a poll

A --replay file has one JSON object a line with a `time` (unix seconds, fractions allowed) or
`time_us`, and perhaps a `message` and a `topic`, as `doorbell subscribe --format json` prints
them. Times, sizes and topics are kept; texts are replaced by numbers.";

/// Arguments of `doorbell compare`.
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct CompareArguments {
    #[command(subcommand)]
    pub(crate) command: Option<CompareCommand>,
    /// The contenders, parted by commas [default: all that the server has]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = way())]
    pub(crate) via: Vec<Way>,
    /// Messages a second, on average
    #[arg(long, value_name = "N", default_value = "1", value_parser = rate)]
    pub(crate) rate: f64,
    /// When messages are published: at random, at equal distances, or ten at a time
    #[arg(long, value_enum, value_name = "PROCESS", default_value_t = Process::Poisson)]
    pub(crate) process: Process,
    /// Publish at the times of this file, a JSON object a line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rate", "process", "payload", "topics"])]
    pub(crate) replay: Option<PathBuf>,
    /// How much faster than it happened the file is replayed
    #[arg(long, value_name = "X", default_value = "1", requires = "replay", value_parser = speed)]
    pub(crate) speed: f64,
    /// How long to publish
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// Time from one poll to the next; several, parted by commas, make as many contenders
    #[arg(long, value_name = "LIST", default_value = "2s", value_delimiter = ',',
        value_parser = interval)]
    pub(crate) interval: Vec<Duration>,
    /// Let what is pushed wait so long for others, and come with them; several, parted by commas,
    /// make as many contenders beside those that are sent each message at once
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = window)]
    pub(crate) coalesce: Vec<CoalesceWindow>,
    /// Publish at another server of the same log than the one that the contenders read from, such
    /// as another front of a cluster: what lies between the two is in the delay
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) publish_to: Option<Server>,
    /// Subscribers of each contender; each receives every message
    #[arg(long, value_name = "N", default_value = "1",
        value_parser = clap::value_parser!(u32).range(1..=SUBSCRIBERS_MAX))]
    pub(crate) subscribers: u32,
    /// Topics over which the messages are spread
    #[arg(long, value_name = "N", default_value = "1",
        value_parser = clap::value_parser!(u32).range(1..=TOPICS_MAX))]
    pub(crate) topics: u32,
    /// Bytes of a message's text
    #[arg(long, value_name = "BYTES", default_value = "12",
        value_parser = clap::value_parser!(u32).range(PAYLOAD_MIN..=MESSAGE_BYTES_MAX as i64))]
    pub(crate) payload: u32,
    /// All at once, or one after another on the same plan, so that the server's processor time
    /// belongs to one contender
    #[arg(long, value_enum, value_name = "MODE", default_value_t = Mode::Together)]
    pub(crate) mode: Mode,
    /// Repeat the run so many times, and show how far the rounds are apart
    #[arg(long, value_name = "N", default_value = "1",
        value_parser = clap::value_parser!(u32).range(1..=ROUNDS_MAX))]
    pub(crate) rounds: u32,
    /// Work out what so many clients would cost; for that each contender is also run with three
    /// numbers of subscribers, and a line is put through what the server took
    #[arg(long, value_name = "CLIENTS",
        value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) project: Option<u64>,
    /// Put an emulated link between contenders and server, such as "delay 40ms jitter 5ms rate
    /// 10mbit loss 2% reorder 1%"; the delay is one way. It is a link of packets, over which the
    /// kernel's TCP does what it does, in a network of its own as with --ethernet; where that
    /// cannot be had, relays delay what is sent and lose nothing
    #[arg(long, value_name = "LINK", global = true, value_parser = Link::parse)]
    pub(crate) link: Option<Link>,
    /// Run in a network of its own, whose packets have 1500 bytes at most as on an Ethernet; plain
    /// loopback's have 64 KiB. Needs root or user namespaces, /dev/net/tun, and a server of its own
    #[arg(long, global = true)]
    pub(crate) ethernet: bool,
    /// Let what is asked for over HTTP come compressed, by gzip or brotli: answers to polls, and
    /// streams, of which another server compresses as many as it is set to. What WebSockets would
    /// save is worked out
    #[arg(long, global = true)]
    pub(crate) compress: bool,
    /// What stands in the heads of requests beyond what is needed; a browser also takes what is
    /// compressed
    #[arg(long, value_enum, value_name = "HEADERS", default_value_t = HeaderBlock::Client,
        global = true)]
    pub(crate) headers: HeaderBlock,
    /// Encrypt the connections of the contenders that can be: all but UDP and the Unix socket,
    /// which are left out. Needs a server of its own
    #[arg(long, global = true)]
    pub(crate) tls: bool,
    /// What the server asks of those that poll, in whole seconds: poll-steered does as it is asked,
    /// and the other polls don't. Needs a server of its own
    #[arg(long, value_name = "TIME", value_parser = poll_interval)]
    pub(crate) poll_interval: Option<Duration>,
    /// When polls ask: each contender at a time of its own, or all at the same moments
    #[arg(long, value_enum, value_name = "PHASE", default_value_t = Phases::Random)]
    pub(crate) phase: Phases,
    /// In the middle of the run nothing passes for so long between contenders and server
    #[arg(long, value_name = "TIME", value_parser = outage, group = "outage")]
    pub(crate) cut: Option<Duration>,
    /// In the middle of the run the server is killed, and started again after so long
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1s",
        value_parser = outage, group = "outage")]
    pub(crate) restart: Option<Duration>,
    /// In the middle of the run no subscriber reads anything for so long
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "5s",
        value_parser = outage, group = "outage")]
    pub(crate) stall: Option<Duration>,
    /// How long a phone's radio stays awake after a packet
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = tail)]
    pub(crate) radio_tail: Duration,
    /// What it costs by the prices in a TOML file: `currency`, `million_requests`,
    /// `million_messages` and `million_connection_minutes`
    #[arg(long, value_name = "FILE")]
    pub(crate) price: Option<PathBuf>,
    /// What must hold of each contender, or of one, or the exit code is 1: such as 'p99<50ms',
    /// 'missed<=0', 'poll 2s:bytes<300', 'again<5s'; may be given several times
    #[arg(long, value_name = "CONDITION")]
    pub(crate) expect: Vec<Condition>,
    /// How long the contenders are watched while nothing is published
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(crate) idle: Duration,
    /// Capture the packets as well, and hold them against the kernel's counts; needs the right
    /// to capture
    #[arg(long)]
    pub(crate) check_capture: bool,
    /// The seed of the random times; the same seed gives the same times
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Write one picture of the result, an SVG file
    #[arg(long, value_name = "FILE")]
    pub(crate) chart: Option<PathBuf>,
    /// Write everything that was measured to a file as JSON; without a name to the standard output,
    /// in place of the table
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-", global = true)]
    pub(crate) json: Option<PathBuf>,
    /// Write a page with pictures, one HTML file; a short sweep is made for one of them
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) report: Option<PathBuf>,
}

/// Commands below `doorbell compare`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum CompareCommand {
    /// Find the rate of messages above which polling moves fewer bytes than push
    Sweep(SweepArguments),
    /// Find how many messages a second each contender keeps, at rates that double
    Ramp(RampArguments),
}

/// Arguments of `doorbell compare ramp`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RampArguments {
    /// The contenders, parted by commas [default: all that the server has]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = way())]
    pub(crate) via: Vec<Way>,
    /// The first rate, in messages a second; each next one is twice as high
    #[arg(long, value_name = "N", default_value = "10", value_parser = rate)]
    pub(crate) from: f64,
    /// The highest rate
    #[arg(long, value_name = "N", default_value = "10000", value_parser = rate)]
    pub(crate) to: f64,
    /// How long each rate is held
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// Subscribers of each contender; each receives every message
    #[arg(long, value_name = "N", default_value = "50",
        value_parser = clap::value_parser!(u32).range(1..=RAMP_SUBSCRIBERS_MAX))]
    pub(crate) subscribers: u32,
    /// Time from one poll to the next
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// Half of the messages must come within this, and of polls within an interval more
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = within)]
    pub(crate) within: Duration,
    /// Bytes of a message's text
    #[arg(long, value_name = "BYTES", default_value = "12",
        value_parser = clap::value_parser!(u32).range(PAYLOAD_MIN..=MESSAGE_BYTES_MAX as i64))]
    pub(crate) payload: u32,
    /// The seed of the random times
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

/// Arguments of `doorbell compare sweep`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SweepArguments {
    /// Rates of messages a second, parted by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = rate,
        default_value = "0.5,1,2,4,8,16,32,64")]
    pub(crate) rates: Vec<f64>,
    /// Times from one poll to the next, parted by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = interval,
        default_value = "500ms,1s,2s")]
    pub(crate) interval: Vec<Duration>,
    /// How long each rate is held; at least as long as the longest interval
    #[arg(long, value_name = "TIME", default_value = "8s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How long messages wait for others in the push that gathers them
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = window)]
    pub(crate) coalesce: CoalesceWindow,
    /// Bytes of a message's text
    #[arg(long, value_name = "BYTES", default_value = "12",
        value_parser = clap::value_parser!(u32).range(PAYLOAD_MIN..=MESSAGE_BYTES_MAX as i64))]
    pub(crate) payload: u32,
    /// The seed of the random times
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

/// How the times of publishing are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Process {
    /// Independent of each other: exponential distances
    Poisson,
    /// At equal distances
    Steady,
    /// Ten at a time, a millisecond apart, at random times
    Burst,
    /// As in a file
    #[value(skip)]
    Replay,
}

/// What stands in the heads of requests beyond what is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HeaderBlock {
    /// Nothing
    Client,
    /// What a browser's page sends with `fetch`
    Browser,
    /// The same, with a cookie of 192 bytes
    BrowserCookie,
}

impl HeaderBlock {
    pub(crate) fn request_headers(self) -> RequestHeaders {
        match self {
            Self::Client => RequestHeaders::Client,
            Self::Browser => RequestHeaders::Browser,
            Self::BrowserCookie => RequestHeaders::BrowserWithCookie,
        }
    }
}

/// When polls ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phases {
    /// Each at a time of its own
    Random,
    /// All at the same moments, as a herd
    Together,
}

/// What shares the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// All contenders at the same time
    Together,
    /// One after another
    Apart,
}

/// Shortest text that has room for a message's number.
pub(crate) const PAYLOAD_MIN: i64 = 12;
/// Of the interval that a server names.
const POLL_INTERVAL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Poll intervals in one run.
pub(crate) const INTERVALS_MAX: usize = 8;
/// As many as this process can connect to without a thought about its descriptors.
const RAMP_SUBSCRIBERS_MAX: i64 = 500;
/// Of the delay that a ramp allows.
const WITHIN: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(60));
const SUBSCRIBERS_MAX: i64 = 10_000;
const TOPICS_MAX: i64 = 10_000;
const ROUNDS_MAX: i64 = 20;
const DURATION: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));
/// Of a radio's high state after a packet.
const TAIL: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(120));
/// Of an outage: what is longer than clients wait for an answer is another experiment.
const OUTAGE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));
const RATE: (f64, f64) = (0.001, 10_000.0);
const SPEED: (f64, f64) = (0.001, 10_000.0);

fn way() -> impl TypedValueParser<Value = Way> {
    let named = |way: Way| PossibleValue::new(way.name()).help(way.help());
    PossibleValuesParser::new(Way::all().map(named)).try_map(|name| name.parse::<Way>())
}

fn interval(text: &str) -> Result<Duration, String> {
    time_between(text, INTERVAL)
}

fn poll_interval(text: &str) -> Result<Duration, String> {
    time_between(text, POLL_INTERVAL)
}

fn window(text: &str) -> Result<CoalesceWindow, String> {
    let window = text.parse::<CoalesceWindow>().map_err(|error| error.to_string())?;
    if window.is_none() { Err("it must be more than nothing".to_owned()) } else { Ok(window) }
}

fn duration(text: &str) -> Result<Duration, String> {
    time_between(text, DURATION)
}

fn within(text: &str) -> Result<Duration, String> {
    time_between(text, WITHIN)
}

fn tail(text: &str) -> Result<Duration, String> {
    time_between(text, TAIL)
}

fn outage(text: &str) -> Result<Duration, String> {
    time_between(text, OUTAGE)
}

fn number(text: &str, (least, most): (f64, f64)) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("it must be a number from {least} to {most}"))
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, RATE)
}

fn speed(text: &str) -> Result<f64, String> {
    number(text, SPEED)
}
