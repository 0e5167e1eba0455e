//! Messages that wait for others, so that they are handed out together.
//!
//! Nothing is kept for it: what waits stays in the log, and the cursor does not read on until the
//! window has ended that the first of it has opened.

use std::task::Context;

use doorbell_protocol::CoalesceWindow;
use tokio::time::Instant;

use crate::tail::Waiter;

/// The windows of a cursor, and the one that is open.
#[derive(Debug, Default)]
pub(super) struct Coalescing {
    /// One for each filter of the cursor; none if no filter has one.
    windows: Vec<CoalesceWindow>,
    /// When the open one ends.
    until: Option<Instant>,
}

impl Coalescing {
    /// The newest of so many filters has this window.
    pub(super) fn add(&mut self, filters: usize, window: CoalesceWindow) {
        if !window.is_none() {
            self.windows.resize(filters, CoalesceWindow::default());
            self.windows[filters - 1] = window;
        }
    }

    /// The filter at this index is gone.
    pub(super) fn remove(&mut self, index: usize) {
        if index < self.windows.len() {
            self.windows.remove(index);
        }
    }

    /// The window of so many filters together: their messages come in one order, so those that may
    /// wait the least say how long all of them do.
    pub(super) fn window(&self, filters: usize) -> CoalesceWindow {
        // Filters that came later have none.
        let all = self.windows.len() == filters;
        self.windows.iter().copied().min().filter(|_| all).unwrap_or_default()
    }

    /// When the open window ends.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// No window is open: whatever there is, is read now.
    pub(super) fn close(&mut self) {
        self.until = None;
    }

    /// Whether what was marked for this waiter still waits for more. The task is woken for the
    /// first of it; that the window ends has to be waited for elsewhere.
    pub(super) fn holds_back(
        &mut self,
        window: CoalesceWindow,
        waiter: &Waiter,
        context: &mut Context<'_>,
    ) -> bool {
        if waiter.poll_unseen(context).is_pending() {
            return false;
        }
        let now = Instant::now();
        let until = *self.until.get_or_insert_with(|| now + window.duration());
        if until <= now {
            self.close();
        }
        self.until.is_some()
    }
}
