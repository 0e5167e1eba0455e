//! How the server's processor time grows with the subscribers of one contender: runs of its own
//! with three numbers of them, twice each, and a line through what they took.
//!
//! What publishing and the server itself take is the same in all of them, so it is in the line's
//! base and not in its slope.

use std::sync::Arc;
use std::time::Duration;

use doorbell_instruments::Failure;

use crate::contender::Contender;
use crate::figure::float_of;
use crate::flags::Process;
use crate::interrupt::Interrupt;
use crate::line::Line;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::race::Race;
use crate::schedule::{Planned, Schedule, draw};
use crate::setup::Setup;

/// Parts of the largest number of subscribers.
const PARTS: [usize; 3] = [4, 2, 1];
/// Runs of each number.
const RUNS: usize = 2;
/// How long one run takes at most.
const DURATION: Duration = Duration::from_secs(3);

/// Cores that the server takes, by the subscribers of a contender; `None` where it does not tell,
/// or the run was cut short.
pub(crate) async fn measure(
    setup: &Setup,
    plan: &Plan,
    contenders: &[Contender],
    interrupt: &mut Interrupt,
    progress: &mut Progress,
) -> Result<Vec<Option<Line>>, Failure> {
    let mut lines = Vec::new();
    for contender in contenders {
        let mut points = Vec::new();
        for run in 0..RUNS {
            for part in PARTS {
                let subscribers = plan.most_subscribers() / part;
                progress.stage(format!(
                    "for the projection: {subscribers} of {}, run {} of {RUNS}",
                    contender.name(),
                    run + 1
                ));
                let race = race(setup, plan, contender, subscribers)?;
                let (outcome, _) = race.run(interrupt, progress).await?;
                if outcome.interrupted {
                    return Ok(vec![None; contenders.len()]);
                }
                let cores = outcome.server.map(|spent| spent.cpu_seconds / seconds(&outcome.wall));
                points.extend(cores.map(|cores| (float_of(subscribers), cores)));
            }
        }
        lines.push(Line::through(&points));
    }
    Ok(lines)
}

/// How many runs that makes, and how long messages are published in each.
pub(crate) fn runs(plan: &Plan, contenders: &[Contender]) -> (u32, Duration) {
    let runs = RUNS * PARTS.len() * contenders.len();
    (u32::try_from(runs).unwrap_or(u32::MAX), DURATION.min(plan.duration))
}

fn seconds(wall: &Duration) -> f64 {
    wall.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// Messages at equal distances, so that each run has as many.
fn race<'a>(
    setup: &'a Setup,
    plan: &Plan,
    contender: &'a Contender,
    subscribers: usize,
) -> Result<Race<'a>, Failure> {
    let duration = DURATION.min(plan.duration);
    let times = draw(Process::Steady, plan.rate, duration, plan.seed);
    let planned: Arc<[Planned]> =
        times.into_iter().map(|at| Planned { at, topic: 0, bytes: plan.payload }).collect();
    Ok(Race {
        server: &setup.server,
        publish_at: &setup.publish_at,
        places: &setup.places,
        contenders: std::slice::from_ref(contender),
        subscribers,
        seed: plan.seed,
        schedule: Arc::new(Schedule::new(planned, duration)?),
        lists: false,
        phases: plan.phases,
        failing: None,
    })
}
