//! The arguments of each command, and the help that teaches them.

use std::net::SocketAddr;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use doorbell::{Filter, Since, Topic, Transport};
use doorbell_compare::CompareArguments;
use doorbell_instruments::{INTERVAL, time, time_between};
use doorbell_protocol::Parameter;

use crate::connection::Connection;

const EXAMPLES: &str = "\
Examples:
  doorbell subscribe greetings                 show what is published from now on
  doorbell publish greetings Hello there       publish, from another terminal
  doorbell compare                             measure push against polling

Addresses of servers:
  http://host:port   or ws://host:port; the TCP listener is learned from it
  tcp://host:port    the line protocol
  unix:PATH          the line protocol over a Unix socket
  https://host:port, wss://host:port, tcps://host:port
                     the same over TLS
A path after an HTTP address stands before all paths of the server, as a proxy may want it.
Without --server and DOORBELL_SERVER a server on this machine is meant:
tcp://127.0.0.1:1989 or http://127.0.0.1:8080, whichever the command needs.

Who asks, where the server wants to know:
  DOORBELL_TOKEN     or --token-file FILE; a token, as the server's operator gives it out
  --user NAME        with DOORBELL_PASSWORD or --password-file FILE, else the password is asked for;
                     over HTTP, as the line protocol takes tokens alone
  --cert, --key      a certificate, over TLS
Without TLS a token or password goes to this machine alone, unless --insecure is given.

Exit codes: 0 done, 1 failed, 2 wrong usage.";

const SUBSCRIBE_EXAMPLES: &str = "\
Examples:
  doorbell subscribe orders                    one topic
  doorbell subscribe 'orders.*,alarms.>'       several; * is one segment, > the rest
  doorbell subscribe orders --since 10m        first what came in the last ten minutes
  doorbell subscribe orders --count 1 --timeout 30s
                                               wait for one message, half a minute at most
  doorbell subscribe orders --format json | jq .message
  doorbell subscribe orders --via poll --interval 5s
                                               fetched, not pushed: feel the difference
  doorbell subscribe orders --via udp          in datagrams; what they lost is told at the end

When the connection breaks it is made again, and resumes: no message comes twice and none is left
out. What the server no longer holds is reported as a gap on the standard error.";

const PUBLISH_EXAMPLES: &str = "\
Examples:
  doorbell publish orders 'one tea'
  doorbell publish alarms --title Door --priority high --tags bell,front 'Somebody rings'
  df -h / | doorbell publish disks -           the whole input is one message
  tail -f log | doorbell publish logs --lines  each line is a message

The id of each stored message is printed. Delivery is at least once: with --lines, a message whose
answer was lost with the connection is sent again, and may then be stored twice.";

/// Server push, measured against polling: messages by topic, pushed to you or fetched
#[derive(Debug, Parser)]
#[command(name = "doorbell", version, after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the messages of one or more topics as they come
    #[command(visible_alias = "sub", after_long_help = SUBSCRIBE_EXAMPLES)]
    Subscribe(SubscribeArguments),
    /// Publish messages
    #[command(visible_alias = "pub", after_long_help = PUBLISH_EXAMPLES)]
    Publish(PublishArguments),
    /// Measure the ways of receiving against each other
    #[command(after_long_help = doorbell_compare::EXAMPLES)]
    Compare(Box<CompareArguments>),
    /// Show every packet of one subscription and one message
    #[command(after_long_help = doorbell_trace::EXAMPLES)]
    Trace(doorbell_trace::TraceArguments),
    /// Put a slow link between client and server
    #[command(after_long_help = crate::link::EXAMPLES)]
    Link(crate::link::LinkArguments),
    /// Print a shell's completions of this command line
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SubscribeArguments {
    /// A topic, a comma list, or a pattern in which * is one segment and a last > the rest
    pub(crate) filter: Filter,
    /// How messages come
    #[arg(long, default_value = "tcp", value_parser = via())]
    pub(crate) via: Transport,
    /// Time from one poll to the next, with --via poll
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// Where datagrams go instead of to the server, such as a relay of doorbell link
    #[arg(long, value_name = "ADDR", requires = "via")]
    pub(crate) through: Option<SocketAddr>,
    /// Where to begin: an id, unix seconds, a time back such as 10m, all, none or latest
    #[arg(long, value_name = "PLACE", default_value = "none")]
    pub(crate) since: Since,
    /// End after so many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// End after this time; a failure if --count asked for more messages than came
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) timeout: Option<Duration>,
    /// How messages are printed
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub(crate) format: OutputFormat,
}

/// The transports that `subscribe` offers, in the order of its help.
const OFFERED: [(Transport, &str); 6] = [
    (Transport::Tcp, "Pushed as lines over TCP or a Unix socket"),
    (Transport::Websocket, "Pushed over a WebSocket"),
    (Transport::Sse, "Pushed as server-sent events"),
    (
        Transport::Udp,
        "Pushed as datagrams, from a server started with --udp; losses are fetched over HTTP",
    ),
    (Transport::Longpoll, "Asked for over HTTP, the answer held back until there is one"),
    (Transport::Poll, "Asked for over HTTP at an interval"),
];

fn via() -> impl TypedValueParser<Value = Transport> {
    let named = |(via, help): (Transport, &'static str)| PossibleValue::new(via.name()).help(help);
    PossibleValuesParser::new(OFFERED.map(named)).try_map(|name| name.parse::<Transport>())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Lines for people
    Text,
    /// The server's JSON, one object a line
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct PublishArguments {
    /// Where to, such as orders.eu.new
    pub(crate) topic: Topic,
    /// The message; its words are joined by spaces. A lone - stands for the standard input
    #[arg(allow_hyphen_values = false)]
    pub(crate) message: Vec<String>,
    /// Publish each line of the standard input as a message; empty lines are left out
    #[arg(long, conflicts_with = "message")]
    pub(crate) lines: bool,
    /// The title
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// The priority: 1 to 5, or min, low, default, high, max
    #[arg(long)]
    pub(crate) priority: Option<String>,
    /// The tags, parted by commas
    #[arg(long)]
    pub(crate) tags: Option<String>,
    /// The address that a click on the message opens
    #[arg(long, value_name = "URL")]
    pub(crate) click: Option<String>,
    /// The address of a picture
    #[arg(long, value_name = "URL")]
    pub(crate) icon: Option<String>,
    /// Up to three buttons: as JSON, or such as 'view, Open, https://…; http, Close, https://…'
    #[arg(long)]
    pub(crate) actions: Option<String>,
    /// The address of a file that belongs to it
    #[arg(long, value_name = "URL")]
    pub(crate) attach: Option<String>,
    /// What that file is called
    #[arg(long, value_name = "NAME", requires = "attach")]
    pub(crate) filename: Option<String>,
    /// With no, only those get the message who are reading when it comes
    #[arg(long, value_name = "WHETHER", value_parser = ["yes", "no"])]
    pub(crate) cache: Option<String>,
    /// The message is Markdown
    #[arg(long)]
    pub(crate) markdown: bool,
    /// What the message is a new version of
    #[arg(long, value_name = "ID")]
    pub(crate) sequence_id: Option<String>,
    /// When it is published: a duration such as 30m, a unix time, or 'tomorrow, 10am'
    #[arg(long, value_name = "WHEN")]
    pub(crate) delay: Option<String>,
    /// An address that it is sent to as e-mail, too, where the server does that
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: Option<String>,
    /// What is printed of the server's answer: the id alone, or its JSON
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub(crate) format: OutputFormat,
    /// Print nothing for what was stored
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl PublishArguments {
    /// What was said of a parameter of the message.
    pub(crate) fn parameter(&self, parameter: Parameter) -> Option<String> {
        match parameter {
            Parameter::Title => self.title.clone(),
            Parameter::Priority => self.priority.clone(),
            Parameter::Tags => self.tags.clone(),
            Parameter::Click => self.click.clone(),
            Parameter::Icon => self.icon.clone(),
            Parameter::Actions => self.actions.clone(),
            Parameter::Attach => self.attach.clone(),
            Parameter::Filename => self.filename.clone(),
            Parameter::Cache => self.cache.clone(),
            Parameter::Markdown => Some(self.markdown.to_string()),
            Parameter::SequenceId => self.sequence_id.clone(),
            Parameter::Delay => self.delay.clone(),
            Parameter::Email => self.email.clone(),
            _ => None,
        }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    time_between(text, INTERVAL)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_example_of_the_help_is_understood() {
        for line in [
            "doorbell subscribe orders.*,alarms.> --since 10m",
            "doorbell sub orders --count 1 --timeout 30s --format json",
            "doorbell subscribe orders --via poll --interval 5s",
            "doorbell subscribe orders --via udp --through 127.0.0.1:1990",
            "doorbell publish alarms --title Door --priority high --tags bell,front Somebody",
            "doorbell publish greetings Hello there",
            "doorbell pub door --attach https://x.example/a.jpg --filename door.jpg --cache no -",
            "doorbell pub disks -",
            "doorbell publish logs --lines -q",
            "doorbell compare --rate 20 --interval 2s --duration 1m --seed 7 --json",
            "doorbell compare --server http://host:8080",
            "doorbell compare --via poll,tcp --interval 500ms,1s,5s --mode apart --rounds 3",
            "doorbell compare --replay traffic.jsonl --speed 10 --project 1000000",
            "doorbell compare --report report.html --json result.json",
            "doorbell compare --payload 100 --topics 3 --subscribers 10 --process burst",
            "doorbell compare --ethernet --payload 20000 --idle 40s --check-capture",
            "doorbell compare --chart picture.svg",
            "doorbell compare sweep --ethernet --rates 1 --interval 1s",
            "doorbell compare sweep --rates 1,10 --interval 1s --duration 5s --json",
            "doorbell trace --via poll --interval 50ms --json",
            "doorbell trace --topic a.b --message x --svg",
            "doorbell completions fish",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_the_bound() {
        for (line, expected) in [
            ("doorbell compare --rate 0", "0.001 to 10000"),
            ("doorbell compare --rate nan", "0.001 to 10000"),
            ("doorbell compare --duration 2h", "1s to 3600 s"),
            ("doorbell compare --interval 1ms", "10ms to 3600 s"),
            ("doorbell compare --interval 5", "such as 500ms"),
            ("doorbell compare --via poll,pigeon", "possible values"),
            ("doorbell compare --payload 3", "12..=1048576"),
            ("doorbell compare --subscribers 20000", "1..=10000"),
            ("doorbell compare --idle 2h", "1s to 3600 s"),
            ("doorbell compare --replay x --rate 3", "cannot be used with"),
            ("doorbell sub a --count 0", "0"),
            ("doorbell sub a..b", "'a..b' is not letters"),
            ("doorbell pub a.* x", "'a.*' is not letters"),
            ("doorbell pub a x --lines", "cannot be used with"),
            ("doorbell pub a x --filename y", "--attach <URL>"),
            ("doorbell pub a x --cache maybe", "[possible values: yes, no]"),
            ("doorbell link delay", "'delay' has no value"),
            ("doorbell trace --interval 2m", "from 1ms to 60s"),
            ("doorbell trace --json --svg", "cannot be used with"),
            ("doorbell sub a --user x --token-file y", "cannot be used with"),
            ("doorbell sub a --password-file y", "--user <NAME>"),
            ("doorbell sub a --cert x", "--key <FILE>"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.to_string().contains(expected), "{line}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
