//! Serves one page that watches, over its WebSocket: tells it what goes on, does what it asks for.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::{Code, Error, Topic};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::frames::{PageRequest, Said, Wanted, Way};
use super::subscribers::Subscriber;
use super::wiretap::{Trace, Wiretap};
use super::{Seat, View};
use crate::access::Operation;
use crate::connections::Serving;
use crate::limits::LAB_TOLD_MAX;
use crate::websocket::{CloseCode, Fault, Socket, text_frames};

/// How often the page is told the table and the sums.
const TOLD_EVERY: Duration = Duration::from_millis(500);
/// What to say where nothing may be captured.
const TRACE_IS_OFF: &str = "start the server with --trace";

/// A subscriber that runs, or that is ending.
struct Runner {
    /// Stops it when it is dropped; gone if it was stopped.
    stop: Option<DropGuard>,
    task: JoinHandle<()>,
}

/// Why a session ended.
enum Ending {
    /// The page has gone, or takes nothing.
    Gone,
    /// The page broke the rules of WebSockets, or was late with what it began.
    Fault(Error),
    /// The server is stopping.
    Stopping,
    /// The right to watch has ended.
    Refused,
}

/// What a page opens.
pub(crate) type WebSocket = Socket<TokioIo<Upgraded>>;

struct Session {
    socket: WebSocket,
    /// What the page has said and was not obeyed yet, in lines.
    heard: Vec<u8>,
    seat: Arc<Seat>,
    topic: Topic,
    stop: CancellationToken,
    with_table: bool,
    runners: HashMap<Way, Runner>,
    wiretap: Option<Wiretap>,
    /// Where subscribers tell what happens to them.
    voice: mpsc::Sender<Said>,
    told: mpsc::Receiver<Said>,
}

/// Serves a page until it goes or the server stops. What was started for it ends with it.
pub(crate) async fn run(socket: WebSocket, seat: Seat, topic: Topic, _serving: Serving) {
    let stop = seat.parts().stop.clone();
    let (voice, told) = mpsc::channel(LAB_TOLD_MAX);
    let mut session = Session {
        socket,
        heard: Vec::new(),
        seat: Arc::new(seat),
        topic,
        stop,
        with_table: true,
        runners: HashMap::new(),
        wiretap: None,
        voice,
        told,
    };
    let Err(ending) = session.converse().await;
    let (code, reason) = match &ending {
        Ending::Gone => return,
        Ending::Fault(error) => (CloseCode::of(error), error.text()),
        Ending::Stopping => (CloseCode::Away, "the server is stopping"),
        Ending::Refused => (CloseCode::Policy, "the right to watch has ended"),
    };
    let _ = session.socket.close(code, reason).await;
}

impl Session {
    async fn converse(&mut self) -> Result<std::convert::Infallible, Ending> {
        self.greet().await?;
        let mut ticks = interval(TOLD_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = self.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Err(Ending::Stopping),
                _ = ticks.tick() => {
                    if self.seat.access().permits(Operation::Watch).is_err() {
                        return Err(Ending::Refused);
                    }
                    self.show().await?;
                }
                Some(said) = self.told.recv() => self.pass_on(said).await?,
                heard = hear(&mut self.socket, &mut self.heard) => match heard {
                    Ok(()) => self.obey().await?,
                    Err(Fault::Broken(_)) => return Err(Ending::Gone),
                    Err(Fault::Breach(error)) => return Err(Ending::Fault(error)),
                },
                traces = next_traces(&mut self.wiretap) => self.tell_traces(traces).await?,
            }
        }
    }

    async fn greet(&mut self) -> Result<(), Ending> {
        let udp = self.seat.parts().addresses.udp.is_some();
        let trace = self.seat.parts().trace;
        let trace_reason = (!trace).then_some(TRACE_IS_OFF);
        self.say(&[Said::Hello { udp, trace, trace_reason }]).await
    }

    /// The table and the sums of this moment.
    async fn show(&mut self) -> Result<(), Ending> {
        let (seat, with_table) = (self.seat.clone(), self.with_table);
        let look = tokio::task::spawn_blocking(move || seat.look(with_table));
        let Ok(View { total, rows, lanes, refusal }) = look.await else {
            return Err(Ending::Stopping);
        };
        let table = with_table.then_some(Said::Table { total, rows });
        let error = refusal.map(|error| Said::Error { error });
        let said: Vec<Said> =
            [table, error, Some(Said::Wire { lanes })].into_iter().flatten().collect();
        self.say(&said).await
    }

    /// What subscribers have told, as much of it as there is, in one write.
    async fn pass_on(&mut self, first: Said) -> Result<(), Ending> {
        let mut said = vec![first];
        while let Ok(more) = self.told.try_recv() {
            said.push(more);
        }
        self.say(&said).await
    }

    async fn tell_traces(&mut self, traces: Result<Vec<Trace>, String>) -> Result<(), Ending> {
        match traces {
            Ok(traces) => {
                let said: Vec<Said> = traces.into_iter().map(Said::Trace).collect();
                self.say(&said).await
            }
            Err(error) => {
                self.wiretap = None;
                self.say(&[Said::Error { error }]).await
            }
        }
    }

    /// Does what the page asks for in whole lines.
    async fn obey(&mut self) -> Result<(), Ending> {
        while let Some(end) = memchr::memchr(b'\n', &self.heard) {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            let line = String::from_utf8_lossy(line.trim_ascii_end());
            let done = PageRequest::parse(&line).and_then(|request| self.fulfil(request));
            if let Err(error) = done {
                self.say(&[Said::Error { error: error.text().to_owned() }]).await?;
            }
        }
        Ok(())
    }

    fn fulfil(&mut self, request: PageRequest) -> Result<(), Error> {
        if let Some(wanted) = request.table {
            self.with_table = wanted;
        }
        if let Some(wanted) = request.trace {
            self.trace(wanted)?;
        }
        if let Some(ways) = request.run {
            if ways.contains(&Way::Udp) && self.seat.parts().addresses.udp.is_none() {
                let text = "run udp: the server has no UDP listener, start it with --udp";
                return Err(Error::new(Code::BadRequest, text));
            }
            for way in Way::ALL {
                self.run(way, ways.contains(&way));
            }
        }
        Ok(())
    }

    fn trace(&mut self, wanted: Wanted) -> Result<(), Error> {
        self.wiretap = None;
        let Wanted::Lane(lane) = wanted else { return Ok(()) };
        self.seat.access().permits(Operation::Capture)?;
        if !self.seat.parts().trace {
            let text = format!("trace {}: {TRACE_IS_OFF}", lane.as_str());
            return Err(Error::new(Code::BadRequest, text));
        }
        self.wiretap = Some(Wiretap::open(self.seat.clone(), lane)?);
        Ok(())
    }

    /// Starts a subscriber or stops it, unless it is as it should be.
    fn run(&mut self, way: Way, wanted: bool) {
        let known = self.runners.get_mut(&way);
        if !wanted {
            if let Some(runner) = known {
                runner.stop = None;
            }
            return;
        }
        if known.is_some_and(|runner| runner.stop.is_some()) {
            return;
        }
        let before = self.runners.remove(&way).map(|runner| runner.task);
        let stop = self.stop.child_token();
        let subscriber = Subscriber {
            way,
            seat: self.seat.clone(),
            topic: self.topic.clone(),
            voice: self.voice.clone(),
            stop: stop.clone(),
        };
        let task = self.seat.parts().tasks.spawn(async move {
            if let Some(before) = before {
                // Its predecessor says goodbye first.
                let _ = before.await;
            }
            subscriber.run().await;
        });
        self.runners.insert(way, Runner { stop: Some(stop.drop_guard()), task });
    }

    /// All of it in one write.
    async fn say(&mut self, said: &[Said]) -> Result<(), Ending> {
        let json: Result<Vec<_>, _> = said.iter().map(serde_json::to_vec).collect();
        let json = json.map_err(|error| {
            tracing::error!(%error, "a frame of the lab was not written");
            Ending::Gone
        })?;
        let frames = text_frames(json.iter().map(Vec::as_slice));
        self.socket.write(&frames).await.map_err(|_| Ending::Gone)
    }
}

/// Waits until the page has said something, for as long as it is not late.
async fn hear(socket: &mut WebSocket, heard: &mut Vec<u8>) -> Result<(), Fault> {
    let deadline = socket.deadline();
    let late = async {
        match deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        received = poll_fn(|context| socket.poll_receive(heard, context)) => received,
        () = late => Err(Fault::Breach(socket.lateness())),
    }
}

async fn next_traces(wiretap: &mut Option<Wiretap>) -> Result<Vec<Trace>, String> {
    match wiretap {
        Some(wiretap) => wiretap.next().await,
        None => std::future::pending().await,
    }
}
