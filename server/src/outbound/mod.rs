//! The way out: whatever the server sends to somebody else goes through here, and nothing else
//! connects to anybody.
//!
//! It is bounded on every side, because others name whom it calls, and those need not answer: so
//! many errands of a kind wait, so many of them are under way, each for so long. One for which
//! there is no room is dropped. That is counted, as is each that fails, and told in the server's
//! own log; nobody who publishes waits for any of it.
//!
//! - `address`: which addresses may be called; `client`: one request
//! - `mail`: messages that go out as mail
//! - `monitor`: what the servers of a cluster say of themselves
//!
//! It knows nothing of the log.

mod address;
mod client;
mod mail;
#[cfg(feature = "cluster")]
mod monitor;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use url::Url;

use self::client::Client;
pub use self::client::{Failure, OutboundAnswer, OutboundRequest};
pub use self::mail::{MailServer, MailTls, Mailer, mail_address};
#[cfg(feature = "cluster")]
pub use self::monitor::ClusterMonitor;
use crate::limits::{
    OUTBOUND_RUNNING_MAX, OUTBOUND_SETTLE_MAX, OUTBOUND_TOLD_EVERY, OUTBOUND_WAITING_MAX,
    OUTBOUND_WHOLE_MAX,
};
use crate::stop::Stop;

/// What something is sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// To have another server wake phones.
    Upstream,
    /// To send mail.
    Mail,
    /// To push to browsers.
    Push,
}

impl Errand {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Upstream, Self::Mail, Self::Push];

    /// Its name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Mail => "mail",
            Self::Push => "push",
        }
    }
}

/// What became of an errand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrandOutcome {
    /// It was done.
    Sent,
    /// It was not.
    Failed,
    /// There was no room for it.
    Dropped,
}

impl ErrandOutcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sent, Self::Failed, Self::Dropped];

    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// The way out. Clones share it.
#[derive(Debug, Clone)]
pub struct Outbound(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    client: Client,
    queues: [Queue; Errand::ALL.len()],
    tasks: TaskTracker,
    stop: Stop,
}

/// The errands of one kind.
#[derive(Debug)]
struct Queue {
    /// Permits to be there at all.
    room: Arc<Semaphore>,
    /// Permits to be under way.
    running: Semaphore,
    /// How many had each outcome.
    counts: [AtomicU64; ErrandOutcome::ALL.len()],
    untold: Mutex<Untold>,
}

/// What the server's own log was not told yet.
#[derive(Debug, Default)]
struct Untold {
    failed: u64,
    dropped: u64,
    /// Why the last one failed.
    why: String,
}

impl Queue {
    fn new() -> Self {
        Self {
            room: Arc::new(Semaphore::new(OUTBOUND_WAITING_MAX)),
            running: Semaphore::new(OUTBOUND_RUNNING_MAX),
            counts: Default::default(),
            untold: Mutex::default(),
        }
    }

    fn note(&self, outcome: ErrandOutcome, why: impl FnOnce() -> String) {
        self.counts[outcome as usize].fetch_add(1, Ordering::Relaxed);
        match outcome {
            ErrandOutcome::Sent => {}
            ErrandOutcome::Dropped => self.untold().dropped += 1,
            ErrandOutcome::Failed => {
                let mut untold = self.untold();
                untold.failed += 1;
                untold.why = why();
            }
        }
    }

    fn tell(&self, errand: Errand) {
        let Untold { failed, dropped, why } = std::mem::take(&mut *self.untold());
        let errand = errand.name();
        if failed > 0 {
            tracing::warn!(errand, failed, why, "calls to others failed");
        }
        if dropped > 0 {
            let limit = OUTBOUND_WAITING_MAX;
            tracing::warn!(errand, dropped, limit, "calls to others were dropped: too many wait");
        }
    }

    fn untold(&self) -> MutexGuard<'_, Untold> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbound {
    /// Nothing is on its way yet. Beside the public internet these networks may be called.
    pub fn new(allowed: Vec<IpNet>, tasks: TaskTracker, stop: Stop) -> Self {
        let queues = Errand::ALL.map(|_| Queue::new());
        Self(Arc::new(Shared { client: Client::new(allowed), queues, tasks, stop }))
    }

    fn queue(&self, errand: Errand) -> &Queue {
        &self.0.queues[errand as usize]
    }

    /// Whether a server may be called, as far as that can be told by its name alone.
    ///
    /// # Errors
    ///
    /// That it may not.
    pub fn check(&self, url: &Url) -> Result<(), Failure> {
        self.0.client.check(url)
    }

    /// Sets out on an errand, which says why if it fails; drops it if too many of its kind wait.
    /// It is counted either way.
    pub fn begin(
        &self,
        errand: Errand,
        doing: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        let Ok(room) = self.queue(errand).room.clone().try_acquire_owned() else {
            return self.note_dropped(errand);
        };
        let outbound = self.clone();
        self.0.tasks.spawn(async move {
            let stopped = async {
                outbound.0.stop.cancelled().await;
                tokio::time::sleep(OUTBOUND_SETTLE_MAX).await;
            };
            let done = tokio::select! {
                done = doing => done,
                () = stopped => Err("the server has stopped".to_owned()),
            };
            let queue = outbound.queue(errand);
            match done {
                Ok(()) => queue.note(ErrandOutcome::Sent, String::new),
                Err(why) => queue.note(ErrandOutcome::Failed, || why),
            }
            drop(room);
        });
    }

    /// Counts an errand that was not begun for want of room.
    pub fn note_dropped(&self, errand: Errand) {
        self.queue(errand).note(ErrandOutcome::Dropped, String::new);
    }

    /// Sends a request once it is its turn.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    pub async fn send(
        &self,
        errand: Errand,
        request: OutboundRequest,
    ) -> Result<OutboundAnswer, Failure> {
        self.in_turn(errand, self.0.client.send(request)).await?
    }

    /// Does something once it is its turn, in the time that a call may take.
    async fn in_turn<T>(
        &self,
        errand: Errand,
        doing: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        // It is never closed.
        let _running = self.queue(errand).running.acquire().await;
        let done = timeout(OUTBOUND_WHOLE_MAX, doing).await;
        done.map_err(|_| Failure::Late(OUTBOUND_WHOLE_MAX))
    }

    /// How many errands of each kind had each outcome.
    pub fn counts(&self) -> impl Iterator<Item = (Errand, ErrandOutcome, u64)> {
        Errand::ALL.into_iter().flat_map(move |errand| {
            let counts = &self.queue(errand).counts;
            let count = |outcome: ErrandOutcome| counts[outcome as usize].load(Ordering::Relaxed);
            ErrandOutcome::ALL.map(|outcome| (errand, outcome, count(outcome)))
        })
    }

    /// Tells the server's own log now and then what failed or was dropped, until the stop.
    pub async fn keep(self) {
        let pause = || tokio::time::sleep(OUTBOUND_TOLD_EVERY);
        while self.0.stop.run_until_cancelled(pause()).await.is_some() {
            self.tell();
        }
    }

    /// Tells the server's own log what failed or was dropped since the last time.
    pub fn tell(&self) {
        for errand in Errand::ALL {
            self.queue(errand).tell(errand);
        }
    }
}

/// The answer of a server that was called, as the outcome of an errand.
///
/// # Errors
///
/// That it is none, or a refusal.
pub fn accepted(answered: Result<OutboundAnswer, Failure>) -> Result<(), String> {
    match answered {
        Ok(OutboundAnswer { status: 200..=299, .. }) => Ok(()),
        Ok(OutboundAnswer { status, said, .. }) => Err(format!("{status}: {said}")),
        Err(failure) => Err(failure.to_string()),
    }
}
