//! A timer whose moment moves with every message and that is nevertheless seldom touched.
//!
//! Putting a timer in its place and taking it out again costs more than all the rest of handing out
//! a message. A sign of life is due so long after the last event, so its moment only ever moves
//! away: the timer stays where it is, rings too early, and only then is put where it belongs.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// One timer, for whatever is due next.
#[derive(Debug)]
pub struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    /// A timer that is put at this moment to begin with.
    pub fn new(moment: Instant) -> Self {
        Self(Box::pin(sleep_until(moment)))
    }

    /// Ready when the moment has come. The moment may be another one at each call.
    pub fn poll_until(&mut self, moment: Instant, context: &mut Context<'_>) -> Poll<()> {
        let timer = &mut self.0;
        if timer.deadline() > moment {
            timer.as_mut().reset(moment);
        }
        while timer.as_mut().poll(context).is_ready() {
            if moment <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(moment);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_rings_at_its_moment_however_that_moves() {
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let mut alarm = Alarm::new(after(10));
        for (moment, rings) in [(20, 20), (5, 20), (30, 30), (29, 30), (40, 40)] {
            poll_fn(|context| alarm.poll_until(after(moment), context)).await;
            assert_eq!(begin.elapsed().as_secs(), rings, "{moment}");
        }
    }
}
