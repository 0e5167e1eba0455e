//! What `doorbell-server` does beside serving: it changes an access file, says what one means, and
//! looks after the folder of a log; and prints a page that needs no server.
//!
//! - `change`: a file changed as a whole, and a running server waited for; `document`: its entries;
//!   `password`: asked for, never an argument
//! - `check`: the rule that decides; `lint`: what a file says in vain
//! - `log`: the folder of a log

mod change;
mod check;
#[cfg(feature = "cluster")]
mod cluster;
mod document;
mod import;
mod lint;
mod log;
mod password;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use clap_complete::Shell;
use doorbell_protocol::Filter;
use doorbell_protocol::since::parse_duration;

use self::change::{Written, change};
use self::check::Subject;
use self::document::NewEntry;
pub use self::log::{LogCommand, LogHome};
use crate::clock::unix_seconds;
use crate::rights::{AccessFile, Action, Rule, Token, hash_password};
use crate::web;

/// What there is to do beside serving.
#[derive(Debug, Clone, Subcommand)]
pub enum AdminCommand {
    /// Give out tokens, and take them back
    #[command(subcommand)]
    Token(TokenCommand),
    /// Name the users who come with a password
    #[command(subcommand)]
    User(UserCommand),
    /// Ask what the access file means
    #[command(subcommand)]
    Access(AccessCommand),
    /// Verify, read, copy and fill the folder of a log
    #[command(subcommand)]
    Log(LogCommand),
    /// Write the manual pages and completions, for whoever makes a package
    #[command(hide = true)]
    Papers {
        /// Where to
        folder: PathBuf,
    },
    /// Print the first view as one HTML file that needs no server: it simulates one, and says so
    Page,
}

/// The manual pages of a program, and what shells complete of it.
fn papers(mut program: clap::Command, folder: &Path) -> io::Result<()> {
    clap_mangen::generate_to(program.clone(), folder)?;
    let name = program.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut program, &name, folder)?;
    }
    Ok(())
}

/// What can be done with tokens.
#[derive(Debug, Clone, Subcommand)]
pub enum TokenCommand {
    /// Make a token, and print it once
    Add(NewIdentity),
    /// Print the tokens' names and rules
    List,
    /// End a token, and the one before it if that is still good
    Revoke {
        /// Its name
        name: String,
    },
    /// Make another token of the same name, and print it; the one before stays good for a day
    Rotate {
        /// Its name
        name: String,
    },
}

/// What can be done with users.
#[derive(Debug, Clone, Subcommand)]
pub enum UserCommand {
    /// Add a user; the password is asked for, or read from standard input
    Add(NewIdentity),
}

/// What can be asked of an access file.
#[derive(Debug, Clone, Subcommand)]
pub enum AccessCommand {
    /// Say whether somebody may publish to a topic or read a filter, and which rule decides it
    Check {
        /// A user's name, token:NAME, uid:NUMBER, certificate:NAME or anonymous
        subject: Subject,
        /// pub or sub
        #[arg(value_parser = action)]
        action: Action,
        /// A topic, or a filter
        filter: Filter,
    },
    /// Say what is wrong with the file, and what it says in vain
    Lint,
}

/// Somebody to be added.
#[derive(Debug, Clone, Args)]
pub struct NewIdentity {
    /// A name that no other has
    name: String,
    /// What is allowed, such as 'sub orders.>'; may be repeated
    #[arg(long, value_name = "RULE")]
    allow: Vec<Rule>,
    /// What is not, whatever allows it; may be repeated
    #[arg(long, value_name = "RULE")]
    deny: Vec<Rule>,
    /// Ends after this long, such as 90d
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires: Option<Duration>,
    /// May see what the server says of itself and of others
    #[arg(long)]
    admin: bool,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As it was asked for.
    Done,
    /// Not allowed, or not applied in time.
    Refused,
}

/// Does it. What was asked for goes to standard output, everything else to standard error.
///
/// # Errors
///
/// What is wrong with the file or with what is asked of it, in one sentence.
pub fn run(
    command: AdminCommand,
    program: impl FnOnce() -> clap::Command,
    access: Option<&Path>,
    home: &LogHome,
) -> Result<Outcome, String> {
    let file = || {
        access.ok_or_else(|| {
            "no access file is named: --access FILE, DOORBELL_ACCESS or the key access does"
                .to_owned()
        })
    };
    match command {
        AdminCommand::Page => {
            print(&web::simulation()?)?;
            Ok(Outcome::Done)
        }
        AdminCommand::Token(TokenCommand::Add(identity)) => {
            let token = Token::generate();
            let entry = identity.entry("sha256", token.hash().to_string())?;
            let written = change(file()?, |document| document.add("token", &entry))?;
            print(token.reveal())?;
            Ok(applied(&written, &format!("token '{}' is added", entry.name)))
        }
        AdminCommand::Token(TokenCommand::List) => list(file()?),
        AdminCommand::Token(TokenCommand::Revoke { name }) => {
            let written = change(file()?, |document| document.revoke(&name))?;
            Ok(applied(&written, &format!("token '{name}' is revoked")))
        }
        AdminCommand::Token(TokenCommand::Rotate { name }) => {
            let (token, now) = (Token::generate(), unix_seconds());
            let hash = token.hash().to_string();
            let written = change(file()?, |document| document.rotate(&name, &hash, now))?;
            print(token.reveal())?;
            Ok(applied(
                &written,
                &format!("token '{name}' is another one; the old one has a day left"),
            ))
        }
        AdminCommand::User(UserCommand::Add(identity)) => {
            let entry = identity.entry("argon2id", hash_password(&password::ask()?)?)?;
            let written = change(file()?, |document| document.add("user", &entry))?;
            Ok(applied(&written, &format!("user '{}' is added", entry.name)))
        }
        AdminCommand::Access(AccessCommand::Check { subject, action, filter }) => {
            let answer = check::check(&read(file()?)?, &subject, action, &filter, unix_seconds())?;
            print(&answer.text)?;
            Ok(if answer.is_allowed { Outcome::Done } else { Outcome::Refused })
        }
        AdminCommand::Access(AccessCommand::Lint) => {
            let warnings = lint::warnings(&read(file()?)?, unix_seconds());
            for warning in warnings {
                print(&format!("warning: {warning}"))?;
            }
            Ok(Outcome::Done)
        }
        AdminCommand::Papers { folder } => {
            let written = papers(program(), &folder);
            written.map_err(|error| format!("{} cannot be written: {error}", folder.display()))?;
            Ok(Outcome::Done)
        }
        AdminCommand::Log(command) => log::run(&command, home),
    }
}

impl NewIdentity {
    fn entry(self, secret: &'static str, hash: String) -> Result<NewEntry, String> {
        let Self { name, allow, deny, expires, admin } = self;
        let expires = expires.map(|lifetime| document::date(unix_seconds() + lifetime.as_secs()));
        let text = |rules: Vec<Rule>| rules.iter().map(Rule::to_string).collect();
        let (allow, deny, expires) = (text(allow), text(deny), expires.transpose()?);
        Ok(NewEntry { name, secret, hash, allow, deny, expires, admin })
    }
}

/// Waits for the running server, and says how that went.
fn applied(written: &Written, what: &str) -> Outcome {
    let (how, outcome) = match written.wait() {
        Ok(true) => ("applied by the running server".to_owned(), Outcome::Done),
        Ok(false) => ("no server is running with it".to_owned(), Outcome::Done),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            let limit = change::APPLIED_WAIT.as_secs();
            let text = format!("but the running server has not applied it within {limit} s");
            (text, Outcome::Refused)
        }
        Err(error) => {
            (format!("but whether it is applied is not known: {error}"), Outcome::Refused)
        }
    };
    eprintln!("{what}: {how}");
    outcome
}

fn list(file: &Path) -> Result<Outcome, String> {
    for entry in read(file)?.entries {
        if entry.credentials.kind() != "token" {
            continue;
        }
        let rules = |verb: &str, rules: &[Rule]| -> Vec<String> {
            rules.iter().map(|rule| format!("{verb} '{rule}'")).collect()
        };
        let mut words = vec![entry.name];
        words.extend(rules("allow", &entry.rules.allow));
        words.extend(rules("deny", &entry.rules.deny));
        words.extend(entry.rules.admin.then(|| "admin".to_owned()));
        if let Some(expires) = entry.expires {
            let verb = if expires <= unix_seconds() { "expired" } else { "expires" };
            words.push(format!("{verb} {}", document::date(expires)?));
        }
        print(&words.join("  "))?;
    }
    Ok(Outcome::Done)
}

fn read(file: &Path) -> Result<AccessFile, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("access file {}: {why}", file.display());
    let text = fs::read_to_string(file).map_err(|error| wrong(&error))?;
    AccessFile::parse(&text).map_err(|error| wrong(&error))
}

/// A line of what was asked for. Nobody may be there to read it.
fn print(line: &str) -> Result<(), String> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("standard output: {error}"))
        }
        _ => Ok(()),
    }
}

fn action(text: &str) -> Result<Action, String> {
    match text {
        "pub" => Ok(Action::Publish),
        "sub" => Ok(Action::Read),
        _ => Err("it is pub or sub".to_owned()),
    }
}

fn lifetime(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "a duration looks like 12h or 90d".to_owned())
}
