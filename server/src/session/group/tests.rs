//! What every reader may rely on, whoever serves it: nothing is lost, doubled or out of order,
//! however little its socket takes and whenever its peer speaks.

use std::future::poll_fn;

use doorbell_protocol::{Draft, Since};
use proptest::prelude::*;
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::access::Gate;
use crate::clock::SystemClock;
use crate::hub::{Hub, WireLimits};
use crate::log::{MemoryLog, Retention};
use crate::message::Message;

/// For what must come, on a slow machine too.
const PATIENCE: Duration = Duration::from_secs(30);

/// What can happen between two publishes.
#[derive(Debug, Clone)]
enum Step {
    Publish(usize),
    /// The peer's socket has room for so many bytes more.
    Room(usize, usize),
    Speak(usize),
    Connect,
    Yield,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..20_usize).prop_map(Step::Publish),
        (0..4_usize, 0..40_usize).prop_map(|(peer, bytes)| Step::Room(peer, bytes)),
        (0..4_usize).prop_map(Step::Speak),
        Just(Step::Connect),
        Just(Step::Yield),
    ]
}

/// The other end of a connection.
#[derive(Default)]
struct Peer(Mutex<Socket>);

#[derive(Default)]
struct Socket {
    received: String,
    room: usize,
    has_spoken: bool,
    waker: Option<Waker>,
}

impl Peer {
    fn socket(&self) -> MutexGuard<'_, Socket> {
        self.0.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut Socket)) {
        let mut socket = self.socket();
        change(&mut socket);
        let waker = socket.waker.take();
        drop(socket);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Takes what there is room for; if that is nothing, this waker is woken when there is some.
    fn poll_take(&self, bytes: &[u8], waker: Option<&Waker>) -> Poll<usize> {
        let mut socket = self.socket();
        let count = bytes.len().min(socket.room);
        if count == 0 {
            // Under the same lock: room that comes now finds it.
            if let Some(waker) = waker {
                socket.waker = Some(waker.clone());
            }
            return Poll::Pending;
        }
        socket.room -= count;
        socket.received.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        Poll::Ready(count)
    }

    async fn take_all(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let count = poll_fn(|context| self.poll_take(bytes, Some(context.waker())));
            bytes = &bytes[count.await..];
        }
    }
}

/// A connection to a peer.
struct Connection {
    peer: Arc<Peer>,
    groups: Groups,
}

fn lines(batch: &Batch) -> Bytes {
    assert!(batch.gap.is_none(), "nothing was let go");
    text(batch.messages.iter().map(Message::seq)).into()
}

/// Each seq on a line.
fn text(seqs: impl Iterator<Item = u64>) -> String {
    let lines: Vec<String> = seqs.map(|seq| format!("{seq}\n")).collect();
    lines.concat()
}

impl Member for Connection {
    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn encode(&self, batch: &Batch, _: &Cursor) -> Bytes {
        lines(batch)
    }

    fn poll_write(&mut self, bytes: &[u8], _: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.peer.poll_take(bytes, None).map(Ok)
    }

    fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut socket = self.peer.socket();
        if std::mem::take(&mut socket.has_spoken) {
            return Poll::Ready(());
        }
        socket.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn show(&self, _: &Cursor) {}

    fn go_on(self: Box<Self>, mut cursor: Cursor, unsent: Bytes, _: Instant) {
        detach(async move {
            self.peer.take_all(&unsent).await;
            loop {
                let limit = PageLimit { messages: 3, bytes: 1 << 20 };
                let batch = cursor.next(limit).await.unwrap();
                if batch.messages.is_empty() && cursor.has_caught_up() {
                    break;
                }
                self.peer.take_all(&lines(&batch)).await;
            }
            self.groups.clone().join(cursor, self, Instant::now());
        });
    }
}

struct World {
    hub: Hub,
    groups: Groups,
    metrics: Arc<Metrics>,
    stop: Stop,
    peers: Vec<Arc<Peer>>,
    /// How many messages each peer was too late for.
    missed: Vec<u64>,
}

impl World {
    fn new() -> Self {
        let retention = Retention { age: Duration::from_secs(3600), bytes: 1 << 30 };
        let limits = WireLimits { message_bytes: 4096, filter_topics: 64, subscriptions: 64 };
        let log = Arc::new(MemoryLog::new(retention));
        let hub = Hub::start(
            log,
            1 << 20,
            &retention,
            limits,
            Arc::new(SystemClock),
            crate::schedule::Schedule::default(),
        )
        .unwrap();
        let (metrics, stop) = (Metrics::new(hub.commit_sizes().clone()), Stop::default());
        let groups = Groups::new(Duration::from_secs(3600), metrics.clone(), stop.clone());
        Self { hub, groups, metrics, stop, peers: Vec::new(), missed: Vec::new() }
    }

    async fn connect(&mut self) {
        let access = Gate::open(self.hub.clone(), None).anonymous(&Visitor::default());
        let cursor =
            Cursor::open(&access, access.readable("a".parse().unwrap()).unwrap(), &Since::None)
                .await
                .unwrap();
        let peer = Arc::<Peer>::default();
        self.missed.push(cursor.place().seq());
        self.peers.push(peer.clone());
        let connection = Connection { peer, groups: self.groups.clone() };
        Box::new(connection).go_on(cursor, Bytes::new(), Instant::now());
    }

    async fn publish(&self) {
        let draft = Draft::text("a".parse().unwrap(), "x", 4096).unwrap();
        self.hub.publish(draft).await.unwrap();
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Publish(count) => {
                for _ in 0..count {
                    self.publish().await;
                }
            }
            Step::Room(peer, bytes) => {
                self.peers.get(peer).into_iter().for_each(|p| p.change(|s| s.room += bytes));
            }
            Step::Speak(peer) => {
                self.peers.get(peer).into_iter().for_each(|p| p.change(|s| s.has_spoken = true));
            }
            Step::Connect if self.peers.len() < 4 => self.connect().await,
            Step::Connect | Step::Yield => tokio::task::yield_now().await,
        }
    }

    /// Waits until every peer has received everything, and checks that it did so once and in order.
    async fn check(&self) {
        for (peer, missed) in self.peers.iter().zip(&self.missed) {
            peer.change(|socket| socket.room = usize::MAX / 2);
            let expected = text(missed + 1..=self.hub.visible());
            let all = async {
                while peer.socket().received.len() < expected.len() {
                    tokio::task::yield_now().await;
                }
            };
            let _ = tokio::time::timeout(PATIENCE, all).await;
            assert_eq!(peer.socket().received, expected);
        }
    }
}

fn runtime(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap()
}

proptest! {
    #[test]
    fn nothing_is_lost_or_doubled_however_members_come_and_go(
        steps in proptest::collection::vec(step(), 1..60),
        workers in 1..3_usize,
    ) {
        runtime(workers).block_on(async {
            let mut world = World::new();
            for step in steps {
                world.take(step).await;
            }
            world.check().await;
        });
    }
}

/// Ready when so many members are seated.
async fn seated(groups: &Groups, members: usize) {
    let are_there = async {
        while groups.0.open().values().map(|inbox| inbox.pending().members).sum::<usize>()
            != members
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, are_there).await.expect("the members come and go in time");
}

#[tokio::test]
async fn the_last_member_that_leaves_ends_the_group() {
    let mut world = World::new();
    for _ in 0..3 {
        world.connect().await;
    }
    seated(&world.groups, 3).await;
    assert_eq!(world.groups.0.open().len(), 1, "they want the same");
    world.publish().await;
    // Their sockets take nothing: each waits by itself until its own does.
    seated(&world.groups, 0).await;
    assert_eq!(world.groups.0.open().len(), 0);
    world.peers[0].change(|socket| socket.room = 100);
    seated(&world.groups, 1).await;
    world.check().await;
}

#[tokio::test]
async fn what_members_are_sent_is_counted_for_each() {
    let mut world = World::new();
    for _ in 0..5 {
        world.connect().await;
    }
    world.peers.iter().for_each(|peer| peer.change(|socket| socket.room = 100));
    seated(&world.groups, 5).await;
    world.publish().await;
    world.check().await;
    let counted = || world.metrics.of(Transport::Tcp).deliveries.get();
    let all = async {
        while counted() < 5 {
            tokio::task::yield_now().await;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, all).await;
    assert_eq!(counted(), 5);
}

#[tokio::test]
async fn a_group_is_full_at_its_bound_and_another_takes_the_next() {
    let mut world = World::new();
    for _ in 0..=GROUP_MEMBERS_MAX {
        world.connect().await;
    }
    let groups = world.groups.clone();
    let second = async {
        while groups.0.open().values().map(|inbox| inbox.pending().members).sum::<usize>() != 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, second).await.expect("the last one is alone");
    world.peers.iter().for_each(|peer| peer.change(|socket| socket.room = 100));
    world.publish().await;
    world.check().await;
    world.stop.cancel();
}
