//! One reader that goes on for as long as its peer stays: what lines, WebSockets and the answers of
//! HTTP that do not end have in common.
//!
//! A `Session` owns the cursor, the signs of life, the order to stop, and the way into a group
//! when there is nothing left but to wait. A `Peer` is what a transport adds: how events stand on
//! its wire, how they are written, and what to do with what the other side says. No queue stands
//! between the two: while a peer takes nothing, nothing is read for it.
//!
//! - `wait`: the one wait
//! - `group`: sessions that only wait, many of them served by one task

mod group;
mod wait;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use doorbell_protocol::Error;
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub use self::group::Groups;
use self::group::Member;
#[cfg(test)]
pub(crate) use self::wait::wait_for;
pub(crate) use self::wait::{Hear, Nobody, Wait, Wakeup};
use crate::access::Gate;
use crate::audit::{Actor, AuditAction};
use crate::connections::Serving;
use crate::cursor::{Batch, Cursor, PageLimit};
use crate::limits::{GROUP_AFTER, HALF_CLOSED_SHARE, KEEPALIVE_UNTOLD_MAX};
use crate::metrics::{Connected, Metrics, Transport};
use crate::stop::{Stop, detach};
use crate::visitors::Visitor;

/// Settings and shared parts of every session.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Where accesses to the log are given.
    pub gate: Gate,
    /// Sign of life after this long without any other event.
    pub keepalive: Duration,
    /// A peer that takes nothing for this long has gone.
    pub write_deadline: Duration,
    /// What was begun, a line or a request, must end within this time.
    pub unfinished: Duration,
    /// Bytes of one line, its end not counted.
    pub line_bytes: usize,
    /// Where deliveries are counted.
    pub metrics: Arc<Metrics>,
    /// Where sessions wait together.
    pub groups: Groups,
    /// Those whose peers have ended their side.
    pub half_closed: HalfClosed,
    /// Asks every session to end.
    pub stop: Stop,
}

impl SessionConfig {
    /// The time to a sign of life in whole seconds, for clients that would give up before.
    pub(crate) fn keepalive_told(&self) -> Option<u64> {
        let seconds = self.keepalive.as_secs() + u64::from(self.keepalive.subsec_nanos() > 0);
        (self.keepalive > KEEPALIVE_UNTOLD_MAX).then_some(seconds)
    }

    /// Counts a refusal for want of a credential or a right, and notes it, and one by a limit; any
    /// other is passed over.
    pub(crate) fn refused(&self, actor: Actor<'_>, action: AuditAction, error: &Error) {
        let code = error.code();
        // How often a limit was passed is counted where that is found.
        if self.metrics.refused(code) || code.status() == 429 {
            self.gate.audit().refused(actor, action, error);
        }
    }
}

/// Turns of connections whose clients have ended their side and listen, or have gone: the server
/// cannot tell at once.
#[derive(Debug, Clone)]
pub struct HalfClosed {
    /// One for each.
    pub turns: Arc<Semaphore>,
    /// How many there are in all.
    pub limit: usize,
}

impl HalfClosed {
    /// A share of so many connections.
    pub fn of(connections: usize) -> Self {
        let limit = (connections / HALF_CLOSED_SHARE).clamp(1, Semaphore::MAX_PERMITS);
        Self { turns: Arc::new(Semaphore::new(limit)), limit }
    }
}

/// How events stand on one transport's wire.
pub(crate) trait Encode {
    /// Over what the events are served. Peers in a group that are served over the same one are sent
    /// the same bytes.
    fn transport(&self) -> Transport;

    /// A batch as it stands on the wire; a sign of life if there is nothing in it. `cursor` is the
    /// one that gave it.
    fn encode(&self, batch: &Batch, cursor: &Cursor) -> Bytes;
}

/// The other side of a session.
pub(crate) trait Peer: Encode + Hear + Send + 'static {
    /// Writes some of what `encode` made, in its order.
    fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// A sign of life is on its way. A transport whose peers answer it waits for that.
    fn await_answer(&mut self) {}

    /// Deals with what was heard. It is called before every wait, and mostly there is nothing.
    fn obey(&mut self, reading: &mut Reading) -> impl Future<Output = Result<(), Ending>> + Send;

    /// When `obey` has to look again although nothing was heard, such as at half a line.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Whether there is nothing but news to wait for.
    fn is_at_rest(&self) -> bool;

    /// Lets go of what is only needed while the peer talks.
    fn rest(&mut self) {}

    /// Tells the other side that it is over, if it can still hear that.
    fn end(&mut self, ending: Ending, reading: &mut Reading) -> impl Future<Output = ()> + Send;
}

/// Why a session ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The client asked for it.
    Quit,
    /// The client has closed its side and waits for nothing.
    Gone,
    /// The server is stopping.
    Stopping,
    /// The client broke a rule that leaves no way to go on, or the log could not be read.
    Fault(Error),
    /// The connection broke, or took nothing for the write deadline.
    #[allow(dead_code, reason = "it is shown in traces")]
    Broken(io::Error),
}

impl From<io::Error> for Ending {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<Error> for Ending {
    fn from(error: Error) -> Self {
        Self::Fault(error)
    }
}

impl Ending {
    /// The sentence for the peer.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Quit | Self::Gone => "bye",
            Self::Stopping => "the server is stopping",
            Self::Fault(error) => error.text(),
            Self::Broken(_) => "the connection failed",
        }
    }
}

/// What is read for a peer, and what shows that to others.
pub(crate) struct Reading {
    /// Where it is and what it wants.
    pub(crate) cursor: Cursor,
    /// What all sessions share.
    pub(crate) config: Arc<SessionConfig>,
    /// When a sign of life is due.
    next_keepalive: Instant,
    shown: Shown,
}

/// How others see a reader.
struct Shown {
    serving: Serving,
    _connected: Connected,
    /// When it came: what was accepted before is history to it.
    since: std::time::Instant,
}

impl Reading {
    /// Shows others what is read now.
    pub(crate) fn show(&self) {
        self.shown.serving.reads(self.cursor.progress());
    }

    /// Whose doing is what comes over a transport.
    pub(crate) fn actor(&self, transport: Transport) -> Actor<'_> {
        Actor {
            identity: self.cursor.access().grant().identity(),
            address: self.shown.serving.connection().address(),
            transport: Some(transport.name()),
        }
    }

    /// Something was said to the peer: a sign of life can wait.
    pub(crate) fn spoke(&mut self) {
        self.next_keepalive = Instant::now() + self.config.keepalive;
    }

    /// Notes a batch that was sent in so many bytes.
    fn count(&self, transport: Transport, batch: &Batch, bytes: usize) {
        let gaps = usize::from(batch.gap.is_some());
        if gaps > 0 || !batch.messages.is_empty() {
            let metrics = self.config.metrics.of(transport);
            metrics.delivered(1, &batch.messages, bytes, gaps, self.shown.since);
        }
    }
}

/// One reader and its peer.
pub(crate) struct Session<P> {
    peer: P,
    reading: Reading,
    wait: Wait,
    /// What is left of the bytes that were begun.
    unsent: Bytes,
    /// When the peer last said something, or came.
    heard_at: Instant,
}

/// What a session does next.
enum Next {
    /// It is the turn of what was heard.
    Obey,
    /// It waits with others.
    Park,
}

impl<P: Encode + Hear> Session<P> {
    /// A session that has just begun. `first` is sent before all else.
    pub(crate) fn new(
        peer: P,
        cursor: Cursor,
        serving: Serving,
        config: Arc<SessionConfig>,
        first: Bytes,
    ) -> Self {
        let connected = config.metrics.of(peer.transport()).connected();
        let since = std::time::Instant::now();
        let shown = Shown { serving, _connected: connected, since };
        Self::resume(peer, cursor, config, shown, first, Instant::now())
    }

    /// A session at the place of this cursor, whose peer was last sent something at `spoken_to`.
    fn resume(
        peer: P,
        cursor: Cursor,
        config: Arc<SessionConfig>,
        shown: Shown,
        unsent: Bytes,
        spoken_to: Instant,
    ) -> Self {
        let next_keepalive = spoken_to + config.keepalive;
        let wait = Wait::new(&config.stop);
        let reading = Reading { cursor, config, next_keepalive, shown };
        reading.show();
        Self { peer, reading, wait, unsent, heard_at: Instant::now() }
    }

    /// The same with another peer, which gets what is left of the bytes that were begun and says
    /// what is to be sent in their place.
    pub(crate) fn hand_over<Q: Encode + Hear>(
        self,
        to: impl FnOnce(P, Bytes) -> (Q, Bytes),
    ) -> Session<Q> {
        let Self { peer, reading, wait, unsent, heard_at } = self;
        let (peer, unsent) = to(peer, unsent);
        Session { peer, reading, wait, unsent, heard_at }
    }

    /// The next piece for a peer that is only fed; `None` at the end, which is when the server
    /// stops.
    pub(crate) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        if !self.unsent.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.unsent))));
        }
        let Self { peer, reading, wait, .. } = self;
        let due = reading.next_keepalive;
        let limit = PageLimit::BATCH;
        let batch = match ready!(wait.poll(&mut reading.cursor, limit, peer, |_, _| due, context)) {
            Wakeup::Stop | Wakeup::Heard => return Poll::Ready(None),
            Wakeup::News(Err(error)) => return Poll::Ready(Some(Err(error))),
            Wakeup::News(Ok(batch)) => batch,
            Wakeup::Due => Batch::default(),
        };
        let bytes = peer.encode(&batch, &reading.cursor);
        reading.spoke();
        reading.count(peer.transport(), &batch, bytes.len());
        Poll::Ready(Some(Ok(bytes)))
    }
}

impl<P: Peer> Session<P> {
    /// Serves its peer until either side ends it, or until there is only news to wait for: then it
    /// joins a group, and its task ends.
    #[allow(clippy::manual_async_fn, reason = "it would keep room for the session twice")]
    pub(crate) fn run(mut self) -> impl Future<Output = ()> + Send {
        async move {
            match self.serve().await {
                Ok(()) => self.park(),
                Err(ending) => {
                    let transport = self.peer.transport().name();
                    tracing::trace!(transport, ?ending, "session ended");
                    Box::pin(self.peer.end(ending, &mut self.reading)).await;
                }
            }
        }
    }

    /// Serves its peer until there is nothing left but to wait for news.
    async fn serve(&mut self) -> Result<(), Ending> {
        write(&mut self.peer, &std::mem::take(&mut self.unsent)).await?;
        loop {
            self.peer.obey(&mut self.reading).await?;
            match poll_fn(|context| self.poll_wakeup(context)).await {
                Wakeup::Stop => return Err(Ending::Stopping),
                Wakeup::Heard => self.heard_at = Instant::now(),
                Wakeup::News(batch) => deliver(&mut self.peer, &mut self.reading, batch?).await?,
                Wakeup::Due => match self.due() {
                    Some(Next::Park) => return Ok(()),
                    Some(Next::Obey) => {}
                    None => {
                        deliver(&mut self.peer, &mut self.reading, Batch::default()).await?;
                    }
                },
            }
        }
    }

    /// What happens next. None of it is waited for in a future of its own: there are a great many
    /// sessions, and nearly all of them wait.
    fn poll_wakeup(&mut self, context: &mut Context<'_>) -> Poll<Wakeup> {
        let Self { peer, reading, wait, heard_at, .. } = self;
        let quiet = reading.next_keepalive;
        let due = |peer: &P, cursor: &Cursor| {
            let idle = can_park(peer, cursor).then(|| *heard_at + GROUP_AFTER);
            [peer.deadline(), idle].into_iter().flatten().fold(quiet, Instant::min)
        };
        wait.poll(&mut reading.cursor, PageLimit::BATCH, peer, due, context)
    }

    /// What is due; a sign of life if nothing else is.
    fn due(&self) -> Option<Next> {
        let has_come = |moment: Instant| moment <= Instant::now();
        if self.peer.deadline().is_some_and(has_come) {
            return Some(Next::Obey);
        }
        let idle = can_park(&self.peer, &self.reading.cursor);
        (idle && has_come(self.heard_at + GROUP_AFTER)).then_some(Next::Park)
    }

    /// Becomes a member of a group.
    fn park(self) {
        let Self { mut peer, reading, .. } = self;
        peer.rest();
        let Reading { cursor, config, next_keepalive, shown } = reading;
        let spoken_to = next_keepalive - config.keepalive;
        let groups = config.groups.clone();
        let visitor = cursor.access().visitor().clone();
        groups.join(cursor, Box::new(Parked { peer, config, shown, visitor }), spoken_to);
    }
}

/// Whether there is nothing to wait for but such news as others wait for as well.
fn can_park(peer: &impl Peer, cursor: &Cursor) -> bool {
    peer.is_at_rest() && cursor.sole_filter().is_some()
}

/// Sends a batch to a peer; a sign of life if there is nothing in it.
pub(crate) async fn deliver<P: Peer>(
    peer: &mut P,
    reading: &mut Reading,
    batch: Batch,
) -> io::Result<()> {
    let bytes = peer.encode(&batch, &reading.cursor);
    if batch.messages.is_empty() && batch.gap.is_none() {
        peer.await_answer();
    }
    // What a client has got is counted already.
    reading.count(peer.transport(), &batch, bytes.len());
    drop(batch);
    write(peer, &bytes).await?;
    reading.spoke();
    Ok(())
}

/// Writes all of what a peer's `encode` made. The stream beneath ends a wait that lasts too long.
pub(crate) async fn write<P: Peer>(peer: &mut P, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match poll_fn(|context| peer.poll_write(bytes, context)).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => bytes = &bytes[count..],
        }
    }
    Ok(())
}

/// What is left of a session while it only waits.
struct Parked<P> {
    peer: P,
    config: Arc<SessionConfig>,
    shown: Shown,
    /// Whom it is charged to when it reads by itself again.
    visitor: Visitor,
}

impl<P: Peer> Member for Parked<P> {
    fn transport(&self) -> Transport {
        self.peer.transport()
    }

    fn encode(&self, batch: &Batch, cursor: &Cursor) -> Bytes {
        self.peer.encode(batch, cursor)
    }

    fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.peer.poll_write(bytes, context)
    }

    fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.peer.poll_heard(context)
    }

    fn await_answer(&mut self) {
        self.peer.await_answer();
    }

    fn deadline(&self) -> Option<Instant> {
        self.peer.deadline()
    }

    fn show(&self, cursor: &Cursor) {
        self.shown.serving.reads(cursor.progress());
    }

    fn go_on(self: Box<Self>, mut cursor: Cursor, unsent: Bytes, spoken_to: Instant) {
        let Self { peer, config, shown, visitor } = *self;
        cursor.charge_to(&visitor);
        detach(Session::resume(peer, cursor, config, shown, unsent, spoken_to).run());
    }
}
