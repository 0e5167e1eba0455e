//! One race: some contenders, one plan. All are connected before the first message is due, and are
//! waited for after the last.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use doorbell::laboratory::Habits;
use doorbell::{Client, Publisher, Receipt, Server};
use doorbell_instruments::{Connection, Failure, Meter, Traffic};
use futures_util::StreamExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, sleep_until, timeout};

use crate::contender::{Contender, Places};
use crate::flags::Phases;
use crate::interrupt::Interrupt;
use crate::measure::{Latencies, Measure, Shared};
use crate::outage::Failing;
use crate::progress::Progress;
use crate::row::Datagrams;
use crate::schedule::Schedule;
use crate::subscriber::{Phase, Signal, Subscriber};
use crate::usage::{Spent, Usage, own_cpu};

/// How long the contenders may take to connect, and what each connection adds to it.
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);
const CONNECT_DEADLINE_EACH: Duration = Duration::from_millis(5);
/// How long stragglers are waited for after the last poll is due.
const GRACE: Duration = Duration::from_secs(2);
/// The same where packets are lost: TCP may send one several times, each after twice the wait.
const GRACE_LINK: Duration = Duration::from_secs(10);
/// How long connections may take to end, so that their last packets are counted, and how long it is
/// from one look at them to the next: the end wakes nobody.
const CLOSING_MAX: Duration = Duration::from_secs(2);
const CLOSING_LOOK: Duration = Duration::from_millis(5);
/// From one look to the next at whether a contender has heard again.
const AGAIN_LOOK: Duration = Duration::from_millis(20);
/// Publishes under way at once: the plan waits for no answer.
const WINDOW: usize = 4096;

/// What races, and on what.
pub(crate) struct Race<'a> {
    /// Where the server is asked about itself.
    pub(crate) server: &'a Server,
    /// Where messages are published.
    pub(crate) publish_at: &'a Server,
    /// Where the contenders connect to.
    pub(crate) places: &'a Places,
    pub(crate) contenders: &'a [Contender],
    pub(crate) subscribers: usize,
    /// Of the phases of polls, and of the order in which contenders connect.
    pub(crate) seed: u64,
    pub(crate) schedule: Arc<Schedule>,
    /// Whether the connections are wanted one by one.
    pub(crate) lists: bool,
    /// When polls ask.
    pub(crate) phases: Phases,
    /// What fails in the middle of it.
    pub(crate) failing: Option<Failing<'a>>,
}

/// What became of publishing, and what all of it used.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// By sequence number, whether the server said that it stored the message. Ends with the last
    /// answer.
    pub(crate) accepted: Vec<bool>,
    /// What went wrong, if something did.
    pub(crate) trouble: Option<String>,
    /// Whether it was ended before its time.
    pub(crate) interrupted: bool,
    /// The most by which the publisher took up a message late.
    pub(crate) latest: Duration,
    /// From the start to the end of publishing.
    pub(crate) window: Duration,
    /// From the start until nobody was waited for any more, and what was used meanwhile.
    pub(crate) wall: Duration,
    pub(crate) own_cpu: Duration,
    pub(crate) server: Option<Spent>,
}

impl Outcome {
    pub(crate) fn accepted_count(&self) -> usize {
        self.accepted.iter().filter(|accepted| **accepted).count()
    }
}

/// What one contender did, all subscribers together.
#[derive(Debug)]
pub(crate) struct Finish {
    pub(crate) latencies: Latencies,
    pub(crate) measures: Vec<Measure>,
    /// While messages were published.
    pub(crate) window: Traffic,
    pub(crate) delivered_in_window: u64,
    /// What became of datagrams, if it has any.
    pub(crate) datagrams: Datagrams,
    /// From the first packet to the last.
    pub(crate) whole: Traffic,
    /// From the beginning of an outage until all had heard again, or the end.
    pub(crate) outage: Option<Traffic>,
    /// The connections of it, if they are wanted.
    pub(crate) connections: Vec<Connection>,
}

/// The subscribers of one contender.
struct Team {
    shared: Arc<Shared>,
    meters: Vec<Arc<Meter>>,
}

impl Team {
    fn traffic(&self) -> Traffic {
        self.meters.iter().fold(Traffic::default(), |sum, meter| sum.plus(meter.read()))
    }

    fn is_closing(&self) -> bool {
        self.meters.iter().any(|meter| meter.closing() > 0)
    }

    fn datagrams(&self) -> Datagrams {
        let mut sum = Datagrams::default();
        for meter in &self.meters {
            sum.add(meter.losses());
        }
        sum
    }
}

/// All subscribers of a race. Dropped, it ends them.
struct Field {
    teams: Vec<Team>,
    tasks: JoinSet<(usize, Measure)>,
    phase: watch::Sender<Phase>,
    signals: mpsc::Receiver<Signal>,
}

impl Race<'_> {
    /// Runs it.
    pub(crate) async fn run(
        &self,
        interrupt: &mut Interrupt,
        progress: &Progress,
    ) -> Result<(Outcome, Vec<Finish>), Failure> {
        let connecting = async {
            let lines = self.publish_at.lines().await?;
            let mut publisher = Client::new(Server::Lines(lines, None)).publisher().window(WINDOW);
            publisher.connect().await?;
            let mut field = self.field()?;
            field.connected(self.contenders).await?;
            Ok::<_, Failure>((publisher, field))
        };
        let (mut publisher, mut field) = tokio::select! {
            connected = connecting => connected?,
            () = interrupt.next() => return Err(Failure::Failed("interrupted".to_owned())),
        };
        let usage = Usage::of(self.server).await;
        let before: Vec<Traffic> = field.teams.iter().map(Team::traffic).collect();
        let began = self.schedule.start();
        let cpu = own_cpu();
        let publishing = publish(&mut publisher, &self.schedule, interrupt, progress);
        let (mut outcome, outages) = tokio::join!(publishing, self.fail(&field));
        let outages = outages?;
        outcome.window = began.elapsed();
        let after: Vec<(Traffic, u64)> =
            field.teams.iter().map(|team| (team.traffic(), team.shared.count())).collect();
        let slowest = self.contenders.iter().map(Contender::lateness).max();
        let grace = if self.places.flows.is_some() { GRACE_LINK } else { GRACE };
        tokio::select! {
            () = field.drain(outcome.accepted_count(), slowest.unwrap_or_default() + grace) => {}
            () = interrupt.next() => outcome.interrupted = true,
        }
        outcome.wall = began.elapsed();
        outcome.own_cpu = own_cpu().saturating_sub(cpu);
        outcome.server = match (usage, Usage::of(self.server).await) {
            // A server that was started again has a count of its own.
            (Some(before), Some(after)) if after.cpu_seconds >= before.cpu_seconds => {
                Some(after.since(&before))
            }
            _ => None,
        };
        outcome.latest = self.schedule.latest();
        let mut finishes = field.finish(&before, &after).await;
        for (finish, outage) in finishes.iter_mut().zip(outages) {
            finish.outage = Some(outage);
        }
        Ok((outcome, finishes))
    }

    /// Lets something fail, if that is wanted, and says what each contender moved from its
    /// beginning until all had heard again.
    async fn fail(&self, field: &Field) -> Result<Vec<Traffic>, Failure> {
        let Some(failing) = &self.failing else {
            return Ok(Vec::new());
        };
        let begin = self.schedule.middle();
        sleep_until(begin.into()).await;
        let before: Vec<Traffic> = field.teams.iter().map(Team::traffic).collect();
        self.schedule.end_outage(failing.happen(begin, &field.phase).await?);
        let mut moved: Vec<Option<Traffic>> = vec![None; before.len()];
        loop {
            let is_over = Instant::now() >= self.schedule.end();
            for ((team, before), moved) in field.teams.iter().zip(&before).zip(&mut moved) {
                if moved.is_none() && (is_over || team.shared.again() >= team.meters.len()) {
                    *moved = Some(team.traffic().since(*before));
                }
            }
            if moved.iter().all(Option::is_some) {
                return Ok(moved.into_iter().flatten().collect());
            }
            // Nobody is woken by what others have heard.
            sleep(AGAIN_LOOK).await;
        }
    }

    fn field(&self) -> Result<Field, Failure> {
        let (phase, _) = watch::channel(Phase::Running);
        let count = self.contenders.len() * self.subscribers;
        let (sender, signals) = mpsc::channel(2 * count.max(1));
        let mut field = Field { teams: Vec::new(), tasks: JoinSet::new(), phase, signals };
        let mut phases = StdRng::seed_from_u64(self.seed);
        let origin = Instant::now();
        let team = || Team { shared: Arc::default(), meters: Vec::new() };
        field.teams = self.contenders.iter().map(|_| team()).collect();
        // The server serves them in the order in which they came: another one in each round.
        let first = phases.random_range(0..self.contenders.len().max(1));
        for (index, contender) in
            self.contenders.iter().enumerate().cycle().skip(first).take(self.contenders.len())
        {
            let team = &mut field.teams[index];
            for number in 0..self.subscribers {
                let filter = self.schedule.filter()?;
                let meter = self.places.meter();
                if self.lists {
                    meter.list_connections();
                }
                let habits = contender.way.habits(self.places.style);
                let phase = Some(phases.random());
                let habits = match self.phases {
                    Phases::Random => Habits { phase, ..habits },
                    Phases::Together => Habits { origin: Some(origin), ..habits },
                };
                let subscribe = contender.subscribe(self.places, filter)?.habits(habits);
                let updates = subscribe.observed(Arc::clone(&meter) as _).stream();
                team.meters.push(meter);
                let subscriber = Subscriber {
                    team: index,
                    updates,
                    schedule: Arc::clone(&self.schedule),
                    shared: Arc::clone(&team.shared),
                    draws: number == 0,
                    measure: Measure::new(self.schedule.len()),
                };
                let phase = field.phase.subscribe();
                field.tasks.spawn(subscriber.receive(phase, sender.clone()));
            }
        }
        Ok(field)
    }
}

impl Field {
    /// Waits until each has been taken up by the server.
    async fn connected(&mut self, contenders: &[Contender]) -> Result<(), Failure> {
        let all = self.tasks.len();
        let mut waiting = all;
        let each = CONNECT_DEADLINE_EACH.saturating_mul(u32::try_from(all).unwrap_or(u32::MAX));
        let complete = async {
            while waiting > 0 {
                tokio::select! {
                    Some(Signal::Connected) = self.signals.recv() => waiting -= 1,
                    Some(Ok(ended)) = self.tasks.join_next() => return Some(ended),
                    else => return None,
                }
            }
            None
        };
        match timeout(CONNECT_DEADLINE + each, complete).await {
            Ok(None) => Ok(()),
            Ok(Some((team, measure))) => Err(Failure::Failed(format!(
                "{} cannot be compared: {}",
                contenders[team].name(),
                measure.trouble.unwrap_or_else(|| "it ended".to_owned())
            ))),
            Err(_) => Err(Failure::Failed(format!(
                "{waiting} of {all} subscribers are not connected after {} s",
                (CONNECT_DEADLINE + each).as_secs()
            ))),
        }
    }

    /// Waits until each has so many messages, or for as long as the limit.
    async fn drain(&mut self, messages: usize, limit: Duration) {
        self.phase.send_replace(Phase::Draining(messages));
        let mut missing = self.tasks.len();
        let complete = async {
            while missing > 0 {
                match self.signals.recv().await {
                    Some(Signal::Complete) => missing -= 1,
                    Some(Signal::Connected) => {}
                    None => return,
                }
            }
        };
        // A subscriber that is not complete in time has missed something, and the table says so.
        let _ = timeout(limit, complete).await;
    }

    /// Ends all and takes what they have.
    async fn finish(mut self, before: &[Traffic], after: &[(Traffic, u64)]) -> Vec<Finish> {
        self.phase.send_replace(Phase::Done);
        let mut measures: Vec<Vec<Measure>> = self.teams.iter().map(|_| Vec::new()).collect();
        while let Some(joined) = self.tasks.join_next().await {
            if let Ok((team, measure)) = joined {
                measures[team].push(measure);
            }
        }
        let _ = timeout(CLOSING_MAX, async {
            while self.teams.iter().any(Team::is_closing) {
                sleep(CLOSING_LOOK).await;
            }
        })
        .await;
        let teams = self.teams.iter().zip(measures).zip(before.iter().zip(after));
        teams
            .map(|((team, measures), (before, (after, delivered)))| Finish {
                latencies: team.shared.take(),
                measures,
                window: after.since(*before),
                delivered_in_window: *delivered,
                outage: None,
                datagrams: team.datagrams(),
                whole: team.traffic(),
                connections: team.meters.iter().flat_map(|meter| meter.connections()).collect(),
            })
            .collect()
    }
}

/// Publishes the plan and waits for its end, or until interrupted.
async fn publish(
    publisher: &mut Publisher,
    schedule: &Arc<Schedule>,
    interrupt: &mut Interrupt,
    progress: &Progress,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut ticks = interval(Duration::from_millis(500));
    let end = schedule.end();
    // Dropping the one end of it ends the plan.
    let (running, stopped) = oneshot::channel::<()>();
    let mut running = Some(running);
    let drafts = schedule.drafts().take_until(stopped);
    let mut receipts = pin!(publisher.publish_all(drafts));
    let mut answered = false;
    loop {
        tokio::select! {
            receipt = receipts.next(), if !answered => match receipt {
                Some(Ok(Receipt::Accepted(_))) => {
                    schedule.accept(outcome.accepted.len());
                    outcome.accepted.push(true);
                }
                Some(Ok(Receipt::Refused(refusal))) => {
                    outcome.accepted.push(false);
                    outcome.trouble.get_or_insert(refusal.to_string());
                }
                Some(Err(error)) => outcome.trouble = Some(error.to_string()),
                None => answered = true,
            },
            () = sleep_until(end.into()), if answered => break,
            _ = ticks.tick() => {
                let left = end.saturating_duration_since(Instant::now()).as_secs_f64().ceil();
                let count = outcome.accepted.len();
                progress.detail(&format!("{count} of {} messages, {left} s", schedule.len()));
            }
            () = interrupt.next() => {
                // What is under way is waited for, but not a second time.
                let again = running.take().is_none();
                if std::mem::replace(&mut outcome.interrupted, true) && again || answered {
                    break;
                }
            }
        }
        if outcome.interrupted && answered {
            break;
        }
    }
    outcome
}
