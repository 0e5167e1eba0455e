//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::attack;
use crate::failure::{Failure, Result};
use crate::floor::Floor;
use crate::generator::load::Refill;
use crate::launch::Place;
use crate::memory::Job;
use crate::peer::{Contender, Setting, Storage};

/// Measures what doorbell costs, beside floor programs and peers in one run
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// One publisher, many subscribers, so many messages in flight
    Fanout(Flags),
    /// Latency at fixed rates, from the planned time
    Latency(Flags),
    /// Many publishers and topics; HTTP and lines; the ways of storing
    Publish(Flags),
    /// Readers that come back far behind
    Catchup(Flags),
    /// Polls: without news, and with ten messages
    Polls(Flags),
    /// Answers of many bytes, one after the other on a kept connection
    Large(Flags),
    /// Memory and processor time of subscribers that wait
    Idle(Flags),
    /// One reader that stops reading among others
    Slow(Flags),
    /// How cost grows with subscribers, topics and rate
    Grow(Flags),
    /// A million sessions in one process, over streams in memory
    Sessions(Flags),
    /// Attacks, each beside a client that behaves; named by --contenders
    Attack(Flags),
    /// All of them but attacks
    All(Flags),
    /// One run of such sessions, in a process of its own
    #[command(hide = true)]
    Memory(Job),
    /// One attack, in a process of its own
    #[command(hide = true)]
    Attacker(attack::AttackArguments),
    /// What reads all that comes, in a process of its own
    #[command(hide = true)]
    Sink,
    /// The programs to measure against
    #[command(flatten)]
    Floor(Floor),
}

/// How a scenario is run. What is not given is the scenario's own.
#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    /// Rounds; in each every contender runs once
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    pub(crate) rounds: usize,

    /// A first look: small, one round of each, all scenarios in a few minutes
    #[arg(long)]
    pub(crate) quick: bool,

    /// Write the results there as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Draw growth there as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) chart: Option<PathBuf>,

    /// The server to measure [default: doorbell-server beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) server_binary: Option<PathBuf>,

    /// An earlier build of it, measured in the same rounds as earlier-NAME
    #[arg(long, value_name = "PATH")]
    pub(crate) earlier_binary: Option<PathBuf>,

    /// Only these, by name, separated by commas; a name may end in *
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) contenders: Vec<String>,

    /// Subscribers (connections, sessions), one case each
    #[arg(long, visible_alias = "sessions", value_delimiter = ',', value_name = "COUNTS")]
    pub(crate) subscribers: Vec<usize>,

    /// Topics, one case each
    #[arg(long, value_delimiter = ',', value_name = "COUNTS")]
    pub(crate) topics: Vec<usize>,

    /// Messages of a publisher on their way, one case each
    #[arg(long, value_delimiter = ',', value_name = "COUNTS")]
    pub(crate) inflight: Vec<u32>,

    /// Messages a second, one case each
    #[arg(long, value_delimiter = ',', value_name = "RATES")]
    pub(crate) rate: Vec<f64>,

    /// Messages to be behind, to be in the log before, in an answer, or to each session
    #[arg(long, value_name = "COUNT")]
    pub(crate) messages: Option<u64>,

    /// Bytes of a message's text
    #[arg(long, value_name = "BYTES")]
    pub(crate) payload: Option<usize>,

    /// Measured time of one run, in seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) seconds: Option<f64>,

    /// Keepalive of doorbell's idle connections, in seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) keepalive: Option<f64>,

    /// How doorbell stores, one case each where storing is what is measured
    #[arg(long, value_enum, value_delimiter = ',', value_name = "MODES")]
    pub(crate) storage: Vec<Storage>,

    /// How much of a window must be free before it is filled again [default: a quarter; fan-out:
    /// each]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WAYS")]
    pub(crate) refill: Vec<Refill>,

    /// Where servers and this program run; `--pin` alone is `--pin apart` [default: free; fan-out:
    /// each]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PLACES")]
    #[arg(num_args = 0..=1, default_missing_value = "apart")]
    pub(crate) pin: Vec<Place>,

    /// For the texts of messages
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub(crate) seed: u64,
}

/// The program that is measured.
const SERVER: &str = "doorbell-server";
/// Bytes of a message where nothing else is said.
const PAYLOAD_BYTES: usize = 128;

impl Flags {
    /// The values that were given, or the scenario's own: those of a first look or of a whole run.
    pub(crate) fn or<T: Clone>(&self, given: &[T], quick: &[T], whole: &[T]) -> Vec<T> {
        match (given, self.quick) {
            ([], true) => quick.to_vec(),
            ([], false) => whole.to_vec(),
            (given, _) => given.to_vec(),
        }
    }

    /// Measured time of one run.
    pub(crate) fn duration(&self, quick: f64, whole: f64) -> Result<Duration> {
        let seconds = self.seconds.unwrap_or(if self.quick { quick } else { whole });
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| Failure(format!("--seconds {seconds} is no time")))
    }

    /// How many rounds there are.
    pub(crate) fn rounds(&self) -> usize {
        if self.quick { 1 } else { self.rounds.max(1) }
    }

    /// Bytes of a message.
    pub(crate) fn payload(&self) -> usize {
        self.payload.unwrap_or(PAYLOAD_BYTES)
    }

    /// What contenders are started with.
    pub(crate) fn setting(&self) -> Result<Setting> {
        let keepalive = self.keepalive.map(|seconds| {
            Duration::try_from_secs_f64(seconds)
                .map_err(|_| Failure(format!("--keepalive {seconds} is no time")))
        });
        Ok(Setting {
            server_binary: self.server()?,
            earlier_binary: given("--earlier-binary", self.earlier_binary.as_ref())?,
            storage: self.storage.first().copied().unwrap_or(Storage::Os),
            keepalive: keepalive.transpose()?,
            write_deadline: None,
            payload: self.payload(),
        })
    }

    fn server(&self) -> Result<PathBuf> {
        if let Some(path) = given("--server-binary", self.server_binary.as_ref())? {
            return Ok(path);
        }
        let own = std::env::current_exe()?;
        // Tests are in a folder below.
        let beside = own.ancestors().skip(1).take(2).map(|folder| folder.join(SERVER));
        beside.into_iter().find(|path| path.is_file()).ok_or_else(|| {
            Failure(format!(
                "{SERVER} is not beside {}: build it with `cargo build --release -p {SERVER}`, \
                 or name one with --server-binary",
                own.display()
            ))
        })
    }

    /// Those of a scenario's contenders that are wanted.
    pub(crate) fn contenders(&self, names: &[&str]) -> Result<Vec<Contender>> {
        for wanted in &self.contenders {
            if !crate::peer::ALL.iter().any(|contender| matches(wanted, contender.name)) {
                let known: Vec<_> = crate::peer::ALL.iter().map(|known| known.name).collect();
                let known = known.join(", ");
                return Err(Failure(format!("--contenders {wanted} is none of {known}")));
            }
        }
        let names = names.iter().filter(|name| self.wants(name));
        Ok(names.filter_map(|name| Contender::named(name)).collect())
    }

    /// Whether somebody of that name is wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.contenders.is_empty() || self.contenders.iter().any(|wanted| matches(wanted, name))
    }
}

/// The program that a flag names.
fn given(flag: &str, path: Option<&PathBuf>) -> Result<Option<PathBuf>> {
    match path {
        Some(path) if !path.is_file() => {
            Err(Failure(format!("{flag} {} is no file", path.display())))
        }
        path => Ok(path.cloned()),
    }
}

fn matches(wanted: &str, name: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => wanted == name,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn contenders_are_chosen_by_name_or_by_its_beginning() {
        let flags = |words: &[&str]| {
            let words = [&["bench", "fanout"], words].concat();
            match Cli::try_parse_from(words).unwrap().command {
                Command::Fanout(flags) => flags,
                other => panic!("{other:?}"),
            }
        };
        let names = |words: &[&str]| {
            let chosen = flags(words).contenders(&["floor", "floor-batch", "redis"]).unwrap();
            chosen.iter().map(|contender| contender.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), ["floor", "floor-batch", "redis"]);
        assert_eq!(names(&["--contenders", "floor*"]), ["floor", "floor-batch"]);
        assert_eq!(names(&["--contenders", "redis,floor"]), ["floor", "redis"]);
        assert!(flags(&["--contenders", "reddis"]).contenders(&["redis"]).is_err());
    }
}
