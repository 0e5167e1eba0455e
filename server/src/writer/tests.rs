//! Which thread commits: a publisher's while the log is at rest, else the writer's. In either case
//! what was submitted first is stored first, and only publishers wait for a commit that hangs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Condvar, MutexGuard};
use std::time::{Duration, Instant};

use doorbell_protocol::Draft;

use futures_util::poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::*;
use crate::clock::{Now, SystemClock};
use crate::log::{
    Bounds, Entry, Epochs, Feed, Heads, LogError, MemoryLog, Owner, Page, Query, Retention,
};

/// For what must come, on a slow machine too.
const PATIENCE: Duration = Duration::from_secs(30);

/// A log in memory whose commits can be made to hang or to panic.
struct Doors {
    log: MemoryLog,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_shut: bool,
    panics: bool,
    /// Commits that were begun by the log's own thread, and by others.
    by_thread: usize,
    by_publishers: usize,
    /// Commits that hang now.
    hanging: usize,
}

impl Doors {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn wait(&self, until: impl Fn(&State) -> bool) {
        let (state, waited) = self
            .changed
            .wait_timeout_while(self.state(), PATIENCE, |state| !until(state))
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "waited in vain: {state:?}");
    }
}

impl Log for Doors {
    fn follow(&self, feed: Arc<dyn Feed>) -> u64 {
        self.log.follow(feed)
    }

    fn append(&self, entries: &[Entry], now: Now) -> Result<Vec<Message>, LogError> {
        let mut state = self.state();
        match std::thread::current().name() {
            Some("log-writer") => state.by_thread += 1,
            _ => state.by_publishers += 1,
        }
        if state.panics {
            drop(state);
            panic!("the test asked for this");
        }
        state.hanging += 1;
        drop(state);
        self.changed.notify_all();
        self.wait(|state| !state.is_shut);
        self.state().hanging -= 1;
        self.log.append(entries, now)
    }

    fn read(&self, query: &Query<'_>) -> Result<Page, LogError> {
        self.log.read(query)
    }

    fn bounds(&self) -> Bounds {
        self.log.bounds()
    }

    fn seek(&self, time_us: u64) -> Result<u64, LogError> {
        self.log.seek(time_us)
    }

    fn heads(&self) -> &Heads {
        self.log.heads()
    }

    fn epochs(&self) -> &Epochs {
        self.log.epochs()
    }

    fn expire(&self, now: Now) {
        self.log.expire(now);
    }

    fn held_of(&self, owner: &Owner) -> u64 {
        self.log.held_of(owner)
    }

    fn close(&self) -> Result<(), LogError> {
        self.log.close()
    }
}

fn start() -> (Arc<Doors>, Arc<Writer>) {
    let retention = Retention { age: Duration::from_secs(3600), bytes: 1 << 30 };
    let log = MemoryLog::new(retention);
    let tail = Tail::follow(&log);
    let doors = Arc::new(Doors { log, state: Mutex::default(), changed: Condvar::new() });
    let writer =
        Writer::start(doors.clone(), tail, (1 << 20).into(), Arc::new(SystemClock)).unwrap();
    (doors, Arc::new(writer))
}

fn entries() -> Vec<Entry> {
    vec![Draft::text("a".parse().unwrap(), "x", 4096).unwrap().into()]
}

/// Publishes one message after the other until a publisher has committed by itself, and returns how
/// many that were.
async fn publish_until_one_commits_itself(doors: &Doors, writer: &Writer) -> u64 {
    let until = Instant::now() + PATIENCE;
    for count in 1.. {
        assert!(Instant::now() < until, "no publisher ever committed: {:?}", doors.state());
        writer.submit(entries()).await.await.pop().unwrap().unwrap();
        if doors.state().by_publishers > 0 {
            return count;
        }
        rest();
    }
    unreachable!("a count ends")
}

/// Has a publisher's own commit hang, on the thread of the runtime that reads from sockets. Returns
/// how many messages there were before.
async fn hang(doors: &Arc<Doors>, writer: &Arc<Writer>) -> (u64, JoinHandle<u64>) {
    let until = Instant::now() + PATIENCE;
    let mut count = publish_until_one_commits_itself(doors, writer).await;
    loop {
        assert!(Instant::now() < until, "no publisher's commit ever hung: {:?}", doors.state());
        let (mut client, mut publisher) = connection().await;
        let before = doors.state().by_publishers;
        doors.set(|state| state.is_shut = true);
        let task = Handle::current().spawn({
            let writer = writer.clone();
            async move {
                publisher.read_u8().await.unwrap();
                writer.submit(entries()).await.await.pop().unwrap().unwrap().seq()
            }
        });
        rest();
        client.write_all(b"x").unwrap();
        doors.wait(|state| state.hanging > 0);
        if doors.state().by_publishers > before {
            return (count, task);
        }
        // It was the thread's: on a busy machine nobody had published for too long.
        doors.set(|state| state.is_shut = false);
        task.await.unwrap();
        count += 1;
    }
}

/// For as long the log is at rest, and the threads of the runtime have nothing to do.
fn rest() {
    std::thread::sleep(Duration::from_millis(1));
}

async fn connection() -> (TcpStream, tokio::net::TcpStream) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().await.unwrap().0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_publisher_commits_by_itself() {
    let (doors, writer) = start();
    publish_until_one_commits_itself(&doors, &writer).await;
    writer.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_publisher_commits_however_soon_it_comes_back() {
    let (doors, writer) = start();
    let until = Instant::now() + PATIENCE;
    let mut succession = 0;
    let mut by_thread = 0;
    while succession < 30 {
        assert!(Instant::now() < until, "it was never left alone: {:?}", doors.state());
        writer.submit(entries()).await.await.pop().unwrap().unwrap();
        succession += 1;
        let now = doors.state().by_thread;
        if std::mem::replace(&mut by_thread, now) < now {
            succession = 0;
        }
    }
    writer.close();
}

#[tokio::test]
async fn the_only_thread_of_a_runtime_never_commits() {
    let (doors, writer) = start();
    for _ in 0..100 {
        writer.submit(entries()).await.await.pop().unwrap().unwrap();
        rest();
    }
    assert_eq!(doors.state().by_publishers, 0);
    writer.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_while_a_publisher_commits_is_stored_after_it() {
    let (doors, writer) = start();
    let (before, task) = hang(&doors, &writer).await;
    let mut later = Vec::new();
    for _ in 0..10 {
        let mut pending = writer.submit(entries()).await;
        assert!(poll!(&mut pending).is_pending());
        later.push(pending);
    }
    doors.set(|state| state.is_shut = false);
    assert_eq!(task.await.unwrap(), before + 1);
    for (pending, seq) in later.into_iter().zip(before + 2..) {
        assert_eq!(pending.await.pop().unwrap().unwrap().seq(), seq);
    }
    writer.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_are_served_while_a_publishers_commit_hangs() {
    let (doors, writer) = start();
    let (mut client, mut served) = connection().await;
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let echo = Handle::current().spawn(async move {
        let mut byte = [0];
        while served.read_exact(&mut byte).await.is_ok() {
            served.write_all(&byte).await.unwrap();
        }
    });
    for _ in 0..10 {
        let (_, task) = hang(&doors, &writer).await;
        client.write_all(b"x").unwrap();
        client.read_exact(&mut [0]).expect("nobody reads what comes");
        assert_eq!(doors.state().hanging, 1);
        doors.set(|state| state.is_shut = false);
        task.await.unwrap();
    }
    drop(client);
    echo.await.unwrap();
    writer.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_publishers_commit_ends_publishing() {
    let (doors, writer) = start();
    publish_until_one_commits_itself(&doors, &writer).await;
    doors.set(|state| state.panics = true);
    let task = Handle::current().spawn({
        let writer = writer.clone();
        async move { writer.submit(entries()).await.await }
    });
    // Its own ends in the panic; one that the thread was to store is refused.
    if let Ok(answers) = task.await {
        assert!(answers[0].is_err());
    }
    let refused = writer.submit(entries()).await.await.pop().unwrap();
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
    assert_eq!(writer.health(), Health::Failed);
    writer.close();
}
