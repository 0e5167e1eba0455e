//! What arithmetic expects of long polls: a message that comes while the last answer and the next
//! question are under way, a round trip R together, waits for that question.
//!
//! For a Poisson stream of rate λ a message waits (λR²/2) / (λR + e^−λR) longer than by push, and
//! there are 1 / (R + e^−λR / λ) questions a second that bring something. For times that are known
//! both follow by going through them, whatever the process.

use std::time::Duration;

use serde::Serialize;

use crate::figure::float_of;

/// Of long polls over a round trip.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Rearm {
    /// Seconds that a message waits because nobody asks just then, on average.
    pub(crate) extra_wait_s: f64,
    /// Questions a second that are answered with messages.
    pub(crate) questions_per_s: f64,
}

impl Rearm {
    /// By formula, for a Poisson stream.
    pub(crate) fn formula(rate: f64, round_trip: f64) -> Self {
        let gap = rate * round_trip;
        Self {
            extra_wait_s: gap * round_trip / 2.0 / (gap + (-gap).exp()),
            questions_per_s: 1.0 / (round_trip + (-gap).exp() / rate),
        }
    }

    /// For messages at these times, in their order, of a run that takes so long.
    pub(crate) fn of_times(times: &[Duration], duration: Duration, round_trip: f64) -> Self {
        let (mut waits, mut questions, mut asked, mut next) = (0.0, 0_usize, 0.0_f64, 0);
        while let Some(first) = times.get(next) {
            let answered = asked.max(first.as_secs_f64());
            while let Some(at) = times.get(next).map(Duration::as_secs_f64)
                && at <= answered
            {
                waits += answered - at;
                next += 1;
            }
            questions += 1;
            asked = answered + round_trip;
        }
        Self {
            extra_wait_s: waits / float_of(times.len().max(1)),
            questions_per_s: float_of(questions) / duration.as_secs_f64(),
        }
    }

    /// The mean of several rounds.
    pub(crate) fn mean(rounds: &[Self]) -> Option<Self> {
        let of = |value: fn(&Self) -> f64| {
            (!rounds.is_empty())
                .then(|| rounds.iter().map(value).sum::<f64>() / float_of(rounds.len()))
        };
        Some(Self {
            extra_wait_s: of(|round| round.extra_wait_s)?,
            questions_per_s: of(|round| round.questions_per_s)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Process;
    use crate::schedule::draw;

    #[test]
    fn what_is_worked_out_for_random_times_is_what_the_formula_says() {
        let hour = Duration::from_secs(3600);
        // The last two were measured by another program: 35.5 and 73 ms more, 11.1 and 3.66 a
        // second.
        for (rate, round_trip) in [(0.2, 0.5), (2.0, 0.3), (20.0, 0.08), (5.0, 0.2), (1.0, 0.0)] {
            let times = draw(Process::Poisson, rate, hour, 5);
            let (drawn, formula) =
                (Rearm::of_times(&times, hour, round_trip), Rearm::formula(rate, round_trip));
            let is_near = |a: f64, b: f64| (a - b).abs() <= 0.06 * b.max(1e-3);
            assert!(is_near(drawn.extra_wait_s, formula.extra_wait_s), "{drawn:?} {formula:?}");
            let questions = (drawn.questions_per_s, formula.questions_per_s);
            assert!(is_near(questions.0, questions.1), "{drawn:?} {formula:?}");
        }
        let measured = Rearm::formula(20.0, 0.08);
        assert!((measured.extra_wait_s - 0.0355).abs() < 1e-4, "{measured:?}");
        assert!((measured.questions_per_s - 11.1).abs() < 0.1, "{measured:?}");
    }

    #[test]
    fn what_comes_in_the_gap_waits_for_the_next_question() {
        let times = [0, 100, 400].map(Duration::from_millis);
        // The second waits until the first round trip is over; the third finds a question.
        let rearm = Rearm::of_times(&times, Duration::from_secs(1), 0.3);
        assert!((rearm.extra_wait_s - (0.2 + 0.2) / 3.0).abs() < 1e-9, "{rearm:?}");
        assert!((rearm.questions_per_s - 3.0).abs() < 1e-9, "{rearm:?}");
    }
}
