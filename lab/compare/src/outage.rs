//! A failure in the middle of a run, made on purpose: the link goes dark, the server dies and comes
//! back, or readers take nothing for a while. What counts is how soon each contender hears again,
//! and what that costs.

use std::time::{Duration, Instant};

use doorbell_instruments::{Failure, OwnServer};
use serde::Serialize;
use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, sleep_until};

use crate::emulated::Emulated;
use crate::figure::short_time;
use crate::flags::CompareArguments;
use crate::subscriber::Phase;

/// What fails, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase", tag = "what", content = "seconds")]
pub(crate) enum Outage {
    /// Nothing passes between contenders and server, though the server lives.
    #[serde(serialize_with = "seconds")]
    Cut(#[cfg_attr(test, schemars(with = "f64"))] Duration),
    /// The server is killed, and started again after this long.
    #[serde(serialize_with = "seconds")]
    Restart(#[cfg_attr(test, schemars(with = "f64"))] Duration),
    /// No subscriber reads anything.
    #[serde(serialize_with = "seconds")]
    Stall(#[cfg_attr(test, schemars(with = "f64"))] Duration),
}

/// What was asked for.
pub(crate) fn outage(arguments: &CompareArguments) -> Option<Outage> {
    let cut = arguments.cut.map(Outage::Cut);
    let restart = arguments.restart.map(Outage::Restart);
    cut.or(restart).or(arguments.stall.map(Outage::Stall))
}

fn seconds<S: serde::Serializer>(length: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(length.as_secs_f64())
}

impl Outage {
    pub(crate) fn length(self) -> Duration {
        match self {
            Self::Cut(length) | Self::Restart(length) | Self::Stall(length) => length,
        }
    }

    /// What happened, as the beginning of a sentence.
    pub(crate) fn told(self) -> String {
        let length = short_time(self.length().as_secs_f64() * 1e6);
        match self {
            Self::Cut(_) => format!("Nothing passed for {length}"),
            Self::Restart(_) => format!("The server was killed and started again after {length}"),
            Self::Stall(_) => format!("No subscriber read anything for {length}"),
        }
    }
}

/// An outage, and what it takes to make it.
pub(crate) struct Failing<'a> {
    pub(crate) outage: Outage,
    pub(crate) own: Option<&'a Mutex<OwnServer>>,
    pub(crate) link: Option<&'a Emulated>,
}

impl Failing<'_> {
    /// Lets it happen at a moment, and says when it was over.
    pub(crate) async fn happen(
        &self,
        at: Instant,
        phase: &watch::Sender<Phase>,
    ) -> Result<Instant, Failure> {
        sleep_until(at.into()).await;
        match self.outage {
            Outage::Cut(length) => {
                let link = self.link.ok_or_else(|| missing("a link to cut"))?;
                link.set_dark(true);
                sleep(length).await;
                link.set_dark(false);
            }
            Outage::Restart(length) => {
                let own = self.own.ok_or_else(|| missing("a server of its own"))?;
                own.lock().await.restart(length).await?;
            }
            Outage::Stall(length) => {
                phase.send_replace(Phase::Stalled);
                sleep(length).await;
                phase.send_replace(Phase::Running);
            }
        }
        Ok(Instant::now())
    }
}

fn missing(what: &str) -> Failure {
    Failure::Failed(format!("there is not {what}"))
}
