//! What can be done with the folder of a log: verify, read, copy and fill it.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use doorbell_protocol::{Filter, GapReason, Since};

#[cfg(feature = "cluster")]
use super::cluster;
use super::{Outcome, import, print};
use crate::clock::{SystemClock, unix_micros};
use crate::files::{FILES_FOLDER, copy_files};
#[cfg(feature = "cluster")]
use crate::log::ClusterSettings;
use crate::log::{Located, Log, LogFolder, Retention, SegmentLog, Sync};
use crate::relay::copy_subscriptions;

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
        /// The data folder, or none with --cluster
        folder: Option<PathBuf>,
        /// Which topics, such as 'orders.>' [default: all]
        #[arg(long, value_name = "FILTER")]
        topic: Option<Filter>,
        /// From when on: an id, unix seconds, a duration such as 10m, or all
        #[arg(long, value_name = "SINCE", default_value = "all")]
        since: Since,
    },
    /// Store messages that come as JSON lines on standard input in a new log; their times stay
    Import {
        /// The data folder, or none with --cluster; there is no log yet
        folder: Option<PathBuf>,
    },
    /// Copy the log as it is at this moment, with what is kept beside it: files, what waits for its
    /// time, subscriptions; a server may be running
    Backup {
        /// The data folder
        folder: PathBuf,
        /// A new folder
        to: PathBuf,
    },
    /// Give the places that come another beginning, after a machine or its disk was put back to an
    /// earlier state; the server has to be stopped
    NewEpoch {
        /// The data folder, or none with --cluster
        folder: Option<PathBuf>,
    },
}

/// Where the log is that a command is about, beside the folder that it names.
#[derive(Debug)]
pub struct LogHome {
    /// What a new log keeps.
    pub retention: Retention,
    /// The stream, if it is on other machines.
    #[cfg(feature = "cluster")]
    pub cluster: Option<ClusterSettings>,
}

/// Does it.
pub(super) fn run(command: &LogCommand, home: &LogHome) -> Result<Outcome, String> {
    #[cfg(feature = "cluster")]
    if let Some(settings) = &home.cluster {
        return match command {
            LogCommand::Export { folder: None, topic, since } => {
                cluster::export(settings, topic.as_ref(), since)
            }
            LogCommand::Import { folder: None } => cluster::import(settings, home.retention),
            LogCommand::NewEpoch { folder: None } => cluster::new_epoch(settings),
            LogCommand::Check { .. } | LogCommand::Backup { .. } => {
                Err("a stream is verified and copied by the tools of NATS".to_owned())
            }
            _ => Err("a data folder and --cluster exclude each other".to_owned()),
        };
    }
    let retention = home.retention;
    let named =
        |folder: &Option<PathBuf>| folder.clone().ok_or_else(|| "name the data folder".to_owned());
    match command {
        LogCommand::Check { folder } => check(folder),
        LogCommand::Export { folder, topic, since } => {
            export(&named(folder)?, topic.as_ref(), since)
        }
        LogCommand::Import { folder } => import_into(&named(folder)?, retention),
        LogCommand::Backup { folder, to } => backup(folder, to),
        LogCommand::NewEpoch { folder } => {
            let folder = named(folder)?;
            read(&folder)?;
            let clock = Arc::new(SystemClock);
            let log = SegmentLog::open_moved(&folder, Sync::Always, retention, clock)
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

fn backup(folder: &Path, to: &Path) -> Result<Outcome, String> {
    let copied = read(folder)?.copy(to).map_err(|error| error.to_string())?;
    // After the log: what its messages tell of was there before them.
    let files = copy_files(&folder.join(FILES_FOLDER), &to.join(FILES_FOLDER))
        .map_err(|error| format!("cannot copy the files to {}: {error}", to.display()))?;
    copy_subscriptions(folder, to)
        .map_err(|error| format!("cannot copy the subscriptions to {}: {error}", to.display()))?;
    eprintln!("{} bytes copied to {}", copied + files, to.display());
    Ok(Outcome::Done)
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
        for run in &report.missing {
            let (first, through, count) = (run.first, run.through, run.count());
            let why = match run.reason {
                GapReason::Damaged => "cannot be read",
                _ => "are not there: they never reached this disk, or their segment is gone",
            };
            lost += count;
            print(&format!("{name}: {first} to {through} {why}: {count} lost"))?;
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

fn import_into(folder: &Path, retention: Retention) -> Result<Outcome, String> {
    if LogFolder::read(folder).is_ok() {
        return Err(format!("there is a log in {} already; name a new folder", folder.display()));
    }
    let retention = Retention { bytes: u64::MAX, ..retention };
    let log = SegmentLog::open(folder, Sync::Os, retention, Arc::new(SystemClock))
        .map_err(|error| error.to_string())?;
    let count = import::stored_lines(&log)?;
    log.close().map_err(|error| error.to_string())?;
    eprintln!("{count} messages stored in {}", folder.display());
    Ok(Outcome::Done)
}
