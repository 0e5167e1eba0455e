//! What tells others of messages who do not read here: a reader of the whole log, with one cursor,
//! as any other. It is never waited for, and it keeps nothing but how far it came (`progress`):
//! while those whom it tells are slow, what they are not told of is dropped, and counted
//! (`outbound`).
//!
//! - `upstream`: another server that wakes phones; `push`: browsers that are not open
//!
//! It begins no connection itself, and the log does not know of it.

mod progress;
mod push;
mod upstream;

use std::future::poll_fn;

use doorbell_protocol::{Error, Since};
use tokio::time::Instant;

pub use self::progress::{RelayFile, RelayProgress};
pub use self::push::{AskedPush, Push, PushContact, PushOrigin, copy_subscriptions};
pub use self::upstream::Upstream;
use crate::access::Gate;
use crate::cursor::{Batch, Cursor, PageLimit};
use crate::limits::{RELAY_IDLE, RELAY_RETRY};
use crate::outbound::Outbound;
use crate::session::{Nobody, Wait, Wakeup};
use crate::stop::Stop;

/// Tells others of messages.
#[derive(Debug)]
pub struct Relay {
    gate: Gate,
    outbound: Outbound,
    upstream: Option<Upstream>,
    push: Option<Push>,
    progress: RelayProgress,
}

impl Relay {
    /// What is behind the gate is told to these by way of `outbound`.
    pub fn new(
        gate: Gate,
        outbound: Outbound,
        upstream: Option<Upstream>,
        push: Option<Push>,
        progress: RelayProgress,
    ) -> Self {
        Self { gate, outbound, upstream, push, progress }
    }

    /// Tells of what the last process did not come to tell of, and of whatever is published from
    /// there on, while there is somebody to tell, until the stop.
    pub async fn run(self, file: Option<RelayFile>, stop: Stop) {
        let access = self.gate.own();
        tokio::join!(self.tell_all(&stop), self.progress.keep(&access, file));
    }

    async fn tell_all(&self, stop: &Stop) {
        while let Some(Some(from)) = stop.run_until_cancelled(self.somebody()).await {
            self.progress.reach(from);
            if let Err(error) = self.follow(from, stop).await {
                tracing::warn!(%error, "the log could not be read to tell others of messages");
                stop.run_until_cancelled(tokio::time::sleep(RELAY_RETRY)).await;
            }
        }
    }

    /// Waits for somebody to tell, and from which place on; `None` if nobody will ever come.
    async fn somebody(&self) -> Option<u64> {
        if self.upstream.is_some() {
            return Some(self.progress.reached());
        }
        let mut begun = self.push.as_ref()?.begun();
        *begun.wait_for(Option::is_some).await.ok()?
    }

    /// Reads on from a place until there is nobody to tell, or the stop.
    async fn follow(&self, from: u64, stop: &Stop) -> Result<(), Error> {
        let access = self.gate.own();
        let all = access.readable(">".parse()?)?;
        let mut cursor = Cursor::open(&access, all, &Since::Id(access.id(from))).await?;
        let mut wait = Wait::new(stop);
        while self.upstream.is_some() || self.push.as_ref().is_some_and(|push| !push.is_empty()) {
            let due = |_: &Nobody, _: &Cursor| Instant::now() + RELAY_IDLE;
            let limit = PageLimit::BATCH;
            let wakeup = poll_fn(|cx| wait.poll(&mut cursor, limit, &mut Nobody, due, cx)).await;
            match wakeup {
                Wakeup::Stop => break,
                Wakeup::Heard | Wakeup::Due => {}
                Wakeup::News(Ok(batch)) => self.tell(&batch),
                Wakeup::News(Err(error)) => {
                    tracing::warn!(%error, "the log could not be read to tell others of messages");
                    stop.run_until_cancelled(tokio::time::sleep(RELAY_RETRY)).await;
                }
            }
        }
        Ok(())
    }

    fn tell(&self, batch: &Batch) {
        if let Some(gap) = &batch.gap {
            tracing::warn!(gap = gap.to_json(), "others are not told of messages that are lost");
        }
        for message in &batch.messages {
            if let Some(upstream) = &self.upstream {
                upstream.tell(message, &self.outbound, &self.progress);
            }
            if let Some(push) = &self.push {
                push.tell(message, &self.progress);
            }
            self.progress.reach(message.seq());
        }
    }
}
