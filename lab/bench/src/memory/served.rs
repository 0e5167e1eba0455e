//! What is at the servers' ends: doorbell's sessions, or a floor.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use doorbell_protocol::{Draft, Epoch};
use doorbell_server::access::Gate;
use doorbell_server::clock::SystemClock;
use doorbell_server::config::{self, to_usize};
use doorbell_server::connections::Ends;
use doorbell_server::guard::Timeouts;
use doorbell_server::hub::Hub;
use doorbell_server::line::LineService;
use doorbell_server::listen::{Accept, Acceptor, Refusals};
use doorbell_server::log::MemoryLog;
use doorbell_server::message::number_batch;
use doorbell_server::metrics::{Listener, Metrics, Transport};
use doorbell_server::serve::sessions;
use doorbell_server::visitors::{VisitorLimits, Visitors};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::by::By;
use super::crowd::{Crowd, PATIENCE, events, read_lines};
use super::stream::{End, pair};
use crate::failure::{Failure, Result};
use crate::generator::dialect::{push, topic_name};
use crate::stamp::{Payload, Stamp};

/// One message to each of some topics.
pub(super) struct Round {
    /// As a publisher says it.
    commands: Vec<u8>,
    /// As subscribers hear it, by the number of the topic.
    lines: Arc<[Bytes]>,
}

impl Round {
    /// Messages of that number.
    pub(super) fn new(payload: &Payload, topics: Range<usize>, number: u64) -> Result<Self> {
        let mut commands = Vec::new();
        let mut drafts = Vec::new();
        for topic in topics {
            let mut text = Vec::new();
            payload.write(Stamp { topic, number, planned_ns: 0 }, &mut text);
            let (name, text) = (topic_name(topic), String::from_utf8_lossy(&text));
            push!(commands, "PUB {name} {text}\n");
            let refused = |error: doorbell_protocol::Error| Failure(error.text().into());
            let name = name.parse().map_err(refused)?;
            drafts.push(Draft::text(name, &text, text.len()).map_err(refused)?);
        }
        // The floors' lines are as long as doorbell's own.
        let messages =
            number_batch(drafts.iter(), Epoch::from_bits(0), number, 1 << 50, Some(1 << 40));
        let lines = messages.iter().map(|message| message.frame().line()).collect();
        Ok(Self { commands, lines })
    }
}

/// What serves.
pub(super) enum Served {
    Copy(Vec<End>),
    Tasks(Tasks),
    Sessions(Sessions),
}

impl Served {
    /// Serves nobody yet.
    pub(super) fn start(by: By) -> Result<Self> {
        Ok(match by {
            By::Copy => Self::Copy(Vec::new()),
            By::Tasks => Self::Tasks(Tasks::start()?),
            By::Sessions => Self::Sessions(Sessions::start()?),
        })
    }

    /// Serves the next so many, which subscribe where that is what one does.
    pub(super) fn open(
        &mut self,
        ends: impl Iterator<Item = End>,
        clients: Range<usize>,
        crowd: &mut Crowd,
    ) -> Result<()> {
        match self {
            Self::Copy(served) => served.extend(ends),
            Self::Tasks(tasks) => ends.zip(clients).for_each(|(end, client)| {
                tasks.serve(end, crowd.topic(client));
            }),
            Self::Sessions(sessions) => sessions.open(ends, clients, crowd)?,
        }
        Ok(())
    }

    /// Publishes; returns when all that this thread has to do for it is done.
    pub(super) fn publish(&mut self, round: &Round) -> Result<()> {
        match self {
            // On a thread of its own, as the others do their work.
            Self::Copy(served) => std::thread::scope(|scope| {
                let copy = scope.spawn(|| copy(served, &round.lines));
                copy.join().map_err(|_| Failure("the copying thread ended in a panic".into()))?
            }),
            Self::Tasks(tasks) => {
                tasks.lines.send_replace(round.lines.clone());
                Ok(())
            }
            Self::Sessions(sessions) => sessions.publish(round),
        }
    }
}

fn copy(served: &mut [End], lines: &[Bytes]) -> Result<()> {
    let mut context = Context::from_waker(Waker::noop());
    for (end, line) in served.iter_mut().zip(lines.iter().cycle()) {
        match Pin::new(end).poll_write(&mut context, line) {
            Poll::Ready(Ok(count)) if count == line.len() => {}
            other => return Err(Failure(format!("a stream did not take a line: {other:?}"))),
        }
    }
    Ok(())
}

/// A task for each stream.
pub(super) struct Tasks {
    runtime: Runtime,
    tracker: TaskTracker,
    lines: watch::Sender<Arc<[Bytes]>>,
}

impl Tasks {
    fn start() -> Result<Self> {
        let runtime = Runtime::new()?;
        Ok(Self { runtime, tracker: TaskTracker::new(), lines: watch::Sender::default() })
    }

    fn serve(&self, mut end: End, topic: usize) {
        let mut lines = self.lines.subscribe();
        let serving = async move {
            while lines.changed().await.is_ok() {
                let line = lines.borrow_and_update()[topic].clone();
                if end.write_all(&line).await.is_err() {
                    return;
                }
            }
        };
        self.tracker.spawn_on(serving, self.runtime.handle());
    }
}

/// doorbell, as it comes but for its log, which is in memory, and its keepalives, of which there
/// are none meanwhile.
pub(super) struct Sessions {
    runtime: Runtime,
    incoming: mpsc::Sender<End>,
    /// One more session, which publishes.
    publisher: End,
}

const SETTINGS: &[&str] = &["doorbell-server", "--ephemeral", "--keepalive", "1h"];

impl Sessions {
    fn start() -> Result<Self> {
        let settings = config::read(SETTINGS.iter().map(Into::into));
        let settings = settings.map_err(|error| Failure(error.to_string()))?;
        let retention = settings.retention();
        let log = Arc::new(MemoryLog::new(retention));
        let room = to_usize(settings.inflight_bytes);
        let hub = Hub::start(
            log,
            room,
            &retention,
            settings.wire_limits(),
            Arc::new(SystemClock),
            doorbell_server::schedule::Schedule::default(),
        )?;
        let metrics = Metrics::new(hub.commit_sizes().clone());
        let (write_deadline, keepalive) = (settings.write_deadline, settings.keepalive);
        let timeouts = Timeouts { write_deadline, keepalive };
        let visitors = Visitors::new(VisitorLimits::default(), false);
        let acceptor = Acceptor::new(usize::MAX, visitors, metrics.clone(), timeouts);
        let gate = Gate::open(hub, None);
        let config = sessions(&settings, gate, metrics, &acceptor, usize::MAX);
        let runtime = Runtime::new()?;
        let (incoming, waiting) = mpsc::channel(1);
        let listener = Incoming(Mutex::new(waiting));
        let lines = LineService::new(&config, Transport::Unix);
        let accepting =
            acceptor.clone().accept(listener, Listener::Unix, Refusals::default(), move |stream| {
                lines.serve(stream)
            });
        acceptor.tasks.spawn_on(accepting, runtime.handle());
        let (mut publisher, served) = pair();
        runtime.block_on(async {
            let gone = |_| Failure("nobody accepts".into());
            incoming.send(served).await.map_err(gone)?;
            read_lines(&mut publisher, 1, &mut Vec::new()).await
        })?;
        Ok(Self { runtime, incoming, publisher })
    }

    fn open(
        &self,
        ends: impl Iterator<Item = End>,
        clients: Range<usize>,
        crowd: &mut Crowd,
    ) -> Result<()> {
        self.runtime.block_on(in_time(async {
            for end in ends {
                let gone = |_| Failure("nobody accepts any more".into());
                self.incoming.send(end).await.map_err(gone)?;
            }
            crowd.subscribe(clients).await
        }))
    }

    fn publish(&mut self, round: &Round) -> Result<()> {
        let (mut hears, mut says) = tokio::io::split(&mut self.publisher);
        self.runtime.block_on(in_time(async {
            let mut answers = Vec::new();
            let say = async { Ok(says.write_all(&round.commands).await?) };
            let hear = read_lines(&mut hears, round.lines.len(), &mut answers);
            tokio::try_join!(say, hear)?;
            match events(&answers)?.iter().find(|event| **event != "ok") {
                None => Ok(()),
                Some(other) => Err(Failure(format!("a publish was answered by {other}"))),
            }
        }))
    }
}

async fn in_time(work: impl Future<Output = Result<()>>) -> Result<()> {
    let late = |_| Failure(format!("the server took longer than {PATIENCE:?}"));
    timeout(PATIENCE, work).await.map_err(late)?
}

/// Streams that come in without a network.
struct Incoming(Mutex<mpsc::Receiver<End>>);

impl Accept for Incoming {
    type Stream = End;

    async fn accept(&self, _: Timeouts) -> io::Result<(End, Ends)> {
        match self.0.lock().await.recv().await {
            Some(end) => Ok((end, Ends::Unix { uid: 0 })),
            None => std::future::pending().await,
        }
    }
}
