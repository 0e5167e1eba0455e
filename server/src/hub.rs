//! One log, with what may be asked of it: publish drafts, read a page, wait for news.
//!
//! The hub joins the log, the tail and the writer. It names no transport.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use doorbell_protocol::{Code, Epoch, Error, Filter, Id, Topic};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Ready, ready};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::{Clock, Now};
use crate::counters::Sizes;
use crate::limits::{LOG_READERS_MAX, SCHEDULE_LOOK, UNREACHABLE_RETRY};
use crate::log::{
    Bounds, Entry, Expired, Finding, Fronts, HeadSearch, Latest, Located, Log, LogError, Newest,
    Owner, Page, PageLimit, Query, Remote, Retention, Selection, Storage,
};
use crate::message::Message;
use crate::schedule::{self, Schedule};
use crate::stop::Stop;
use crate::tail::{NamesClaim, Registration, Tail};
use crate::visitors::{Bucket, Visitor};
use crate::writer::{Answer, Health, Pending, PublishRoom, Writer, refusal};

/// One log with its readers and publishers. Clones share it.
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

struct Shared {
    /// Where everything is, and what is older than the tail is read from.
    log: Arc<dyn Log>,
    /// The newest of it, and the readers that wait.
    tail: Arc<Tail>,
    /// The way into the log.
    writer: Writer,
    clock: Arc<dyn Clock>,
    retention_age: Duration,
    /// What waits for its time.
    schedule: Arc<Schedule>,
    /// Ends with the hub.
    _retention: RetentionThread,
    /// Permits to look into the log on disk.
    readers: Arc<Semaphore>,
    limits: WireLimits,
}

/// A page that is read.
pub(crate) enum PageRead {
    /// It came from memory.
    Done(Page),
    /// It comes from the log.
    Later(LaterPage),
}

/// A page that comes from the log. Dropped before it is there, it changes nothing.
///
/// It queues for its permit in a task of its own: its reader may have turned to something else when
/// the permit comes, and one that nobody takes would be lost to everybody.
#[derive(Debug)]
pub(crate) struct LaterPage(AbortOnDropHandle<Result<Page, Error>>);

impl Future for LaterPage {
    type Output = Result<Page, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = |_| Error::new(Code::Internal, "the log could not be read");
        Pin::new(&mut self.0).poll(context).map(|page| page.map_err(ended)?)
    }
}

/// A search among the heads of topics: done, or on its way.
type Search<'a, F> = Either<Ready<Result<F, Error>>, BoxFuture<'a, Result<F, Error>>>;

/// The limits of the wire that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireLimits {
    /// Bytes of a message text.
    pub message_bytes: usize,
    /// Topics without a wildcard in one filter.
    pub filter_topics: usize,
    /// Filters of one cursor.
    pub subscriptions: usize,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("bounds", &self.bounds()).finish_non_exhaustive()
    }
}

impl Hub {
    /// Starts the writer over an opened log. `room` bounds the publishes in flight.
    pub fn start(
        log: Arc<dyn Log>,
        room: impl Into<PublishRoom>,
        retention: &Retention,
        limits: WireLimits,
        clock: Arc<dyn Clock>,
        schedule: Schedule,
    ) -> std::io::Result<Self> {
        let tail = Tail::follow(log.as_ref());
        // A message may stay a tenth of its time longer than retention says.
        let expire_every =
            (retention.age / 10).clamp(Duration::from_millis(100), Duration::from_secs(10));
        let writer = Writer::start(log.clone(), tail.clone(), room.into(), clock.clone())?;
        let readers = Arc::new(Semaphore::new(LOG_READERS_MAX));
        let retention_thread = RetentionThread::start(log.clone(), clock.clone(), expire_every)?;
        Ok(Self(Arc::new(Shared {
            log,
            tail,
            writer,
            clock,
            retention_age: retention.age,
            schedule: Arc::new(schedule),
            _retention: retention_thread,
            readers,
            limits,
        })))
    }

    /// Stores a draft, and returns the message once it is visible.
    #[cfg(test)]
    pub(crate) async fn publish(&self, draft: doorbell_protocol::Draft) -> crate::writer::Answer {
        self.submit(vec![draft.into()]).await.await.pop().expect("an answer to each draft")
    }

    /// The first half of a publish: once this returns, the drafts have their place after those
    /// submitted before them. What it returns is the second half, and resolves to the answer to
    /// each. If the caller goes away after that, they are stored all the same.
    pub async fn submit(&self, entries: Vec<Entry>) -> Pending {
        if !self.0.schedule.concerns(&entries) {
            return self.0.writer.submit(entries).await;
        }
        let count = entries.len();
        let hub = self.clone();
        let submitting = async move { hub.submit_in_turn(entries).await };
        #[allow(
            clippy::disallowed_methods,
            reason = "it is waited for, and ends what it began if nobody waits any more"
        )]
        let answers = tokio::spawn(submitting).await;
        Pending::answered(answers.unwrap_or_else(|_| {
            let ended = || Err(Error::new(Code::Internal, "the publish ended early"));
            (0..count).map(|_| ended()).collect()
        }))
    }

    /// Publishes, one after the other, what is to wait or takes away what does.
    async fn submit_in_turn(&self, entries: Vec<Entry>) -> Vec<Answer> {
        let _turn = match self.0.schedule.turn().await {
            Ok(turn) => turn,
            Err(error) => return vec![Err(error); entries.len()],
        };
        let mut answers = Vec::with_capacity(entries.len());
        for entry in entries {
            answers.push(self.submit_one(entry).await);
        }
        answers
    }

    async fn submit_one(&self, entry: Entry) -> Answer {
        let schedule = &self.0.schedule;
        let waits = entry.draft.due_us().is_some();
        if waits {
            schedule.check_room(&entry.owner, self.now())?;
        }
        let none = || Err(Error::new(Code::Internal, "there was no answer"));
        let answers = self.0.writer.submit(vec![entry.clone()]).await.await;
        let message = answers.into_iter().next().unwrap_or_else(none)?;
        let now = self.now();
        if waits {
            let (schedule, added) = (schedule.clone(), message.clone());
            self.off_thread(move || schedule.add(added, &entry, now))
                .await?
                .map_err(|error| refusal(&error))?;
        } else if let Some(name) = schedule::name_in(&message) {
            schedule.take(&name, message.seq(), now);
        }
        Ok(message)
    }

    /// Publishes what waits as it is due, until the stop.
    pub async fn deliver_scheduled(self, stop: Stop) {
        let deliver = async {
            while let Err(error) = self.settle_scheduled().await {
                tracing::error!(%error, "what waits for its time could not be settled");
                tokio::time::sleep(SCHEDULE_LOOK).await;
            }
            self.0.schedule.begin();
            loop {
                let all_went = self.publish_due().await;
                let next = self.0.schedule.until_next(self.now()).filter(|_| all_went);
                let wait = next.map_or(SCHEDULE_LOOK, |next| next.min(SCHEDULE_LOOK));
                tokio::time::sleep(wait).await;
            }
        };
        // What is cut off in the midst of it is settled at the next start.
        tokio::select! {
            () = stop.cancelled() => {}
            () = deliver => {}
        }
    }

    /// Takes away what was published, or replaced, by a process that died before it forgot it.
    async fn settle_scheduled(&self) -> Result<(), Error> {
        for (topic, first) in self.0.schedule.topics() {
            let filter = Filter::from(topic);
            let newest = self.newest(&filter).await?;
            let mut after = first;
            while after < newest {
                let filter = filter.clone();
                let page = self
                    .blocking(move |log| {
                        let selection = Selection(std::slice::from_ref(&filter));
                        let limit = PageLimit::BATCH;
                        log.read(&Query { selection, after, until: newest, limit })
                    })
                    .await?;
                for message in &page.messages {
                    if let Some(name) = schedule::name_in(message) {
                        self.0.schedule.take(&name, message.seq(), self.now());
                    }
                }
                after = page.through.max(after + 1);
            }
        }
        Ok(())
    }

    /// Publishes what is due; returns whether all of it went.
    async fn publish_due(&self) -> bool {
        let Ok(_turn) = self.0.schedule.turn().await else { return false };
        let due = self.0.schedule.due(self.now());
        let due = due.into_iter().filter_map(|(name, waiting)| Some((name, waiting.entry()?)));
        let (due, entries): (Vec<_>, Vec<_>) = due.unzip();
        let answers =
            if entries.is_empty() { Vec::new() } else { self.0.writer.submit(entries).await.await };
        let mut went = 0;
        for (name, answer) in due.iter().zip(&answers) {
            if let Ok(message) = answer {
                self.0.schedule.take(name, message.seq(), self.now());
                went += 1;
            }
        }
        let (schedule, now) = (self.0.schedule.clone(), self.now());
        if schedule.is_to_be_kept()
            && let Ok(Err(error)) = self.off_thread(move || schedule.keep(now)).await
        {
            tracing::warn!(%error, "the file of messages that wait could not be brought up to date");
        }
        went == due.len()
    }

    /// Messages that wait for a filter, as they are due.
    ///
    /// # Errors
    ///
    /// They are not at hand.
    pub(crate) async fn scheduled(&self, filter: &Filter) -> Result<Vec<Message>, Error> {
        let _turn = self.0.schedule.turn().await?;
        Ok(self.0.schedule.list(filter))
    }

    /// Does what may wait for the disk.
    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|_| Error::new(Code::Internal, "what was begun ended early"))
    }

    /// The newest message ever published for a filter, as far as readers may see it; 0 if none was.
    pub async fn newest(&self, filter: &Filter) -> Result<u64, Error> {
        let newest = self.search(filter, Newest::default()).await?;
        Ok(newest.seq().min(self.visible()))
    }

    /// The newest message for a filter that retention let go; 0 if none was.
    pub(crate) async fn newest_expired(&self, filter: &Filter) -> Result<u64, Error> {
        Ok(self.search(filter, Expired::default()).await?.seq())
    }

    /// The newest held message of each topic that a filter selects, rising, at most the `limit`
    /// newest ones.
    pub(crate) async fn latest(&self, filter: &Filter, limit: usize) -> Result<Vec<u64>, Error> {
        Ok(self.search(filter, Latest::new(limit)).await?.seqs())
    }

    /// The newest seq that readers may see.
    pub fn visible(&self) -> u64 {
        self.0.tail.visible()
    }

    /// The place as readers name it.
    pub fn id(&self, place: u64) -> Id {
        self.0.log.epochs().id(place)
    }

    /// What a place that a reader names means.
    pub(crate) fn locate(&self, id: Id) -> Located {
        self.0.log.epochs().locate(id, self.visible())
    }

    /// Waits for a place that is ahead of what may be seen here: another server of the same log may
    /// have given it out.
    ///
    /// # Errors
    ///
    /// The log is out of reach.
    pub(crate) async fn reach(&self, id: Id) -> Result<(), Error> {
        if id.seq() > self.visible() && self.0.log.is_remote() && id.epoch() == self.epoch() {
            self.blocking(move |log| log.reach(id.seq())).await?;
        }
        Ok(())
    }

    /// The start of the server that is running.
    pub fn epoch(&self) -> Epoch {
        self.0.log.epochs().current()
    }

    /// What time it is.
    pub fn now(&self) -> Now {
        self.0.clock.now()
    }

    /// How it stands with the files of the log, if there are any.
    pub fn storage(&self) -> Option<Storage> {
        self.0.log.storage()
    }

    /// How it stands with the machines that have the log, if they are others.
    pub fn remote(&self) -> Option<Remote> {
        self.0.log.remote()
    }

    /// The way to the other servers of the log, if there may be any.
    pub(crate) fn fronts(&self) -> Option<Arc<dyn Fronts>> {
        self.0.log.fronts()
    }

    /// Why nothing can be stored just now, if those are out of reach.
    pub fn outage(&self) -> Option<String> {
        self.0.log.outage()
    }

    /// What the log holds.
    pub fn bounds(&self) -> Bounds {
        self.0.log.bounds()
    }

    /// Bytes held of an owner's messages.
    pub(crate) fn held_of(&self, owner: &Owner) -> u64 {
        self.0.log.held_of(owner)
    }

    /// After how long the oldest of what is held is let go, if nothing is published.
    pub(crate) fn next_expiry(&self) -> Duration {
        let oldest_us = self.storage().and_then(|storage| storage.oldest_us);
        let age_us = self.now().unix_us.saturating_sub(oldest_us.unwrap_or(u64::MAX));
        self.0.retention_age.saturating_sub(Duration::from_micros(age_us))
    }

    /// The limits of the wire.
    pub fn limits(&self) -> WireLimits {
        self.0.limits
    }

    /// Whether a topic is known.
    pub fn has_topic(&self, topic: &Topic) -> bool {
        self.0.log.heads().get(topic).is_some()
    }

    /// How many topics are known.
    pub fn topics(&self) -> usize {
        self.0.log.heads().len()
    }

    /// Whether publishes can be stored.
    pub fn health(&self) -> Health {
        self.0.writer.health()
    }

    /// Messages of each commit that succeeded.
    pub fn commit_sizes(&self) -> &Sizes {
        self.0.writer.commit_sizes()
    }

    /// Why none can be stored any more, if that is so.
    pub fn failure(&self) -> Option<String> {
        self.0.writer.failure()
    }

    /// Stores what waits and closes the log. Blocks; publishes are refused from here on.
    pub fn close(&self) {
        self.0.writer.close();
    }

    /// A claim of a visitor's for nothing yet.
    pub(crate) fn claim(&self, visitor: &Visitor) -> NamesClaim {
        NamesClaim::new(&self.0.tail, visitor)
    }

    pub(crate) fn register(&self, filters: &[Filter]) -> Registration {
        self.0.tail.register(filters)
    }

    /// Reads a page of what is visible: at once from memory if that reaches back far enough, else
    /// from the log on a thread that may block, once its reader has not had too much. A reader that
    /// waits is not told that a log on other machines is out of reach: it waits for that too.
    pub(crate) fn read(
        &self,
        filters: &[Filter],
        (after, until): (u64, u64),
        limit: PageLimit,
        waits: bool,
        visitor: &Visitor,
    ) -> PageRead {
        let query = Query { selection: Selection(filters), after, until, limit };
        if let Some(page) = self.0.tail.read(&query) {
            return PageRead::Done(page);
        }
        let until = until.min(self.visible());
        let (hub, filters): (_, Arc<[Filter]>) = (self.clone(), filters.into());
        let turn = visitor.clone().turn(Bucket::Replay);
        let read = async move {
            turn.await;
            loop {
                let filters = filters.clone();
                let read = move |log: &dyn Log| {
                    log.read(&Query { selection: Selection(&filters), after, until, limit })
                };
                match hub.blocking(read).await {
                    Err(error) if waits && error.code() == Code::LogUnreachable => {
                        tokio::time::sleep(UNREACHABLE_RETRY).await;
                    }
                    read => break read,
                }
            }
        };
        #[allow(
            clippy::disallowed_methods,
            reason = "it ends with its reader, which is waited for"
        )]
        let task = tokio::spawn(read);
        PageRead::Later(LaterPage(AbortOnDropHandle::new(task)))
    }

    pub(crate) async fn seek(&self, time_us: u64) -> Result<u64, Error> {
        self.blocking(move |log| log.seek(time_us)).await
    }

    /// Searches among the heads of all topics: at once if that is soon done, else on a thread that
    /// may block.
    ///
    /// What it returns is small: readers that wait hold the room for it.
    fn search<F: Finding>(&self, filter: &Filter, found: F) -> Search<'_, F> {
        match HeadSearch::new(filter, found).go_on(self.0.log.heads()) {
            ControlFlow::Break(found) => Either::Left(ready(Ok(found))),
            ControlFlow::Continue(search) => {
                let finish = self.blocking(move |log| Ok(search.finish(log.heads())));
                Either::Right(finish.boxed())
            }
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Log) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, Error> {
        let internal = || Error::new(Code::Internal, "the log could not be read");
        let permit = self.0.readers.clone().acquire_owned().await.map_err(|_| internal())?;
        let log = self.0.log.clone();
        let result = tokio::task::spawn_blocking(move || {
            // Held until the work ends, also when nobody waits for it any more.
            let _permit = permit;
            work(log.as_ref())
        })
        .await;
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error @ LogError::Unreachable(_))) => Err(refusal(&error)),
            Ok(Err(error)) => {
                tracing::error!(%error, "reading the log failed");
                Err(internal())
            }
            Err(error) => {
                tracing::error!(%error, "a reader of the log ended early");
                Err(internal())
            }
        }
    }
}

/// Has retention look at the log now and then, until it is dropped.
#[derive(Debug)]
struct RetentionThread {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RetentionThread {
    fn start(log: Arc<dyn Log>, clock: Arc<dyn Clock>, every: Duration) -> std::io::Result<Self> {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let run = move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(every) {
                log.expire(clock.now());
            }
        };
        let thread = std::thread::Builder::new().name("log-retention".into()).spawn(run)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for RetentionThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("retention ended in a panic");
        }
    }
}
