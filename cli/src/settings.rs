//! The client's file of settings: a server and who asks it, flags as they are to be without being
//! given, and topics to listen to.
//!
//! A flag has one name, on the command line and in the file: what the file says becomes the
//! defaults of the command line, so that both are checked in one place and what is typed wins.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, FromArgMatches};
use doorbell::Server;
use doorbell_instruments::Failure;
use toml::{Table, Value};

use crate::arguments::Arguments;
use crate::connection::{Secrets, TOKEN_VARIABLE, in_variable};

/// The file of this machine, where its user has none.
const OF_THE_MACHINE: &str = "/etc/doorbell/client.toml";
/// Bytes of the longest file that is read.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Topics that one file may listen to: each has a connection.
const TOPICS_MAX: usize = 64;
/// Mode bits by which everybody may read or change a file.
const ANYBODY: u32 = 0o006;

/// What may stand at the top of a file, as flags are called.
const OF_THE_SERVER: [&str; 6] = ["server", "ca", "fingerprint", "cert", "key", "insecure"];
const OF_THE_CLIENT: [&str; 3] = ["token-file", "user", "password-file"];
/// What may stand there as well, but never on a command line.
const SECRETS: [&str; 2] = ["token", "password"];
/// Commands that ask a server as somebody, and may have defaults of their own.
const ASKING: [&str; 4] = ["subscribe", "publish", "top", "talk"];

/// A file of settings.
#[derive(Debug)]
pub(crate) struct Settings {
    path: PathBuf,
    table: Table,
}

impl Settings {
    /// The file that was named, or else the user's, or else the machine's, if there is one.
    pub(crate) fn find(named: Option<&PathBuf>) -> Result<Option<Self>, Failure> {
        if let Some(path) = named {
            return Self::read(path);
        }
        let of_the_user = of_the_user().map_or(Ok(None), |path| Self::read_if_there(&path))?;
        match of_the_user {
            Some(settings) => Ok(Some(settings)),
            None => Self::read_if_there(Path::new(OF_THE_MACHINE)),
        }
    }

    fn read_if_there(path: &Path) -> Result<Option<Self>, Failure> {
        match fs::metadata(path) {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Ok(None)
            }
            _ => Self::read(path),
        }
    }

    fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let wrong = |what: &str| Failure::Usage(format!("{}: {what}", path.display()));
        let unreadable = |error: std::io::Error| wrong(&format!("cannot be read: {error}"));
        let file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.mode();
        let mut text = String::new();
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(wrong(&format!("is longer than {FILE_BYTES_MAX} bytes")));
        }
        let table: Table =
            text.parse().map_err(|error: toml::de::Error| wrong(error.to_string().trim_end()))?;
        let settings = Self { path: path.to_owned(), table };
        if SECRETS.iter().any(|name| settings.table.contains_key(*name)) && mode & ANYBODY != 0 {
            return Err(wrong("has a secret, and everybody may read it: chmod 600"));
        }
        settings.check()?;
        Ok(Some(settings))
    }

    /// The command line once more, with what stands here for what was not typed. Where topics are
    /// listened to and none was typed, it is one for each topic of the file.
    pub(crate) fn arguments(
        &self,
        mut command: Command,
        typed: &ArgMatches,
    ) -> Result<Vec<Arguments>, Failure> {
        let Some((name, own)) = typed.subcommand() else {
            return Ok(vec![self.parse(command)?]);
        };
        let mut secrets = Secrets::default();
        if ASKING.contains(&name) && self.is_of(typed)? {
            let mut names = OF_THE_SERVER.to_vec();
            if !shows_who_asks(typed)? {
                names.extend(OF_THE_CLIENT);
                secrets = Secrets { token: self.text("token")?, password: self.text("password")? };
            }
            for name in names {
                if let Some(value) = self.table.get(name) {
                    command = self.preset(command, name, value)?;
                }
            }
        }
        if let Some(Value::Table(flags)) = self.table.get(name) {
            command = self.with_flags(command, name, flags)?;
        }
        let topics = self.topics()?;
        let listens = name == "subscribe" && !own.contains_id("filter") && !topics.is_empty();
        let commands: Vec<Command> = if listens {
            let one = |topic: &&Table| self.with_flags(command.clone(), name, topic);
            topics.iter().map(one).collect::<Result<_, _>>()?
        } else {
            vec![command]
        };
        let parse = |command| {
            let mut arguments = self.parse(command)?;
            arguments.connection.secrets = secrets.clone();
            Ok(arguments)
        };
        commands.into_iter().map(parse).collect()
    }

    /// Whether the server that is asked is the one of this file: what the file knows of it is
    /// shown to no other.
    fn is_of(&self, typed: &ArgMatches) -> Result<bool, Failure> {
        let Some(asked) = typed.get_one::<Server>("server") else { return Ok(true) };
        let own = self.text("server")?;
        let own = own.map(|address| address.parse::<Server>()).transpose();
        let own = own.map_err(|error| self.wrong(&format!("server: {error}")))?;
        Ok(own.is_some_and(|own| own == *asked))
    }

    fn check(&self) -> Result<(), Failure> {
        for (name, value) in &self.table {
            let known = OF_THE_SERVER.iter().chain(&OF_THE_CLIENT).chain(&SECRETS);
            let is_right = match value {
                Value::Table(_) => ASKING.contains(&name.as_str()),
                Value::Array(_) => name == "topic",
                _ => known.copied().any(|known| known == name),
            };
            if !is_right {
                return Err(self.wrong(&format!(
                    "'{name}' is no setting: there are {}, {}, {}, the tables {}, and [[topic]]",
                    OF_THE_SERVER.join(", "),
                    OF_THE_CLIENT.join(", "),
                    SECRETS.join(", "),
                    ASKING.map(|name| format!("[{name}]")).join(", "),
                )));
            }
        }
        self.topics().map(drop)
    }

    fn topics(&self) -> Result<Vec<&Table>, Failure> {
        let Some(Value::Array(topics)) = self.table.get("topic") else { return Ok(Vec::new()) };
        if topics.len() > TOPICS_MAX {
            let count = topics.len();
            return Err(self.wrong(&format!("has {count} topics, limit is {TOPICS_MAX}")));
        }
        let one = |topic: &Value| match topic {
            Value::Table(_) => Ok(()),
            _ => Err(self.wrong("a topic is a table: [[topic]]")),
        };
        topics.iter().try_for_each(one)?;
        let filtered = |topic: &&Table| topic.contains_key("filter");
        let topics: Vec<&Table> = topics.iter().filter_map(Value::as_table).collect();
        if !topics.iter().all(filtered) {
            return Err(self.wrong("a [[topic]] has no filter, such as filter = \"alarms.>\""));
        }
        Ok(topics)
    }

    /// The command with these defaults for the flags and words of one of its own.
    fn with_flags(&self, command: Command, of: &str, flags: &Table) -> Result<Command, Failure> {
        let mut wrong = None;
        let command = command.mut_subcommand(of, |mut command| {
            for (name, value) in flags {
                match self.preset(command.clone(), name, value) {
                    Ok(changed) => command = changed,
                    Err(failure) => wrong = Some(failure),
                }
            }
            command
        });
        wrong.map_or(Ok(command), Err)
    }

    /// The command with a default for what has this name.
    fn preset(&self, command: Command, name: &str, value: &Value) -> Result<Command, Failure> {
        let is_it = |arg: &&clap::Arg| match arg.get_long() {
            Some(long) => long == name,
            None => arg.get_id() == name,
        };
        let Some(id) = command.get_arguments().find(is_it).map(|arg| arg.get_id().clone()) else {
            let command = command.get_name();
            return Err(self.wrong(&format!("doorbell {command} has no '{name}'")));
        };
        let value = self.written(name, value)?;
        Ok(command.mut_arg(id, |arg| arg.default_value(Resettable::Value(value.into()))))
    }

    /// A value as it would be typed.
    fn written(&self, name: &str, value: &Value) -> Result<String, Failure> {
        match value {
            Value::String(text) => Ok(text.clone()),
            Value::Integer(number) => Ok(number.to_string()),
            Value::Boolean(is_so) => Ok(is_so.to_string()),
            Value::Array(list) => {
                let list = list.iter().map(|value| self.written(name, value));
                Ok(list.collect::<Result<Vec<_>, _>>()?.join(","))
            }
            _ => Err(self.wrong(&format!("'{name}' is no text, number, list or truth"))),
        }
    }

    fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        self.table.get(name).map(|value| self.written(name, value)).transpose()
    }

    fn parse(&self, command: Command) -> Result<Arguments, Failure> {
        let matches = command.try_get_matches().map_err(|error| self.refused(&error))?;
        Arguments::from_arg_matches(&matches).map_err(|error| self.refused(&error))
    }

    /// What was typed is right, so that what is wrong is wrong here.
    fn refused(&self, error: &clap::Error) -> Failure {
        let text = error.to_string();
        let said = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        self.wrong(&said.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    fn wrong(&self, what: &str) -> Failure {
        Failure::Usage(format!("{}: {what}", self.path.display()))
    }
}

/// Whether it was said otherwise who asks.
fn shows_who_asks(typed: &ArgMatches) -> Result<bool, Failure> {
    let is_typed = |id| typed.value_source(id) == Some(ValueSource::CommandLine);
    Ok(is_typed("token_file") || is_typed("user") || in_variable(TOKEN_VARIABLE)?.is_some())
}

/// Where a user's file is, as the XDG base directories say.
fn of_the_user() -> Option<PathBuf> {
    Some(folder("XDG_CONFIG_HOME", ".config")?.join("doorbell/client.toml"))
}

/// A base directory of XDG: what the variable says, or its place in the user's home.
pub(crate) fn folder(variable: &str, in_home: impl AsRef<OsStr>) -> Option<PathBuf> {
    let path = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    path(variable).or_else(|| Some(path("HOME")?.join(in_home.as_ref())))
}
