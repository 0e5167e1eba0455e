//! Readers that want the same, have all of it and only wait: one cursor and one task for many of
//! them.
//!
//! A session that waits for nothing but news of one filter hands itself over to a group and its own
//! task ends. The group's cursor reads each batch once, the batch is encoded once for each
//! transport, and its bytes are tried on every member's socket at once. A member whose socket does
//! not take them all, or whose peer says something, goes on by itself, with a cursor at the place
//! that it has reached. So what a message costs for each reader is a pointer, a comparison and a
//! system call, and what a waiting reader costs is little more than its socket.
//!
//! A group knows neither sockets nor encodings: its members do.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use bytes::Bytes;
use doorbell_protocol::Filter;
use slab::Slab;
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

use super::wait::{Hear, Wait, Wakeup};
use crate::access::Grant;
use crate::cursor::{Batch, Cursor, PageLimit};
use crate::limits::GROUP_MEMBERS_MAX;
use crate::metrics::{Metrics, Transport};
use crate::stop::{Stop, detach};
use crate::visitors::Visitor;

/// A session that waits for nothing but news.
pub(super) trait Member: Send {
    /// Over what it is served. Members of one transport are sent the same bytes.
    fn transport(&self) -> Transport;

    /// A batch as it stands on this transport's wire; a sign of life if there is nothing in it.
    /// `cursor` is the one that gave it.
    fn encode(&self, batch: &Batch, cursor: &Cursor) -> Bytes;

    /// Writes some of what `encode` made, in its order.
    fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// Ready when the peer has said something or has gone. Until then the task is woken when it
    /// has.
    fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// A sign of life is on its way. Some transports wait for an answer to it.
    fn await_answer(&mut self) {}

    /// When it has to look after its peer by itself.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Shows others that this cursor reads for it now.
    fn show(&self, cursor: &Cursor);

    /// Goes on by itself from the place of this cursor, once the rest of what was begun is sent. It
    /// was last sent something at `spoken_to`.
    fn go_on(self: Box<Self>, cursor: Cursor, unsent: Bytes, spoken_to: Instant);
}

/// All groups. Clones share them.
#[derive(Clone)]
pub struct Groups(Arc<Shared>);

struct Shared {
    /// The group that takes members, by what they want and may have.
    open: Mutex<HashMap<Key, Arc<Inbox>>>,
    keepalive: Duration,
    metrics: Arc<Metrics>,
    stop: Stop,
}

/// What the readers of one group have in common: what one of them may not have, none of them is
/// sent.
type Key = (Grant, Filter);

/// What a group is told by others.
#[derive(Default)]
struct Inbox {
    pending: Mutex<Pending>,
    waker: AtomicWaker,
}

/// What a group was told and has not dealt with.
#[derive(Default)]
struct Pending {
    newcomers: Vec<Newcomer>,
    /// Seats whose peers have said something.
    heard: Vec<usize>,
    /// Members and newcomers.
    members: usize,
}

/// A connection that is about to become a member.
struct Newcomer {
    cursor: Cursor,
    member: Box<dyn Member>,
    /// When it was last sent something.
    spoken_to: Instant,
}

impl Inbox {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Groups").field("open", &self.0.open().len()).finish_non_exhaustive()
    }
}

impl Groups {
    /// No group yet. Members hear a sign of life when nothing was sent for the keepalive.
    pub fn new(keepalive: Duration, metrics: Arc<Metrics>, stop: Stop) -> Self {
        Self(Arc::new(Shared { open: Mutex::default(), keepalive, metrics, stop }))
    }

    /// Takes over a connection that waits for nothing but what this cursor brings. It was last sent
    /// something at `spoken_to`.
    ///
    /// A cursor that is more than one filter and a place has none to share it with: its member goes
    /// on by itself.
    pub(super) fn join(&self, cursor: Cursor, member: Box<dyn Member>, spoken_to: Instant) {
        let Some(filter) = cursor.sole_filter().cloned() else {
            return member.go_on(cursor, Bytes::new(), spoken_to);
        };
        let key = (cursor.access().grant().clone(), filter);
        let newcomer = Newcomer { cursor, member, spoken_to };
        let mut open = self.0.open();
        if let Some(inbox) = open.get(&key) {
            let mut pending = inbox.pending();
            if pending.members < GROUP_MEMBERS_MAX {
                pending.members += 1;
                pending.newcomers.push(newcomer);
                drop(pending);
                return inbox.waker.wake();
            }
        }
        let inbox = Arc::<Inbox>::default();
        inbox.pending().members = 1;
        open.insert(key.clone(), inbox.clone());
        drop(open);
        let group = Group::new(self.0.clone(), key, inbox, newcomer);
        detach(unconstrained(group.run()));
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, HashMap<Key, Arc<Inbox>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a group unless it has members, or somebody is about to become one.
    fn close(&self, key: &Key, inbox: &Arc<Inbox>) -> bool {
        let mut open = self.open();
        if inbox.pending().members > 0 {
            return false;
        }
        if open.get(key).is_some_and(|open| Arc::ptr_eq(open, inbox)) {
            open.remove(key);
        }
        true
    }
}

/// A member's place in its group.
struct Seat {
    member: Box<dyn Member>,
    /// Up to here it had everything when it came.
    had: u64,
    /// When it was last sent something of its own.
    spoken_to: Instant,
}

/// Readers of one filter, all of which have had everything up to the place of its cursor.
struct Group {
    shared: Arc<Shared>,
    key: Key,
    mailbox: Mailbox,
    cursor: Cursor,
    seats: Slab<Seat>,
    /// When the last batch was handed out.
    handed_out: Instant,
    /// When a sign of life is due to some member, or its deadline comes.
    next_keepalive: Instant,
    wait: Wait,
}

/// The group's own end of its inbox.
struct Mailbox {
    inbox: Arc<Inbox>,
    newcomers: Vec<Newcomer>,
    heard: Vec<usize>,
}

impl Hear for Mailbox {
    fn poll_urgent(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.inbox.waker.register(context.waker());
        let mut pending = self.inbox.pending();
        if pending.newcomers.is_empty() && pending.heard.is_empty() {
            return Poll::Pending;
        }
        self.newcomers.append(&mut pending.newcomers);
        self.heard.append(&mut pending.heard);
        Poll::Ready(())
    }

    fn poll_heard(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// Members after whom the time is read again: how far off a delay in the metrics can be.
const TIMED_TOGETHER: usize = 32;

impl Group {
    fn new(shared: Arc<Shared>, key: Key, inbox: Arc<Inbox>, newcomer: Newcomer) -> Self {
        let Newcomer { mut cursor, member, spoken_to } = newcomer;
        // What is read for all is not to wait for what one of them has had too much of.
        cursor.charge_to(&Visitor::default());
        let next_keepalive = spoken_to + shared.keepalive;
        let wait = Wait::new(&shared.stop);
        let mut group = Self {
            shared,
            key,
            mailbox: Mailbox { inbox, newcomers: Vec::new(), heard: Vec::new() },
            cursor,
            seats: Slab::new(),
            handed_out: spoken_to,
            next_keepalive,
            wait,
        };
        let had = group.cursor.place().seq();
        group.seat(member, had, spoken_to);
        group
    }

    /// Serves its members until the last one has gone.
    async fn run(mut self) {
        let mut sent = 0;
        while !self.seats.is_empty() || !self.shared.close(&self.key, &self.mailbox.inbox) {
            match poll_fn(|context| self.poll_wakeup(context)).await {
                Wakeup::Heard => self.open_mail(),
                Wakeup::News(Ok(batch)) => {
                    sent += self.seats.len();
                    self.hand_out(&batch);
                }
                Wakeup::Due => self.keep_alive(),
                // Each of them says so to its peer.
                Wakeup::Stop | Wakeup::News(Err(_)) => self.dissolve(),
            }
            if sent >= GROUP_MEMBERS_MAX {
                // Others on this thread have waited for as many writes.
                sent = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    fn poll_wakeup(&mut self, context: &mut Context<'_>) -> Poll<Wakeup> {
        let Self { wait, cursor, mailbox, next_keepalive, .. } = self;
        wait.poll(cursor, PageLimit::BATCH, mailbox, |_, _| *next_keepalive, context)
    }

    /// Deals with what others have told.
    fn open_mail(&mut self) {
        for newcomer in std::mem::take(&mut self.mailbox.newcomers) {
            self.admit(newcomer);
        }
        for seat in std::mem::take(&mut self.mailbox.heard) {
            self.listen(seat);
        }
    }

    /// A newcomer reads with its own cursor for as long as that has something: then it has had what
    /// the others have had, or more.
    fn admit(&mut self, newcomer: Newcomer) {
        let Newcomer { mut cursor, mut member, mut spoken_to } = newcomer;
        let mut unsent = Bytes::new();
        while unsent.is_empty() {
            let mut context = Context::from_waker(Waker::noop());
            let batch = match cursor.poll_next(PageLimit::BATCH, &mut context) {
                Poll::Ready(Ok(batch)) => batch,
                Poll::Pending if cursor.has_caught_up() => {
                    return self.seat(member, cursor.place().seq(), spoken_to);
                }
                _ => break,
            };
            let bytes = member.encode(&batch, &cursor);
            count(&self.shared.metrics, member.transport(), 1, &batch, bytes.len());
            unsent = send(member.as_mut(), &bytes);
            spoken_to = Instant::now();
        }
        self.mailbox.inbox.pending().members -= 1;
        member.go_on(cursor, unsent, spoken_to);
    }

    fn seat(&mut self, member: Box<dyn Member>, had: u64, spoken_to: Instant) {
        member.show(&self.cursor);
        let due = spoken_to + self.shared.keepalive;
        let due = member.deadline().map_or(due, |deadline| deadline.min(due));
        self.next_keepalive = self.next_keepalive.min(due);
        if self.seats.len() == self.seats.capacity() {
            // Twice as many at a time is a lot where most groups are small.
            self.seats.reserve_exact(1 + self.seats.len() / 4);
        }
        let seat = self.seats.insert(Seat { member, had, spoken_to });
        self.listen(seat);
    }

    /// Lets a member go whose peer has said something, or waits for that.
    fn listen(&mut self, key: usize) {
        // The seat may have been left since, and taken by another.
        let Some(seat) = self.seats.get_mut(key) else { return };
        let waker =
            Waker::from(Arc::new(SeatWaker { inbox: self.mailbox.inbox.clone(), seat: key }));
        if seat.member.poll_heard(&mut Context::from_waker(&waker)).is_ready() {
            self.leave(key, Bytes::new());
        }
    }

    /// A member goes on by itself. It has had what the others have had.
    fn leave(&mut self, key: usize, unsent: Bytes) {
        let had = self.seats[key].had;
        self.leave_at(self.cursor.place().seq().max(had), key, unsent);
    }

    fn leave_at(&mut self, place: u64, key: usize, unsent: Bytes) {
        let seat = self.seats.remove(key);
        self.mailbox.inbox.pending().members -= 1;
        let spoken_to = seat.spoken_to.max(self.handed_out);
        seat.member.go_on(self.cursor.at(place), unsent, spoken_to);
    }

    /// Tries a batch on every member's socket.
    fn hand_out(&mut self, batch: &Batch) {
        let Some(first) = batch.first() else { return };
        self.handed_out = Instant::now();
        let mut encoded = Encoded::default();
        let place = self.cursor.place().seq();
        let mut leaving = Vec::new();
        for (index, (key, seat)) in self.seats.iter_mut().enumerate() {
            if index % TIMED_TOGETHER == 0 {
                encoded.count(batch, &self.shared.metrics);
            }
            if seat.had >= first {
                // It had some of this when it came, and reads the others by itself.
                leaving.push((seat.had, key, Bytes::new()));
                continue;
            }
            let bytes = encoded.of(seat, batch, &self.cursor);
            let unsent = send(seat.member.as_mut(), bytes);
            if !unsent.is_empty() {
                leaving.push((place, key, unsent));
            }
        }
        encoded.count(batch, &self.shared.metrics);
        for (place, key, unsent) in leaving {
            self.leave_at(place, key, unsent);
        }
    }

    /// Gives a sign of life to those to whom nothing was said for long. Lets go of those that have
    /// to look after their peers.
    fn keep_alive(&mut self) {
        let now = Instant::now();
        let keepalive = self.shared.keepalive;
        let nothing = Batch::default();
        let mut encoded = Encoded::default();
        let mut leaving = Vec::new();
        let mut next = now + keepalive;
        for (key, seat) in &mut self.seats {
            if seat.member.deadline().is_some_and(|deadline| deadline <= now) {
                leaving.push((key, Bytes::new()));
                continue;
            }
            let due = seat.spoken_to.max(self.handed_out) + keepalive;
            if due > now {
                next = next.min(due);
            } else {
                seat.spoken_to = now;
                let bytes = encoded.of(seat, &nothing, &self.cursor);
                let unsent = send(seat.member.as_mut(), bytes);
                seat.member.await_answer();
                if !unsent.is_empty() {
                    leaving.push((key, unsent));
                }
            }
            next = next.min(seat.member.deadline().unwrap_or(next));
        }
        self.next_keepalive = next;
        for (key, unsent) in leaving {
            self.leave(key, unsent);
        }
    }

    /// Every member goes on by itself, and so does everybody that was about to become one.
    fn dissolve(&mut self) {
        let _ = self.mailbox.poll_urgent(&mut Context::from_waker(Waker::noop()));
        self.open_mail();
        let seats: Vec<usize> = self.seats.iter().map(|(key, _)| key).collect();
        for key in seats {
            self.leave(key, Bytes::new());
        }
    }
}

/// Tries bytes on a member's socket; returns what is left of them.
fn send(member: &mut dyn Member, bytes: &Bytes) -> Bytes {
    match member.poll_write(bytes, &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(sent)) => bytes.slice(sent..),
        // Of an error it learns by itself, when it goes on.
        Poll::Ready(Err(_)) | Poll::Pending => bytes.clone(),
    }
}

/// Notes a batch in the metrics that so many readers got, all of which were there before it.
fn count(metrics: &Metrics, transport: Transport, readers: u64, batch: &Batch, bytes: usize) {
    let gaps = usize::from(batch.gap.is_some());
    metrics.of(transport).delivered(readers, &batch.messages, bytes, gaps, metrics.started);
}

/// One batch as the members' transports have it, each made when the first member needs it.
#[derive(Default)]
struct Encoded {
    bytes: [Option<Bytes>; Transport::ALL.len()],
    /// How many members of each transport got it since the last count.
    members: [u64; Transport::ALL.len()],
}

impl Encoded {
    fn of(&mut self, seat: &Seat, batch: &Batch, cursor: &Cursor) -> &Bytes {
        let transport = seat.member.transport() as usize;
        self.members[transport] += 1;
        self.bytes[transport].get_or_insert_with(|| seat.member.encode(batch, cursor))
    }

    /// Notes in the metrics what was handed out since the last count.
    fn count(&mut self, batch: &Batch, metrics: &Metrics) {
        for transport in Transport::ALL {
            let members = std::mem::take(&mut self.members[transport as usize]);
            if let Some(bytes) = &self.bytes[transport as usize]
                && members > 0
            {
                count(metrics, transport, members, batch, bytes.len());
            }
        }
    }
}

/// Tells a group that one of its members' peers has said something.
struct SeatWaker {
    inbox: Arc<Inbox>,
    seat: usize,
}

impl Wake for SeatWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.inbox.pending().heard.push(self.seat);
        self.inbox.waker.wake();
    }
}
