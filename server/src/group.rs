//! Readers that want the same, have all of it and only wait: one cursor and one task for many of them.
//!
//! A connection that waits for nothing but news of one filter hands itself over to a group and
//! its own task ends. The group's cursor reads each batch once, the batch is framed once for each
//! transport, and its bytes are tried on every member's socket at once. A member whose socket does
//! not take them all, or whose peer says something, goes on by itself, with a cursor at the place
//! that it has reached. So what a message costs for each reader is a pointer, a comparison and a
//! system call, and what a waiting reader costs is little more than its socket.
//!
//! A group knows neither sockets nor framings: its members do.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use bytes::Bytes;
use doorbell_protocol::{Error, Filter};
use slab::Slab;
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::cursor::{Batch, Cursor, PageLimit};
use crate::limits::GROUP_MEMBERS_MAX;
use crate::metrics::{Metrics, Transport};
use crate::stop::{Listener, Stop};

/// A connection that waits for nothing but news.
pub trait Member: Send {
    /// Over what it is served. Members of one transport are sent the same bytes.
    fn transport(&self) -> Transport;

    /// A batch as it stands on this transport's wire; a sign of life if there is nothing in it.
    /// `cursor` is the one that gave it.
    fn frame(&self, batch: &Batch, cursor: &Cursor) -> Bytes;

    /// Writes some of what `frame` made, in its order.
    fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// Ready when the peer has said something or has gone. Until then the task is woken when it has.
    fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Shows others which reader this is now.
    fn reads(&self, cursor: &Cursor);

    /// Goes on by itself from the place of this cursor, once the rest of what was begun is sent. It was
    /// last sent something at `spoken_to`.
    fn go_on(self: Box<Self>, cursor: Cursor, unsent: Bytes, spoken_to: Instant);
}

/// All groups. Clones share them.
#[derive(Clone)]
pub struct Groups(Arc<Shared>);

struct Shared {
    /// By filter the group that takes members.
    open: Mutex<HashMap<Filter, Arc<Post>>>,
    keepalive: Duration,
    metrics: Arc<Metrics>,
    stop: Stop,
}

/// What a group is told by others.
#[derive(Default)]
struct Post {
    mail: Mutex<Mail>,
    waker: AtomicWaker,
}

#[derive(Default)]
struct Mail {
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

impl Post {
    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
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
    pub fn join(&self, cursor: Cursor, member: Box<dyn Member>, spoken_to: Instant) {
        let Some(filter) = cursor.sole_filter().cloned() else {
            return member.go_on(cursor, Bytes::new(), spoken_to);
        };
        let newcomer = Newcomer { cursor, member, spoken_to };
        let mut open = self.0.open();
        if let Some(post) = open.get(&filter) {
            let mut mail = post.mail();
            if mail.members < GROUP_MEMBERS_MAX {
                mail.members += 1;
                mail.newcomers.push(newcomer);
                drop(mail);
                return post.waker.wake();
            }
        }
        let post = Arc::<Post>::default();
        post.mail().members = 1;
        open.insert(filter.clone(), post.clone());
        drop(open);
        let group = Group::new(self.0.clone(), filter, post, newcomer);
        #[allow(clippy::disallowed_methods, reason = "its members' sockets are waited for")]
        tokio::spawn(unconstrained(group.run()));
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, HashMap<Filter, Arc<Post>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a group unless it has members, or somebody is about to become one.
    fn close(&self, filter: &Filter, post: &Arc<Post>) -> bool {
        let mut open = self.open();
        if post.mail().members > 0 {
            return false;
        }
        if open.get(filter).is_some_and(|open| Arc::ptr_eq(open, post)) {
            open.remove(filter);
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
    filter: Filter,
    post: Arc<Post>,
    cursor: Cursor,
    seats: Slab<Seat>,
    /// When the last batch was handed out.
    handed_out: Instant,
    next_keepalive: Instant,
    alarm: Alarm,
    stopped: Listener,
}

/// What a group waits for.
enum Happening {
    /// The server is stopping.
    Stop,
    /// Somebody came, or a member's peer said something.
    Mail { newcomers: Vec<Newcomer>, heard: Vec<usize> },
    /// The cursor has something.
    News(Result<Batch, Error>),
    /// To some member nothing was said for long.
    Quiet,
}

/// Members after whom the time is read again: how far off a delay in the metrics can be.
const TIMED_TOGETHER: usize = 32;

impl Group {
    fn new(shared: Arc<Shared>, filter: Filter, post: Arc<Post>, newcomer: Newcomer) -> Self {
        let Newcomer { cursor, member, spoken_to } = newcomer;
        let next_keepalive = spoken_to + shared.keepalive;
        let stopped = shared.stop.listener();
        let mut group = Self {
            shared,
            filter,
            post,
            cursor,
            seats: Slab::new(),
            handed_out: spoken_to,
            next_keepalive,
            alarm: Alarm::new(next_keepalive),
            stopped,
        };
        let had = group.cursor.place().seq();
        group.seat(member, had, spoken_to);
        group
    }

    /// Serves its members until the last one has gone.
    async fn run(mut self) {
        let mut sent = 0;
        while !self.seats.is_empty() || !self.shared.close(&self.filter, &self.post) {
            match poll_fn(|context| self.poll_happening(context)).await {
                Happening::Mail { newcomers, heard } => {
                    for newcomer in newcomers {
                        self.admit(newcomer);
                    }
                    for seat in heard {
                        self.listen(seat);
                    }
                }
                Happening::News(Ok(batch)) => {
                    sent += self.seats.len();
                    self.hand_out(&batch);
                }
                Happening::Quiet => self.keep_alive(),
                // Each of them says so to its peer.
                Happening::Stop | Happening::News(Err(_)) => self.dissolve(),
            }
            if sent >= GROUP_MEMBERS_MAX {
                // Others on this thread have waited for as many writes.
                sent = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    fn poll_happening(&mut self, context: &mut Context<'_>) -> Poll<Happening> {
        if self.stopped.poll_stopped(context).is_ready() && !self.seats.is_empty() {
            return Poll::Ready(Happening::Stop);
        }
        self.post.waker.register(context.waker());
        let mut mail = self.post.mail();
        if !mail.newcomers.is_empty() || !mail.heard.is_empty() {
            let newcomers = std::mem::take(&mut mail.newcomers);
            let heard = std::mem::take(&mut mail.heard);
            return Poll::Ready(Happening::Mail { newcomers, heard });
        }
        drop(mail);
        if let Poll::Ready(batch) = self.cursor.poll_next(PageLimit::BATCH, context) {
            return Poll::Ready(Happening::News(batch));
        }
        ready!(self.alarm.poll_until(self.next_keepalive, context));
        Poll::Ready(Happening::Quiet)
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
            let bytes = member.frame(&batch, &cursor);
            count(&self.shared.metrics, member.transport(), 1, &batch, bytes.len());
            unsent = send(member.as_mut(), &bytes);
            spoken_to = Instant::now();
        }
        self.post.mail().members -= 1;
        member.go_on(cursor, unsent, spoken_to);
    }

    fn seat(&mut self, member: Box<dyn Member>, had: u64, spoken_to: Instant) {
        member.reads(&self.cursor);
        self.next_keepalive = self.next_keepalive.min(spoken_to + self.shared.keepalive);
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
        let bell = Waker::from(Arc::new(Bell { post: self.post.clone(), seat: key }));
        if seat.member.poll_heard(&mut Context::from_waker(&bell)).is_ready() {
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
        self.post.mail().members -= 1;
        let spoken_to = seat.spoken_to.max(self.handed_out);
        seat.member.go_on(self.cursor.at(place), unsent, spoken_to);
    }

    /// Tries a batch on every member's socket.
    fn hand_out(&mut self, batch: &Batch) {
        let Some(first) = batch.first() else { return };
        self.handed_out = Instant::now();
        let mut framed = Framed::default();
        let place = self.cursor.place().seq();
        let mut leaving = Vec::new();
        for (index, (key, seat)) in self.seats.iter_mut().enumerate() {
            if index % TIMED_TOGETHER == 0 {
                framed.count(batch, &self.shared.metrics);
            }
            if seat.had >= first {
                // It had some of this when it came, and reads the others by itself.
                leaving.push((seat.had, key, Bytes::new()));
                continue;
            }
            let bytes = framed.of(seat, batch, &self.cursor);
            let unsent = send(seat.member.as_mut(), bytes);
            if !unsent.is_empty() {
                leaving.push((place, key, unsent));
            }
        }
        framed.count(batch, &self.shared.metrics);
        for (place, key, unsent) in leaving {
            self.leave_at(place, key, unsent);
        }
    }

    /// Gives a sign of life to those to whom nothing was said for long.
    fn keep_alive(&mut self) {
        let now = Instant::now();
        let keepalive = self.shared.keepalive;
        let nothing = Batch::default();
        let mut framed = Framed::default();
        let mut leaving = Vec::new();
        let mut next = now + keepalive;
        for (key, seat) in &mut self.seats {
            let due = seat.spoken_to.max(self.handed_out) + keepalive;
            if due > now {
                next = next.min(due);
                continue;
            }
            seat.spoken_to = now;
            let bytes = framed.of(seat, &nothing, &self.cursor);
            let unsent = send(seat.member.as_mut(), bytes);
            if !unsent.is_empty() {
                leaving.push((key, unsent));
            }
        }
        self.next_keepalive = next;
        for (key, unsent) in leaving {
            self.leave(key, unsent);
        }
    }

    /// Every member goes on by itself.
    fn dissolve(&mut self) {
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
struct Framed {
    bytes: [Option<Bytes>; Transport::ALL.len()],
    /// How many members of each transport got it since the last count.
    members: [u64; Transport::ALL.len()],
}

impl Framed {
    fn of(&mut self, seat: &Seat, batch: &Batch, cursor: &Cursor) -> &Bytes {
        let transport = seat.member.transport() as usize;
        self.members[transport] += 1;
        self.bytes[transport].get_or_insert_with(|| seat.member.frame(batch, cursor))
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
struct Bell {
    post: Arc<Post>,
    seat: usize,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.post.mail().heard.push(self.seat);
        self.post.waker.wake();
    }
}
