//! What can be done with a log on other machines: read it, fill it, begin an epoch.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use doorbell_protocol::{Filter, Since};

use super::Outcome;
use super::import::stored_lines;
use crate::clock::unix_micros;
use crate::log::{
    ClusterSettings, Feed, JetStreamLog, Located, Log, PageLimit, Query, Retention, Selection,
    begin_epoch,
};
use crate::message::Message;

/// Nobody is told: what is asked for is read.
#[derive(Debug)]
struct Nobody;

impl Feed for Nobody {
    fn push(&self, _: &[Message]) {}

    fn trim(&self, _: u64) {}

    fn skip(&self, _: u64) {}
}

fn open(settings: &ClusterSettings, retention: Option<Retention>) -> Result<JetStreamLog, String> {
    let log = JetStreamLog::open(settings, retention).map_err(|fault| fault.to_string())?;
    log.follow(Arc::new(Nobody));
    Ok(log)
}

/// Prints the messages as JSON lines, oldest first.
pub(super) fn export(
    settings: &ClusterSettings,
    topic: Option<&Filter>,
    since: &Since,
) -> Result<Outcome, String> {
    let log = open(settings, None)?;
    // What is stored by now has to be there.
    log.reach(u64::MAX).map_err(|error| error.to_string())?;
    let until = log.bounds().last;
    let seek = |time_us| log.seek(time_us).map_err(|error| error.to_string());
    let mut after = match since {
        Since::All => 0,
        Since::Time(seconds) => seek(seconds.saturating_mul(1_000_000))?,
        Since::Ago(duration) => {
            let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
            seek(unix_micros().saturating_sub(micros))?
        }
        Since::Id(id) => match log.epochs().locate(*id, until) {
            Located::At(place) | Located::Lost(place) => place,
            _ => return Err(format!("the stream {} does not know {id}", settings.stream)),
        },
        other => return Err(format!("--since {other} means nothing here: an id, a time or all")),
    };
    let all = || ">".parse().expect("all topics are a filter");
    let filters = [topic.cloned().unwrap_or_else(all)];
    let mut out = BufWriter::new(io::stdout().lock());
    let write = |out: &mut BufWriter<_>, messages: &[Message]| {
        messages.iter().try_for_each(|message| out.write_all(&message.frame().line()))
    };
    while after < until {
        let limit = PageLimit::BATCH;
        let page = log.read(&Query { selection: Selection(&filters), after, until, limit });
        let page = page.map_err(|error| error.to_string())?;
        match write(&mut out, &page.messages) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Outcome::Done),
            written => written.map_err(|error| error.to_string())?,
        }
        after = page.through.max(after + 1);
    }
    out.flush().map_err(|error| error.to_string())?;
    Ok(Outcome::Done)
}

/// Stores messages that come as JSON lines in a stream that is empty or not there yet.
pub(super) fn import(settings: &ClusterSettings, retention: Retention) -> Result<Outcome, String> {
    let log = open(settings, Some(retention))?;
    log.reach(u64::MAX).map_err(|error| error.to_string())?;
    if log.bounds().last > 0 {
        return Err(format!("there are messages in the stream {} already", settings.stream));
    }
    let count = stored_lines(&log)?;
    eprintln!("{count} messages stored in the stream {}", settings.stream);
    Ok(Outcome::Done)
}

/// Begins an epoch: places that were given out before mean what they meant, and those that come
/// are others.
pub(super) fn new_epoch(settings: &ClusterSettings) -> Result<Outcome, String> {
    let epoch = begin_epoch(settings).map_err(|fault| fault.to_string())?;
    eprintln!("epoch {epoch} has begun in the stream {}; restart its fronts", settings.stream);
    Ok(Outcome::Done)
}
