//! The arguments of each command, and the help that teaches them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use doorbell::{CoalesceWindow, Filter, Since, Topic, Transport};
use doorbell_compare::CompareArguments;
use doorbell_instruments::{INTERVAL, time, time_between};
use doorbell_protocol::Parameter;

use crate::connection::Connection;

const EXAMPLES: &str = "\
Examples:
  doorbell subscribe greetings                 show what is published from now on
  doorbell publish greetings Hello there       publish, from another terminal
  doorbell top                                 who is connected, how fast, how far behind
  doorbell talk                                speak the line protocol, with editing and history
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

The file of settings (TOML), the first of --config, ~/.config/doorbell/client.toml (where
XDG_CONFIG_HOME says) and /etc/doorbell/client.toml:
  server = \"https://bell.example.org\"          flags, as they are called
  token-file = \"/home/me/.config/doorbell/token\"
                     or token, or user with password: then nobody else may read the file
  [publish]                                    what a command does unless told otherwise;
  priority = \"low\"                             [subscribe], [top] and [talk] too
  [[topic]]                                    what `doorbell subscribe` alone listens to
  filter = \"alarms.>\"
  command = 'logger \"$topic: $message\"'
What is typed wins. Who asks, and whom to trust, goes with the file's own server and no other.

Exit codes: 0 done, 1 failed, 2 wrong usage.";

const SUBSCRIBE_EXAMPLES: &str = "\
Examples:
  doorbell subscribe orders                    one topic
  doorbell subscribe 'orders.*,alarms.>'       several; * is one segment, > the rest
  doorbell subscribe orders --since 10m        first what came in the last ten minutes
  doorbell subscribe orders --poll             only what there is
  doorbell subscribe orders --count 1 --timeout 30s
                                               wait for one message, half a minute at most
  doorbell subscribe orders --format json | jq .message
  doorbell subscribe alarms --priority high,max --tags front
                                               only what meets all of these
  doorbell subscribe alarms 'echo \"$message\" | mail -s \"$title\" me'
                                               run a command for each, one after the other
  doorbell subscribe alarms --notify --quiet   show them on the desktop alone
  doorbell subscribe                           the topics of the file of settings
  doorbell subscribe orders --via poll --interval 5s
                                               fetched, not pushed: feel the difference
  doorbell subscribe orders --via udp          in datagrams; what they lost is told at the end

A command finds the message in its environment, by the names that ntfy's users know and by ours:
  NTFY_ID        id              DOORBELL_ID
  NTFY_TIME      time            DOORBELL_TIME          unix seconds
  NTFY_TOPIC     topic           DOORBELL_TOPIC
  NTFY_MESSAGE   message, m      DOORBELL_MESSAGE
  NTFY_TITLE     title, t        DOORBELL_TITLE
  NTFY_PRIORITY  priority, prio, p  DOORBELL_PRIORITY   1 to 5, 3 where none was given
  NTFY_TAGS      tags, tag, ta   DOORBELL_TAGS          parted by commas
  NTFY_RAW       raw             DOORBELL_RAW           the JSON
and DOORBELL_CLICK, _ICON, _SEQUENCE_ID, _ATTACHMENT_NAME, _ATTACHMENT_URL. Values are cut at 64 KiB.
While it runs nothing is received: the server keeps what comes. Write \"$message\" in quotes, and
never let a shell read it as a command: it comes from strangers.

When the connection breaks it is made again, and resumes: no message comes twice and none is left
out. What the server no longer holds is reported as a gap on the standard error.";

/// The heading of what messages must meet.
const CONDITIONS: &str = "Conditions";

const PUBLISH_EXAMPLES: &str = "\
Examples:
  doorbell publish orders 'one tea'
  doorbell publish alarms --title Door --priority high --tags bell,front 'Somebody rings'
  df -h / | doorbell publish disks             the whole input is one message
  doorbell publish photos --file cat.jpg Look  a file, and a text beside it
  tail -f log | doorbell publish logs --lines  each line is a message

The id of each stored message is printed. Delivery is at least once: with --lines, a message whose
answer was lost with the connection is sent again, and may then be stored twice.";

const TALK_EXAMPLES: &str = "\
Lines are sent as they are typed, and what the server says is shown as it comes:
  SUB demo since=all     show what is held, then what comes
  PUB demo hello         publish
  PING                   ask for a sign of life
  QUIT                   go, as the end of the input does
The Tab key completes a verb, the arrow up brings what was typed before (an AUTH is not kept).
Without a terminal the lines come from the standard input: printf 'PING\\n' | doorbell talk";

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
    /// Show who is connected, what goes through and how far behind each reader is
    Top(TopArguments),
    /// Speak the line protocol by hand, with editing and history
    #[command(after_long_help = TALK_EXAMPLES)]
    Talk(TalkArguments),
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
    /// Write the manual pages and completions, for whoever makes a package
    #[command(hide = true)]
    Papers {
        /// Where to
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct SubscribeArguments {
    /// A topic, a comma list, or a pattern in which * is one segment and a last > the rest; without
    /// it the topics of the file of settings
    pub(crate) filter: Option<Filter>,
    /// A shell command to run for each message instead of printing it
    pub(crate) command: Option<String>,
    /// Only messages with one of these priorities, parted by commas; one without has 3
    #[arg(long, value_name = "LIST", help_heading = CONDITIONS)]
    pub(crate) priority: Option<String>,
    /// Only messages with all of these tags
    #[arg(long, value_name = "LIST", help_heading = CONDITIONS)]
    pub(crate) tags: Option<String>,
    /// Only messages with this title
    #[arg(long, value_name = "TEXT", help_heading = CONDITIONS)]
    pub(crate) title: Option<String>,
    /// Only messages with this text
    #[arg(long, value_name = "TEXT", help_heading = CONDITIONS)]
    pub(crate) message: Option<String>,
    /// Only the message with this id
    #[arg(long, value_name = "ID", help_heading = CONDITIONS)]
    pub(crate) id: Option<String>,
    /// How messages come
    #[arg(long, default_value = "tcp", value_parser = via())]
    pub(crate) via: Transport,
    /// Time from one poll to the next, with --via poll
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// How long the server may let a message wait for others, so that they come together
    #[arg(long, value_name = "TIME", default_value = "0s", hide_default_value = true)]
    pub(crate) coalesce: CoalesceWindow,
    /// Where datagrams go instead of to the server, such as a relay of doorbell link
    #[arg(long, value_name = "ADDR", requires = "via")]
    pub(crate) through: Option<SocketAddr>,
    /// Where to begin: an id, unix seconds, a time back such as 10m, all, none or latest
    #[arg(
        long,
        short,
        value_name = "PLACE",
        default_value = "none",
        default_value_if("poll", "true", "all")
    )]
    pub(crate) since: Since,
    /// Show what the server holds, from --since or all of it, and end
    #[arg(long, short, conflicts_with_all = ["via", "interval", "through", "coalesce"])]
    pub(crate) poll: bool,
    /// End after so many messages
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// End after this time; a failure if --count asked for more messages than came
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) timeout: Option<Duration>,
    /// How messages are printed
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub(crate) format: OutputFormat,
    /// Print the texts of messages alone, each with a line's end behind it
    #[arg(long, short, conflicts_with = "format")]
    pub(crate) raw: bool,
    /// Show each message as a notification on the desktop, too
    #[arg(long)]
    pub(crate) notify: bool,
    /// Print no messages, and say nothing of connections that are lost and found
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TopArguments {
    /// Look once, print it and end
    #[arg(long)]
    pub(crate) once: bool,
    /// Time from one look to the next
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = look_interval)]
    pub(crate) interval: Duration,
    /// Connections to show at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) rows: u16,
}

#[derive(Debug, Args)]
pub(crate) struct TalkArguments {
    /// Lines to say at once; then it goes on by hand
    pub(crate) lines: Vec<String>,
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
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct PublishArguments {
    /// Where to, such as orders.eu.new
    pub(crate) topic: Topic,
    /// The message; its words are joined by spaces. Without any, or by a lone -, it is what is
    /// piped in
    #[arg(allow_hyphen_values = false, value_name = "MESSAGE")]
    pub(crate) words: Vec<String>,
    /// The message
    #[arg(long, short, value_name = "TEXT", conflicts_with = "words")]
    pub(crate) message: Option<String>,
    /// A file that is sent along, over HTTP; - is the standard input
    #[arg(long, short, value_name = "FILE", group = "attached")]
    pub(crate) file: Option<PathBuf>,
    /// Publish each line of the standard input as a message; empty lines are left out
    #[arg(long, conflicts_with_all = ["words", "message", "attached"])]
    pub(crate) lines: bool,
    /// The title
    #[arg(long, short)]
    pub(crate) title: Option<String>,
    /// The priority: 1 to 5, or min, low, default, high, max
    #[arg(long, short)]
    pub(crate) priority: Option<String>,
    /// The tags, parted by commas
    #[arg(long, short = 'T', alias = "tag")]
    pub(crate) tags: Option<String>,
    /// The address that a click on the message opens
    #[arg(long, short = 'U', value_name = "URL")]
    pub(crate) click: Option<String>,
    /// The address of a picture
    #[arg(long, value_name = "URL")]
    pub(crate) icon: Option<String>,
    /// Up to three buttons: as JSON, or such as 'view, Open, https://…; http, Close, https://…'
    #[arg(long, short = 'A')]
    pub(crate) actions: Option<String>,
    /// The address of a file that belongs to it
    #[arg(long, short, value_name = "URL", group = "attached")]
    pub(crate) attach: Option<String>,
    /// What that file is called
    #[arg(long, short = 'n', alias = "name", value_name = "NAME", requires = "attached")]
    pub(crate) filename: Option<String>,
    /// With no, only those get the message who are reading when it comes
    #[arg(long, value_name = "WHETHER", value_parser = ["yes", "no"])]
    pub(crate) cache: Option<String>,
    /// The same as --cache no
    #[arg(long, short = 'C', conflicts_with = "cache")]
    pub(crate) no_cache: bool,
    /// The message is Markdown
    #[arg(long)]
    pub(crate) markdown: bool,
    /// What the message is a new version of
    #[arg(long, value_name = "ID")]
    pub(crate) sequence_id: Option<String>,
    /// When it is published: a duration such as 30m, a unix time, or 'tomorrow, 10am'
    #[arg(long, short = 'D', aliases = ["at", "in"], value_name = "WHEN")]
    pub(crate) delay: Option<String>,
    /// An address that it is sent to as e-mail, too, where the server does that
    #[arg(long, short, alias = "mail", value_name = "ADDRESS")]
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
            Parameter::Cache if self.no_cache => Some("no".to_owned()),
            Parameter::Cache => self.cache.clone(),
            Parameter::Markdown => Some(self.markdown.to_string()),
            Parameter::SequenceId => self.sequence_id.clone(),
            Parameter::Delay => self.delay.clone(),
            Parameter::Email => self.email.clone(),
            _ => None,
        }
    }
}

/// Bounds of the time between two looks of `top`.
const LOOK_INTERVAL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));

fn look_interval(text: &str) -> Result<Duration, String> {
    time_between(text, LOOK_INTERVAL)
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
            "doorbell pub -t T -p high -T a,b -D 1h -U https://x.example -e a@b.example -C door x",
            "doorbell pub -f cat.jpg -n dog.jpg -m Look photos",
            "doorbell sub alarms --priority high,max --tags front --title T -s 10m -n 1 -q",
            "doorbell sub alarms --notify -r",
            "doorbell sub alarms -p -s 1h",
            "doorbell sub alarms logger",
            "doorbell sub -c other.toml -u phil",
            "doorbell top --once -n 5 --interval 2s",
            "doorbell talk PING",
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
            ("doorbell pub a x --file y --attach https://z", "cannot be used with"),
            ("doorbell pub a x -m y", "cannot be used with"),
            ("doorbell top --interval 1ms", "100ms to 3600 s"),
            ("doorbell top --rows 0", "1..=1000"),
            ("doorbell sub a --raw --format json", "cannot be used with"),
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
