//! The settings: flags, environment variables and a TOML file, in this order of precedence.
//!
//! There is one list of settings, the struct below. The file's values become the defaults of the
//! flags before the command line is read, so each setting is parsed and checked in one place.

#[cfg(feature = "cluster")]
mod cluster;
mod files;
mod outbound;
mod visitors;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::Resettable;
use clap::{Arg, Args, Command, FromArgMatches};
use doorbell_protocol::limits::{
    FILTER_TOPICS_MAX, HEADER_BYTES_DEFAULT, LINE_BYTES_DEFAULT, MESSAGE_BYTES_DEFAULT,
    MESSAGE_BYTES_MAX, POLL_INTERVAL_SECONDS_MAX, SUBSCRIPTIONS_DEFAULT,
};
use doorbell_protocol::since::parse_duration;

#[cfg(feature = "cluster")]
pub use self::cluster::ClusterArguments;
pub use self::files::FileSettings;
pub use self::outbound::OutboundSettings;
pub use self::visitors::VisitorSettings;
use crate::admin::{AdminCommand, LogHome};
use crate::http::{AllowedOrigin, BasePath, BaseUrl, HostName};
use crate::hub::WireLimits;
use crate::limits::{SCHEDULE_DEFAULT, SCHEDULE_MAX};
use crate::listen::{Listen, SocketMode, listen_address};
#[cfg(feature = "cluster")]
use crate::log::ClusterSettings;
use crate::log::{Retention, Sync};
use crate::metrics::Listener;
use crate::proxy::Range;
use crate::tls::TlsConfig;

/// The settings of one server.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Address of the HTTP listener; port 0 picks a free one, none switches it off
    #[arg(long, value_name = "ADDR", env = "DOORBELL_HTTP", default_value = "127.0.0.1:8080",
        value_parser = listen_address)]
    pub http: Listen,

    /// Address of the TCP listener for lines; port 0 picks a free one, none switches it off
    #[arg(long, value_name = "ADDR", env = "DOORBELL_TCP", default_value = "127.0.0.1:1989",
        value_parser = listen_address)]
    pub tcp: Listen,

    /// Path of a Unix socket for lines
    #[arg(long, value_name = "PATH", env = "DOORBELL_UNIX")]
    pub unix: Option<PathBuf>,

    /// Mode of its file, whatever the umask is: of those whom it lets write, each may connect
    #[arg(long, value_name = "OCTAL", env = "DOORBELL_UNIX_MODE", default_value = "600")]
    pub unix_mode: SocketMode,

    /// Address for datagrams over UDP; port 0 picks a free one, none switches it off [default:
    /// 127.0.0.1:1990, unless it is taken]
    #[arg(long, value_name = "ADDR", env = "DOORBELL_UDP", value_parser = listen_address)]
    pub udp: Option<Listen>,

    /// TLS
    #[command(flatten)]
    pub tls: TlsConfig,

    /// Folder of the log
    #[cfg_attr(feature = "cluster", arg(conflicts_with = "cluster"))]
    #[arg(long, value_name = "DIR", env = "DOORBELL_DATA", default_value = "./doorbell-data")]
    pub data: PathBuf,

    /// Keep the log in memory only: it ends with the process
    #[cfg_attr(feature = "cluster", arg(conflicts_with = "cluster"))]
    #[arg(long, env = "DOORBELL_EPHEMERAL")]
    pub ephemeral: bool,

    /// What an acknowledged message survives: the death of the process (os) or of the machine
    /// (always)
    #[cfg_attr(feature = "cluster", arg(conflicts_with = "cluster"))]
    #[arg(long, value_name = "MODE", env = "DOORBELL_SYNC", default_value = "os",
        value_parser = sync)]
    pub sync: Sync,

    /// The log on other machines.
    #[cfg(feature = "cluster")]
    #[command(flatten)]
    pub cluster: ClusterArguments,

    /// How long a publish waits for room, or for a cluster that is out of reach, until it is
    /// refused
    #[arg(long, value_name = "DURATION", env = "DOORBELL_PUBLISH_WAIT", default_value = "10s",
        value_parser = duration)]
    pub publish_wait: Duration,

    /// How long messages are kept
    #[arg(long, value_name = "DURATION", env = "DOORBELL_RETENTION_AGE", default_value = "12h",
        value_parser = duration)]
    pub retention_age: Duration,

    /// How many bytes of messages are kept
    #[arg(long, value_name = "BYTES", env = "DOORBELL_RETENTION_BYTES", default_value = "1GiB",
        value_parser = bytes)]
    pub retention_bytes: u64,

    /// Sign of life on a quiet connection after this long
    #[arg(long, value_name = "DURATION", env = "DOORBELL_KEEPALIVE", default_value = "40s",
        value_parser = duration)]
    pub keepalive: Duration,

    /// What those that poll are told to wait until they ask again, in whole seconds; they are told
    /// nothing without it
    #[arg(long, value_name = "DURATION", env = "DOORBELL_POLL_INTERVAL",
        value_parser = poll_interval)]
    pub poll_interval: Option<Duration>,

    /// How long the end may take once it was asked for
    #[arg(long, value_name = "DURATION", env = "DOORBELL_GRACE", default_value = "5s",
        value_parser = duration)]
    pub grace: Duration,

    /// A reader whose socket takes nothing for this long is closed
    #[arg(long, value_name = "DURATION", env = "DOORBELL_WRITE_DEADLINE", default_value = "30s",
        value_parser = duration)]
    pub write_deadline: Duration,

    /// A client that has begun a line or a request must finish it within this time
    #[arg(long, value_name = "DURATION", env = "DOORBELL_UNFINISHED", default_value = "30s",
        value_parser = duration)]
    pub unfinished: Duration,

    /// Bytes of a message text, 1MiB at most
    #[arg(long, value_name = "BYTES", env = "DOORBELL_MESSAGE_BYTES",
        default_value_t = MESSAGE_BYTES_DEFAULT as u64, value_parser = bytes)]
    pub message_bytes: u64,

    /// Bytes of one line from a client
    #[arg(long, value_name = "BYTES", env = "DOORBELL_LINE_BYTES",
        default_value_t = LINE_BYTES_DEFAULT as u64, value_parser = bytes)]
    pub line_bytes: u64,

    /// Bytes of an HTTP header block, 8KiB at least
    #[arg(long, value_name = "BYTES", env = "DOORBELL_HEADER_BYTES",
        default_value_t = HEADER_BYTES_DEFAULT as u64, value_parser = bytes)]
    pub header_bytes: u64,

    /// Bytes of publishes that are not stored yet
    #[arg(long, value_name = "BYTES", env = "DOORBELL_INFLIGHT_BYTES", default_value = "64MiB",
        value_parser = bytes)]
    pub inflight_bytes: u64,

    /// Messages that wait for their time
    #[arg(long, value_name = "COUNT", env = "DOORBELL_SCHEDULE_MAX",
        default_value_t = SCHEDULE_DEFAULT)]
    pub schedule_max: usize,

    /// Topics without a wildcard in one filter
    #[arg(long, value_name = "COUNT", env = "DOORBELL_FILTER_TOPICS",
        default_value_t = FILTER_TOPICS_MAX)]
    pub filter_topics: usize,

    /// Subscriptions on one connection of the line protocol
    #[arg(long, value_name = "COUNT", env = "DOORBELL_SUBSCRIPTIONS",
        default_value_t = SUBSCRIPTIONS_DEFAULT)]
    pub subscriptions: usize,

    /// Connections at the same time [default: as many as the limit of open files allows]
    #[arg(long, value_name = "COUNT", env = "DOORBELL_CONNECTIONS")]
    pub connections: Option<usize>,

    /// Streams over HTTP that are sent in gzip at the same time, to clients that ask for it; each
    /// takes some 370 kB of memory
    #[arg(long, value_name = "COUNT", env = "DOORBELL_COMPRESSED_STREAMS", default_value_t = 0)]
    pub compressed_streams: usize,

    /// What may be kept of files.
    #[command(flatten)]
    pub files: FileSettings,

    /// Folder of templates that publishers may name, each a file NAME.yml with templates for the
    /// title, the message and the priority
    #[arg(long, value_name = "DIR", env = "DOORBELL_TEMPLATE_DIR")]
    pub template_dir: Option<PathBuf>,

    /// What one visitor may ask for.
    #[command(flatten)]
    pub visitors: VisitorSettings,

    /// What the server calls for somebody.
    #[command(flatten)]
    pub outbound: OutboundSettings,

    /// TOML file that says who may publish and read what; it is read again when it changes
    #[arg(long, value_name = "FILE", env = "DOORBELL_ACCESS", global = true)]
    pub access: Option<PathBuf>,

    /// File for an audit trail in JSON lines: refusals, logins, what administrators look at, rights
    /// that end; - for standard error
    #[arg(long, value_name = "FILE", env = "DOORBELL_AUDIT")]
    pub audit: Option<PathBuf>,

    /// What everybody may do on a server that listens beyond this machine without an access file:
    /// read-write, read or write
    #[arg(long, value_name = "MODE", env = "DOORBELL_ANONYMOUS", value_parser = anonymous,
        conflicts_with = "access")]
    pub anonymous: Option<Anonymous>,

    /// The lab, which shows who is connected and from where: on, off, or on while nobody but this
    /// machine can connect and no proxy is trusted (auto); off if another proxy lets others in
    #[arg(long, value_name = "WHEN", env = "DOORBELL_LAB", default_value = "auto",
        value_parser = lab)]
    pub lab: LabSetting,

    /// Proxies that are believed when they tell whose request or connection they forward: addresses
    /// or ranges
    #[arg(long, value_name = "CIDR,…", env = "DOORBELL_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<Range>,

    /// Listeners (http, tcp) where trusted proxies begin each connection with a PROXY header of
    /// version 1 or 2; others cannot connect there
    #[arg(long, value_name = "LISTENER,…", env = "DOORBELL_PROXY_PROTOCOL", value_delimiter = ',',
        value_parser = headed)]
    pub proxy_protocol: Vec<Listener>,

    /// Origins of pages that browsers may let use the server, beside its own, or * for any
    #[arg(long, value_name = "ORIGIN,…", env = "DOORBELL_ALLOW_ORIGIN", value_delimiter = ',')]
    pub allow_origin: Vec<AllowedOrigin>,

    /// Names under which the server may be asked, beside its addresses and localhost
    #[arg(long, value_name = "NAME,…", env = "DOORBELL_ALLOW_HOST", value_delimiter = ',')]
    pub allow_host: Vec<HostName>,

    /// Path under which a proxy offers the server, if the proxy leaves it in the requests
    #[arg(long, value_name = "PATH", env = "DOORBELL_BASE_PATH", default_value = "")]
    pub base_path: BasePath,

    /// Address under which everybody knows the server; a gateway of Matrix and --upstream need it,
    /// and without it files have the address that their publishers used
    #[arg(long, value_name = "URL", env = "DOORBELL_BASE_URL")]
    pub base_url: Option<BaseUrl>,

    /// End when the standard input ends, as it does when whoever holds its other end has gone
    #[arg(long, env = "DOORBELL_UNTIL_STDIN_ENDS")]
    pub until_stdin_ends: bool,

    /// Let the lab capture packets on the loopback interface; needs the capability to capture
    #[arg(long, env = "DOORBELL_TRACE")]
    pub trace: bool,

    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<AdminCommand>,
}

/// What everybody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// To publish and to read everything.
    ReadWrite,
    /// To read everything.
    Read,
    /// To publish to everything.
    Write,
}

impl Anonymous {
    /// As a rule of an access file.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::ReadWrite => "pubsub >",
            Self::Read => "sub >",
            Self::Write => "pub >",
        }
    }
}

/// When the lab may be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabSetting {
    /// While every TCP listener is bound to a loopback address, and no proxy is trusted.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl Config {
    /// What the log keeps.
    pub fn retention(&self) -> Retention {
        Retention { age: self.retention_age, bytes: self.retention_bytes }
    }

    /// Where the log is that a command is about.
    pub fn log_home(&self) -> LogHome {
        LogHome {
            retention: self.retention(),
            #[cfg(feature = "cluster")]
            cluster: self.is_front().then(|| self.cluster_settings()),
        }
    }

    /// What a front has to know of its cluster.
    #[cfg(feature = "cluster")]
    pub fn cluster_settings(&self) -> ClusterSettings {
        self.cluster.settings(self.message_bytes, self.publish_wait)
    }

    /// The limits of the wire.
    pub fn wire_limits(&self) -> WireLimits {
        WireLimits {
            message_bytes: to_usize(self.message_bytes),
            filter_topics: self.filter_topics,
            subscriptions: self.subscriptions,
        }
    }

    /// Whether it keeps nothing, because its log is on other machines.
    pub fn is_front(&self) -> bool {
        #[cfg(feature = "cluster")]
        return self.cluster.is_on();
        #[cfg(not(feature = "cluster"))]
        return false;
    }

    /// Where it may keep something beside the log, if anywhere.
    pub fn folder(&self) -> Option<&Path> {
        (!self.ephemeral && !self.is_front()).then_some(&*self.data)
    }

    /// What a front cannot do: it would have to keep something.
    fn check_front(&self) -> Result<(), String> {
        if !self.is_front() {
            #[cfg(feature = "cluster")]
            if !self.cluster.cluster_monitor.is_empty() {
                return Err("--cluster-monitor needs --cluster".to_owned());
            }
            return Ok(());
        }
        let kept = [
            ("--web-push", self.outbound.web_push.is_some()),
            ("--visitor-held", self.visitors.visitor_held.is_some()),
        ];
        match kept.into_iter().find(|(_, is_on)| *is_on) {
            Some((flag, _)) => Err(format!("{flag} needs a log of one's own: --cluster has none")),
            None => Ok(()),
        }
    }

    fn check(&self) -> Result<(), String> {
        let at_least = |name: &str, value: u64, bound: u64| {
            if value >= bound { Ok(()) } else { Err(format!("--{name} {value} is below {bound}")) }
        };
        let at_most = |name: &str, value: u64, bound: u64| {
            if value <= bound { Ok(()) } else { Err(format!("--{name} {value} is above {bound}")) }
        };
        at_least("message-bytes", self.message_bytes, 1)?;
        at_most("message-bytes", self.message_bytes, MESSAGE_BYTES_MAX as u64)?;
        at_least("line-bytes", self.line_bytes, 256)?;
        at_most("line-bytes", self.line_bytes, 16 << 20)?;
        at_least("header-bytes", self.header_bytes, 8 << 10)?;
        at_most("header-bytes", self.header_bytes, 1 << 20)?;
        at_least("inflight-bytes", self.inflight_bytes, 64 << 10)?;
        at_most("inflight-bytes", self.inflight_bytes, 16 << 30)?;
        at_least("retention-bytes", self.retention_bytes, 64 << 10)?;
        at_most("schedule-max", self.schedule_max as u64, SCHEDULE_MAX as u64)?;
        at_least("filter-topics", self.filter_topics as u64, 1)?;
        at_most("filter-topics", self.filter_topics as u64, FILTER_TOPICS_MAX as u64)?;
        at_least("subscriptions", self.subscriptions as u64, 1)?;
        if !self.proxy_protocol.is_empty() && self.trusted_proxies.is_empty() {
            let text = "--proxy-protocol needs --trusted-proxies: the proxies that may connect";
            return Err(text.to_owned());
        }
        for (name, duration) in [
            ("keepalive", self.keepalive),
            ("retention-age", self.retention_age),
            ("write-deadline", self.write_deadline),
            ("publish-wait", self.publish_wait),
            ("unfinished", self.unfinished),
            ("attachment-age", self.files.attachment_age),
        ] {
            if duration < Duration::from_millis(100) {
                return Err(format!("--{name} {duration:?} is below 100ms"));
            }
        }
        self.check_front()?;
        self.outbound.check(self.base_url.as_ref())?;
        self.tls.check()
    }
}

/// A setting in bytes as a size in memory.
pub fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Reads the settings from a command line, its program name included.
///
/// # Errors
///
/// Those of [`clap`], help and version among them; they know how to print themselves.
pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Config, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut command = without_empty_variables(command());
    let mut given = Given { arguments: &arguments, file: None };
    if let Some(path) = config_path(&command, &arguments) {
        let text = std::fs::read_to_string(&path).map_err(|error| {
            invalid(&mut command, &format!("config {} cannot be read: {error}", path.display()))
        })?;
        let keys;
        (command, keys) = with_file_values(command, &path, &text)?;
        given.file = Some((path, keys));
    }
    let parsed = command.clone().try_get_matches_from(&arguments);
    let config = parsed.and_then(|matches| Config::from_arg_matches(&matches));
    let text = match config {
        Ok(config) => match config.check() {
            Ok(()) => return Ok(config),
            Err(text) => text,
        },
        Err(help) if !help.use_stderr() => return Err(help),
        Err(error) => {
            // What follows the first line is advice that clap adds.
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    };
    let text = given.name(&command, text);
    Err(invalid(&mut command, &text))
}

/// A variable that is empty, as those that compose files pass on, counts as unset.
fn without_empty_variables(mut command: Command) -> Command {
    let is_empty = |arg: &&Arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        value.is_some_and(|value| value.is_empty())
    };
    let empty: Vec<_> =
        command.get_arguments().filter(is_empty).map(Arg::get_id).cloned().collect();
    for id in empty {
        command = command.mut_arg(id, |arg| arg.env(Resettable::<clap::builder::OsStr>::Reset));
    }
    command
}

/// How settings were given.
struct Given<'a> {
    arguments: &'a [OsString],
    /// The file and its keys, by the names of the settings.
    file: Option<(PathBuf, BTreeMap<String, String>)>,
}

impl Given<'_> {
    /// The same sentence, in which each setting that was given by a variable or by the file is
    /// named so, and not by a flag that nobody used.
    fn name(&self, command: &Command, mut text: String) -> String {
        // An argument can be shown as clap shows it once its command is built.
        let mut command = command.clone();
        command.build();
        for arg in command.get_arguments() {
            let Some(flag) = arg.get_long().map(|long| format!("--{long}")) else { continue };
            if let Some(name) = self.other_name(arg, &flag) {
                text = text.replace(&arg.to_string(), &name);
                text = replace_word(&text, &flag, &name);
            }
        }
        text
    }

    fn other_name(&self, arg: &Arg, flag: &str) -> Option<String> {
        let is_flag = |given: &OsString| {
            let given = given.to_string_lossy();
            given.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        };
        if self.arguments.iter().any(is_flag) {
            return None;
        }
        let is_set = |name: &&OsStr| std::env::var_os(name).is_some();
        if let Some(variable) = arg.get_env().filter(is_set) {
            return Some(variable.to_string_lossy().into_owned());
        }
        let (path, keys) = self.file.as_ref()?;
        Some(format!("{} in {}", keys.get(arg.get_id().as_str())?, path.display()))
    }
}

/// Replaces a flag where it stands whole.
fn replace_word(text: &str, flag: &str, name: &str) -> String {
    let mut parts = text.split(flag);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let goes_on = part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
        replaced += if goes_on { flag } else { name };
        replaced += part;
    }
    replaced
}

/// The command line, before the environment and a file have their say.
pub fn command() -> Command {
    let command = Command::new("doorbell-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Server push over HTTP, WebSocket, TCP and Unix sockets, from one durable log")
        .after_help(
            "Sizes take KiB, MiB and GiB, durations ms, s, m, h and d.\n\
             A file given by --config has the same settings as TOML keys (retention_age = \"1h\").",
        )
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .env("DOORBELL_CONFIG")
                .value_parser(clap::value_parser!(PathBuf))
                .global(true)
                .help("TOML file with settings; flags and the environment win over it"),
        );
    Config::augment_args(command)
}

fn invalid(command: &mut Command, text: &str) -> clap::Error {
    command.error(clap::error::ErrorKind::ValueValidation, text)
}

/// Finds `--config` before the rest of the command line can be checked.
fn config_path(command: &Command, arguments: &[OsString]) -> Option<PathBuf> {
    let lenient = command.clone().ignore_errors(true).disable_help_flag(true);
    let matches = lenient.disable_version_flag(true).try_get_matches_from(arguments).ok()?;
    matches.get_one::<PathBuf>("config").cloned()
}

/// The file's values as defaults, and its keys by the names of the settings.
fn with_file_values(
    mut command: Command,
    path: &Path,
    text: &str,
) -> Result<(Command, BTreeMap<String, String>), clap::Error> {
    let mut keys = BTreeMap::new();
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.message().to_owned();
        invalid(&mut command, &format!("config {} is no TOML: {line}", path.display()))
    })?;
    for (key, value) in table {
        let name = key.replace('-', "_");
        let known =
            name != "config" && command.get_arguments().any(|arg| arg.get_id() == name.as_str());
        if !known {
            let text = format!("config {} has an unknown key: {key}", path.display());
            return Err(invalid(&mut command, &text));
        }
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(yes) => yes.to_string(),
            toml::Value::Array(ref texts) if texts.iter().all(toml::Value::is_str) => {
                texts.iter().filter_map(toml::Value::as_str).collect::<Vec<_>>().join(",")
            }
            other => {
                let text =
                    format!("config {}: {key} cannot be {}", path.display(), other.type_str());
                return Err(invalid(&mut command, &text));
            }
        };
        command = command.mut_arg(&name, |arg| arg.default_value(value));
        keys.insert(name, key);
    }
    Ok((command, keys))
}

fn sync(text: &str) -> Result<Sync, String> {
    match text {
        "os" => Ok(Sync::Os),
        "always" => Ok(Sync::Always),
        _ => Err("sync is os or always".to_owned()),
    }
}

fn anonymous(text: &str) -> Result<Anonymous, String> {
    match text {
        "read-write" => Ok(Anonymous::ReadWrite),
        "read" => Ok(Anonymous::Read),
        "write" => Ok(Anonymous::Write),
        _ => Err("anonymous is read-write, read or write".to_owned()),
    }
}

fn lab(text: &str) -> Result<LabSetting, String> {
    match text {
        "auto" => Ok(LabSetting::Auto),
        "on" => Ok(LabSetting::On),
        "off" => Ok(LabSetting::Off),
        _ => Err("lab is auto, on or off".to_owned()),
    }
}

fn headed(text: &str) -> Result<Listener, String> {
    match text {
        "http" => Ok(Listener::Http),
        "tcp" => Ok(Listener::Tcp),
        _ => Err("a PROXY header can begin the connections of http and tcp".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "a duration looks like 45s, 10m or 12h".to_owned())
}

fn poll_interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    let seconds = interval.as_secs() + u64::from(interval.subsec_nanos() > 0);
    if (1..=POLL_INTERVAL_SECONDS_MAX).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err(format!("it must be more than nothing and {POLL_INTERVAL_SECONDS_MAX}s at most"))
}

fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        _ => return Err("a size looks like 4096, 64KiB, 10MiB or 1GiB".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a size begins with a number".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "a size of that many bytes is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_line(line: &str) -> Result<Config, clap::Error> {
        read(std::iter::once("doorbell-server").chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn sizes_and_durations_have_units() {
        assert_eq!(bytes("64KiB"), Ok(65_536));
        assert_eq!(bytes("7"), Ok(7));
        for text in ["", "KiB", "1TB", "-1", "99999999999GiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert_eq!(duration("12h"), Ok(Duration::from_secs(43_200)));
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("doorbell.toml");
        std::fs::write(&path, "keepalive = \"7s\"\nhttp = \"127.0.0.1:1\"\nephemeral = true\n")
            .unwrap();
        let line = format!("--config {} --http 127.0.0.1:2", path.display());
        let config = read_line(&line).unwrap();
        assert_eq!(config.keepalive, Duration::from_secs(7));
        assert_eq!(config.http.unwrap().port(), 2);
        assert!(config.ephemeral);
        assert_eq!(config.tcp.unwrap().port(), 1989);
    }

    #[test]
    fn a_list_has_commas_or_a_flag_for_each_or_is_an_array_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("doorbell.toml");
        let text = "allow_host = [\"a\", \"b\"]\ntrusted_proxies = [\"::1\", \"10.0.0.0/8\"]\n";
        std::fs::write(&path, text).unwrap();
        let file = format!("--config {}", path.display());
        for line in [
            "--trusted-proxies ::1,10.0.0.0/8",
            "--trusted-proxies ::1 --trusted-proxies 10.0.0.0/8",
            &file,
        ] {
            let ranges = ["::1", "10.0.0.0/8"].map(|range| range.parse().unwrap());
            assert_eq!(read_line(line).unwrap().trusted_proxies, ranges, "{line}");
        }
        for line in ["--allow-host a,b", "--allow-host a --allow-host b", &file] {
            let hosts = ["a", "b"].map(|name| name.parse().unwrap());
            assert_eq!(read_line(line).unwrap().allow_host, hosts, "{line}");
        }
    }

    #[test]
    fn a_mode_is_octal_and_a_number_of_the_file_is_never_taken_for_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("doorbell.toml");
        let line = format!("--config {}", path.display());
        let read_file = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_line(&line)
        };
        for text in ["unix_mode = 660", "unix_mode = \"0660\""] {
            assert_eq!(read_file(text).unwrap().unix_mode, "660".parse().unwrap(), "{text}");
        }
        for mode in 0o600..=0o777 {
            assert!(read_file(&format!("unix_mode = 0o{mode:o}")).is_err(), "{mode:o}");
        }
    }

    #[test]
    fn the_access_file_is_named_before_a_command_or_behind_it() {
        command().debug_assert();
        for line in ["--access f token list", "token list --access f", "token --access f list"] {
            let config = read_line(line).unwrap();
            assert_eq!(config.access.as_deref(), Some(Path::new("f")), "{line}");
            assert!(config.command.is_some(), "{line}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("doorbell.toml");
        std::fs::write(&path, "access = \"f\"\n").unwrap();
        for line in ["--config FILE token list", "token list --config FILE", "--config FILE"] {
            let config = read_line(&line.replace("FILE", path.to_str().unwrap())).unwrap();
            assert_eq!(config.access.as_deref(), Some(Path::new("f")), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("doorbell.toml");
        std::fs::write(&path, "colour = 1\n").unwrap();
        let unknown = read_line(&format!("--config {}", path.display())).unwrap_err();
        assert!(unknown.to_string().contains("unknown key: colour"));
        for line in ["--http nowhere", "--message-bytes 2MiB", "--keepalive 0s", "--colour", "x"] {
            assert!(read_line(line).is_err(), "{line}");
        }
    }
}
