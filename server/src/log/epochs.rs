//! The starts of a server, and which places each of them gave out.
//!
//! Every start begins a new epoch, higher than all before it, so that a place is never given out
//! twice: not after a machine died with messages that had not reached its disk, and not after an
//! older copy of the log was put back. The log remembers where each epoch began, and so a place
//! stays exact across any number of starts.
//!
//! ```text
//! seq     1 2 3 4 5 6 7 8 9 …
//! epoch   |- 17 ---| |- 90 ------        from: 17 at 0, 90 at 5
//! ```

use std::time::Duration;

use doorbell_protocol::id::EPOCH_MAX;
use doorbell_protocol::{Epoch, Id};

use crate::limits::EPOCHS_MAX;

/// What epochs count at least: steps since 2024 began, so that a log that was put back to an older
/// state does not draw what it drew before.
const STEP: Duration = Duration::from_secs(32);
const YEAR_2024: Duration = Duration::from_secs(1_704_067_200);
/// The highest epoch that the clock alone may ask for: one that stands far ahead leaves room.
const CLOCK_MAX: u64 = 1 << 26;
/// What is drawn at random where the log may have been copied, and where it goes on.
const DRAWN: u32 = 1 << 16;
const DRAWN_IN_PLACE: u32 = 8;

/// One start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its epoch.
    pub epoch: Epoch,
    /// The place that the log had reached.
    pub from: u64,
    /// Whether messages before it were lost. The place itself then stands for the loss: it is one
    /// that no message ever had.
    pub torn: bool,
}

/// The starts that are remembered, oldest first, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epochs(Vec<Span>);

/// What a place that a reader names means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Located {
    /// Just this place.
    At(u64),
    /// A place that was lost: this is the first one that is held behind it.
    Lost(u64),
    /// It is of a time that is no longer remembered.
    Expired,
    /// This log never gave it out.
    Foreign,
}

impl Epochs {
    /// Those of a log that begins.
    pub fn of_new_log(clock_us: u64) -> Self {
        // There is an epoch above any that a clock can ask for.
        let epoch = next(None, clock_us, false).unwrap_or(Epoch::from_bits(0));
        Self(vec![Span { epoch, from: 0, torn: false }])
    }

    /// Those that were found, if there are any.
    pub fn found(mut spans: Vec<Span>) -> Option<Self> {
        // What two segments tell is told twice.
        spans.sort_by_key(|span| span.epoch);
        spans.dedup_by_key(|span| span.epoch);
        (!spans.is_empty()).then_some(Self(spans))
    }

    /// The start that is running.
    pub fn current(&self) -> Epoch {
        self.last().epoch
    }

    fn last(&self) -> &Span {
        self.0.last().expect("there is at least one")
    }

    /// All of them.
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// Adds a start, behind all others.
    pub fn push(&mut self, span: Span) {
        assert!(span.epoch > self.current(), "{span:?} after {:?}", self.last());
        self.0.push(span);
        if self.0.len() > EPOCHS_MAX {
            // One during which nothing was published has given out no place.
            let is_empty = |pair: &[Span]| pair[0].from == pair[1].from && !pair[1].torn;
            let forgotten = self.0.windows(2).skip(1).position(is_empty).map_or(0, |at| at + 1);
            self.0.remove(forgotten);
        }
    }

    /// Those that a log which holds nothing before this place has to remember. Of those that began
    /// with it empty it is the first that gave out its beginning, so all of these go together.
    pub fn since(&self, place: u64) -> &[Span] {
        let begun = self.0.partition_point(|span| span.from < place);
        let from = self.0[begun.saturating_sub(1)].from;
        &self.0[self.0.partition_point(|span| span.from < from)..]
    }

    /// The first place after this one that stands for a loss.
    pub fn next_loss(&self, after: u64) -> Option<u64> {
        self.0.iter().find(|span| span.torn && span.from > after).map(|span| span.from)
    }

    /// The place as readers name it.
    pub fn id(&self, place: u64) -> Id {
        let begun = |span: &Span| span.from < place || (span.torn && span.from == place);
        let index = self.0.partition_point(begun).saturating_sub(1);
        self.0[index].epoch.id(place)
    }

    /// What a reader's place means, where all messages up to `visible` may be seen.
    pub fn locate(&self, id: Id, visible: u64) -> Located {
        let (epoch, seq) = (id.epoch(), id.seq());
        let index = match self.0.binary_search_by_key(&epoch, |span| span.epoch) {
            Ok(index) => index,
            // The log is older than what it remembers.
            Err(0) if self.0[0].from > 0 => return Located::Expired,
            Err(_) => return Located::Foreign,
        };
        if index > 0 && seq < self.0[index].from {
            return Located::Foreign;
        }
        let next = self.0.get(index + 1);
        let end = next.map_or(visible, |next| next.from - u64::from(next.torn));
        if seq <= end {
            return Located::At(seq);
        }
        Located::Lost(next.map_or(visible, |next| next.from))
    }
}

/// The epoch of the next start, after the last one of the log. `in_place` says that the log is
/// where that one wrote it. `None` if there are no more epochs.
pub(super) fn next(last: Option<Epoch>, clock_us: u64, in_place: bool) -> Option<Epoch> {
    let since_2024 = Duration::from_micros(clock_us).saturating_sub(YEAR_2024);
    let steps = (since_2024.as_secs() / STEP.as_secs()).min(CLOCK_MAX);
    let steps = u32::try_from(steps).unwrap_or(u32::MAX);
    let drawn = rand::random_range(0..if in_place { DRAWN_IN_PLACE } else { DRAWN });
    let epoch = last.map_or(0, Epoch::bits).max(steps) + 1 + drawn;
    (epoch <= EPOCH_MAX).then(|| Epoch::from_bits(epoch))
}
