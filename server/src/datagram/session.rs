//! One subscription over UDP: a cursor whose events are sent as datagrams, as long as the lease
//! runs.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use doorbell_protocol::datagram::{Members, QUIET_FIRST, QUIET_GROWTH};
use doorbell_protocol::limits::DATAGRAM_BYTES_MAX;
use doorbell_protocol::{Error, Event, Filter, Gap, Id, Kind, Since};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{Control, Seat, actor, error_event, line};
use crate::access::Access;
use crate::audit::AuditAction;
use crate::clock::unix_micros;
use crate::connections::{Service, Serving};
use crate::cursor::{Batch, Cursor, PageLimit};
use crate::limits::{
    BATCH_BYTES_MAX, DATAGRAM_BURST_MAX, DATAGRAM_BURST_PAUSE, DATAGRAM_LEASE, DATAGRAM_REPLAY_MAX,
};
use crate::message::Message;
use crate::metrics::Transport;
use crate::session::{Hear, Wait, Wakeup};

const BURST: PageLimit = PageLimit { messages: DATAGRAM_BURST_MAX, bytes: BATCH_BYTES_MAX };

/// Why a session ended.
enum Ending {
    /// Another `SUB` of the same address took its place.
    Replaced,
    /// The client said `QUIT`.
    Quit,
    /// Nobody renewed the lease.
    Expired,
    /// The server is stopping.
    Stopping,
    /// The log could not be read.
    Fault(Error),
}

/// Serves a subscription until it ends.
pub(super) async fn run(
    seat: Seat,
    control: watch::Receiver<Control>,
    access: Access,
    filter: Filter,
    since: Since,
) {
    let datagrams = seat.datagrams.clone();
    let _connected = datagrams.config.metrics.of(Transport::Udp).connected();
    let opened = match access.readable(filter.clone()) {
        Ok(readable) => Cursor::open(&access, readable, &since).await,
        Err(refusal) => Err(refusal),
    };
    match opened {
        Ok(cursor) => {
            Box::pin(Session::new(seat, Controlled::new(control), cursor).run(&filter)).await;
        }
        Err(error) => {
            let actor = actor(access.grant().identity(), seat.peer);
            datagrams.config.refused(actor, AuditAction::Read, &error);
            let connection = seat.registered.connection();
            let text = line(&error_event(&error));
            datagrams.send(text.as_bytes(), seat.peer, connection).await;
        }
    }
}

/// What the client wants of a session.
struct Controlled {
    changes: BoxStream<'static, Control>,
    /// The last change that was heard; `None` when there will be no other.
    wanted: Option<Control>,
}

impl Controlled {
    fn new(control: watch::Receiver<Control>) -> Self {
        let changes = stream::unfold(control, async |mut control| {
            control.changed().await.ok()?;
            let wanted = control.borrow_and_update().clone();
            Some((wanted, control))
        });
        Self { changes: changes.boxed(), wanted: None }
    }
}

impl Hear for Controlled {
    fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.wanted = ready!(self.changes.poll_next_unpin(context));
        Poll::Ready(())
    }
}

struct Session {
    seat: Seat,
    control: Controlled,
    cursor: Cursor,
    wait: Wait,
    /// The last message that was sent, or the place where the subscription began.
    last: Id,
    lease_end: Instant,
    next_keepalive: Instant,
    /// How long after now a keepalive would follow.
    quiet: Duration,
    /// Messages that were held when they were sent, since the client has last said something.
    replayed: usize,
    began: std::time::Instant,
    _serving: Serving,
}

impl Session {
    fn new(seat: Seat, control: Controlled, cursor: Cursor) -> Self {
        let quiet = seat.datagrams.config.keepalive;
        let serving = seat.registered.connection().serve(Service::Reader(Transport::Udp));
        serving.reads(cursor.progress());
        Self {
            _serving: serving,
            control,
            last: cursor.place(),
            cursor,
            wait: Wait::new(&seat.datagrams.config.stop),
            lease_end: Instant::now() + DATAGRAM_LEASE,
            next_keepalive: Instant::now() + quiet,
            quiet,
            replayed: 0,
            began: std::time::Instant::now(),
            seat,
        }
    }

    async fn run(&mut self, filter: &Filter) {
        self.greet(filter).await;
        let ending = loop {
            if let Err(ending) = self.turn().await {
                break ending;
            }
        };
        let text = match ending {
            Ending::Replaced => return,
            Ending::Quit => "bye",
            Ending::Expired => "the lease has run out",
            Ending::Stopping => "the server is stopping",
            Ending::Fault(error) => {
                self.send(line(&error_event(&error)).as_bytes()).await;
                "the log failed"
            }
        };
        let mut event = self.event(Kind::Close);
        event.message = Some(text.into());
        self.say(&event, &Members::after(self.last)).await;
    }

    /// Waits for one thing to happen and deals with it.
    async fn turn(&mut self) -> Result<(), Ending> {
        let Self { wait, cursor, control, .. } = self;
        let due = self.lease_end.min(self.next_keepalive);
        let may_read = self.replayed < DATAGRAM_REPLAY_MAX;
        let wakeup = poll_fn(|context| {
            if may_read {
                wait.poll(cursor, BURST, control, |_, _| due, context)
            } else {
                wait.poll_heard(control, due, context)
            }
        });
        match wakeup.await {
            Wakeup::Stop => Err(Ending::Stopping),
            Wakeup::Heard => self.obey().await,
            Wakeup::News(batch) => {
                self.deliver(batch.map_err(Ending::Fault)?).await;
                Ok(())
            }
            Wakeup::Due if self.lease_end <= Instant::now() => Err(Ending::Expired),
            Wakeup::Due => {
                self.keep_alive(None).await;
                Ok(())
            }
        }
    }

    async fn greet(&mut self, filter: &Filter) {
        let mut event = self.event(Kind::Ok);
        event.topic = Some(filter.to_string().into());
        event.gap = self.cursor.take_gap();
        let lease = Some(DATAGRAM_LEASE.as_secs());
        let members = Members { lease, ..Members::after(self.last) };
        if members.join(event.to_json().as_bytes()).len() > DATAGRAM_BYTES_MAX {
            event.topic = None;
        }
        self.say(&event, &members).await;
    }

    async fn obey(&mut self) -> Result<(), Ending> {
        let Some(Control { word, quit }) = self.control.wanted.take() else {
            return Err(Ending::Replaced);
        };
        if quit {
            return Err(Ending::Quit);
        }
        self.lease_end = Instant::now() + DATAGRAM_LEASE;
        self.next_keepalive = Instant::now() + self.quiet;
        self.replayed = 0;
        let mut event = self.event(Kind::Pong);
        event.message = word.map(Into::into);
        let cookie = Some(self.seat.datagrams.cookies.of(self.seat.peer));
        self.say(&event, &Members { cookie, ..Members::after(self.last) }).await;
        Ok(())
    }

    async fn deliver(&mut self, batch: Batch) {
        if batch.messages.is_empty() {
            return self.keep_alive(batch.gap).await;
        }
        for (index, message) in batch.messages.iter().enumerate() {
            self.send_message(message, batch.gap.as_ref().filter(|_| index == 0)).await;
        }
        // Whoever is far behind shows now and then that it still hears.
        if self.cursor.has_caught_up() {
            self.replayed = 0;
        } else {
            self.replayed += batch.messages.len();
        }
        // It may be the last message for long, and it may be lost: say soon where we are.
        self.quiet = QUIET_FIRST.min(self.seat.datagrams.config.keepalive);
        self.next_keepalive = Instant::now() + self.quiet;
        if batch.messages.len() >= DATAGRAM_BURST_MAX {
            sleep(DATAGRAM_BURST_PAUSE).await;
        }
    }

    async fn send_message(&mut self, message: &Message, gap: Option<&Gap>) {
        let members = Members::after(self.last);
        let whole = members.join(&message.frame_after(gap).json());
        let large = whole.len() > DATAGRAM_BYTES_MAX;
        let datagram = if large {
            let mut event = Event::new(Kind::Message, message.time_us()).at(message.id());
            event.topic = Some(message.topic().to_string().into());
            event.gap = gap.cloned();
            Members { large, ..members }.join(event.to_json().as_bytes())
        } else {
            whole
        };
        self.send(&datagram).await;
        self.last = message.id();
        // What was only announced is delivered by the poll that fetches it.
        let delivered = if large { &[][..] } else { std::slice::from_ref(message) };
        self.seat.datagrams.config.metrics.of(Transport::Udp).delivered(
            1,
            delivered,
            datagram.len(),
            usize::from(gap.is_some()),
            self.began,
        );
    }

    async fn keep_alive(&mut self, gap: Option<Gap>) {
        let keepalive = self.seat.datagrams.config.keepalive;
        self.quiet = (self.quiet * QUIET_GROWTH).min(keepalive);
        self.next_keepalive = Instant::now() + self.quiet;
        let mut event = self.event(Kind::Keepalive);
        let told = gap.is_some();
        event.gap = gap;
        self.say(&event, &Members::after(self.last)).await;
        if told {
            // A gap must not be lost on the way: it is a link of the chain, as a message is.
            self.last = self.cursor.place();
            self.seat.datagrams.config.metrics.of(Transport::Udp).delivered(
                1,
                &[],
                0,
                1,
                self.began,
            );
        }
    }

    /// An event that tells the place reached.
    fn event(&self, kind: Kind) -> Event<'static> {
        Event::new(kind, unix_micros()).at(self.cursor.place())
    }

    async fn say(&mut self, event: &Event<'_>, members: &Members) {
        self.send(&members.join(event.to_json().as_bytes())).await;
    }

    async fn send(&mut self, datagram: &[u8]) {
        let Seat { datagrams, peer, registered, .. } = &self.seat;
        datagrams.send(datagram, *peer, registered.connection()).await;
    }
}
