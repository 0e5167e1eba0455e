//! What can be done with the folder of a log: verify, read, copy and fill it.

use std::io::{self, BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use doorbell_protocol::{Event, Filter, Since};

use super::{Outcome, print};
use crate::clock::{Clock, Now, SystemClock, unix_micros};
use crate::log::{Located, Log, LogFolder, Retention, SegmentLog, Sync};

/// What can be done with the folder of a log.
#[derive(Debug, Clone, Subcommand)]
pub enum LogCommand {
    /// Verify every line, and say what is damaged; a server may be running
    Check {
        /// The data folder
        folder: PathBuf,
    },
    /// Print the messages as JSON lines, oldest first; a server may be running
    Export {
        /// The data folder
        folder: PathBuf,
        /// Which topics, such as 'orders.>' [default: all]
        #[arg(long, value_name = "FILTER")]
        topic: Option<Filter>,
        /// From when on: an id, unix seconds, a duration such as 10m, or all
        #[arg(long, value_name = "SINCE", default_value = "all")]
        since: Since,
    },
    /// Store messages that come as JSON lines on standard input in a new log; their times stay
    Import {
        /// The data folder, which holds no log yet
        folder: PathBuf,
    },
    /// Copy the log as it is at this moment; a server may be running
    Backup {
        /// The data folder
        folder: PathBuf,
        /// A new folder
        to: PathBuf,
    },
    /// Give the places that come another beginning, after a machine or its disk was put back to an
    /// earlier state; the server has to be stopped
    NewEpoch {
        /// The data folder
        folder: PathBuf,
    },
}

/// Does it.
pub(super) fn run(command: &LogCommand, retention: Retention) -> Result<Outcome, String> {
    match command {
        LogCommand::Check { folder } => check(folder),
        LogCommand::Export { folder, topic, since } => export(folder, topic.as_ref(), since),
        LogCommand::Import { folder } => import(folder, retention),
        LogCommand::Backup { folder, to } => {
            let copied = read(folder)?.copy(to).map_err(|error| error.to_string())?;
            eprintln!("{copied} bytes copied to {}", to.display());
            Ok(Outcome::Done)
        }
        LogCommand::NewEpoch { folder } => {
            read(folder)?;
            let clock = Arc::new(SystemClock);
            let log = SegmentLog::open_moved(folder, Sync::Always, retention, clock)
                .map_err(|error| error.to_string())?;
            log.close().map_err(|error| error.to_string())?;
            eprintln!("epoch {} has begun in {}", log.epochs().current(), folder.display());
            Ok(Outcome::Done)
        }
    }
}

fn read(folder: &Path) -> Result<LogFolder, String> {
    LogFolder::read(folder).map_err(|error| error.to_string())
}

fn check(folder: &Path) -> Result<Outcome, String> {
    let log = read(folder)?;
    let reports = log.report().map_err(|error| format!("{}: {error}", folder.display()))?;
    let (mut held, mut lost) = (0, 0);
    for report in &reports {
        let (name, bytes) = (&report.name, report.bytes);
        match report.messages {
            Some((first, newest, count)) => {
                held += count;
                print(&format!("{name}: {count} messages, {first} to {newest}, {bytes} bytes"))?;
            }
            None => print(&format!("{name}: no messages, {bytes} bytes"))?,
        }
        for (first, through) in &report.damaged {
            let count = through + 1 - first;
            lost += count;
            print(&format!("{name}: {first} to {through} cannot be read: {count} lost"))?;
        }
        for remark in &report.remarks {
            print(&format!("{name}: {remark}"))?;
        }
    }
    print(&format!("{held} messages can be read, {lost} are lost"))?;
    Ok(if lost == 0 { Outcome::Done } else { Outcome::Refused })
}

fn export(folder: &Path, topic: Option<&Filter>, since: &Since) -> Result<Outcome, String> {
    let log = read(folder)?;
    let (oldest, newest) = log.bounds();
    let (mut after, mut from_us) = (oldest, 0);
    match since {
        Since::All => {}
        Since::Time(seconds) => from_us = seconds.saturating_mul(1_000_000),
        Since::Ago(duration) => {
            let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
            from_us = unix_micros().saturating_sub(micros);
        }
        Since::Id(id) => match log.epochs().map(|epochs| epochs.locate(*id, newest)) {
            Some(Located::At(place) | Located::Lost(place)) => after = place,
            _ => return Err(format!("the log in {} does not know {id}", folder.display())),
        },
        other => return Err(format!("--since {other} means nothing here: an id, a time or all")),
    }
    if from_us > 0 {
        // What came after the last older message, as for every reader.
        log.messages(|message| {
            if message.time_us < from_us {
                after = message.seq;
            }
            Ok(())
        })
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let written = log.messages(|message| {
        let is_wanted = topic.is_none_or(|topic| topic.matches(message.topic));
        if is_wanted && message.seq > after {
            out.write_all(message.json)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    });
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(Outcome::Done),
    }
}

fn import(folder: &Path, retention: Retention) -> Result<Outcome, String> {
    if LogFolder::read(folder).is_ok() {
        return Err(format!("there is a log in {} already; name a new folder", folder.display()));
    }
    let retention = Retention { bytes: u64::MAX, ..retention };
    let log = SegmentLog::open(folder, Sync::Os, retention, Arc::new(SystemClock))
        .map_err(|error| error.to_string())?;
    let mut count = 0_u64;
    for (index, line) in io::stdin().lock().lines().enumerate() {
        let wrong = |why: &str| format!("line {}: {why}", index + 1);
        let line = line.map_err(|error| wrong(&error.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let event = Event::parse(line.as_bytes()).map_err(|error| wrong(&error.to_string()))?;
        if !event.event.is_published() {
            continue;
        }
        let time_us = if event.time_us > 0 { event.time_us } else { event.time * 1_000_000 };
        let draft = event.into_draft().map_err(|error| wrong(error.text()))?;
        let now = Now { unix_us: time_us, ..SystemClock.now() };
        log.append(&[draft.into()], now).map_err(|error| wrong(&error.to_string()))?;
        count += 1;
    }
    log.close().map_err(|error| error.to_string())?;
    eprintln!("{count} messages stored in {}", folder.display());
    Ok(Outcome::Done)
}
