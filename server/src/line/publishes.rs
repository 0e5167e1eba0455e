//! The publishes of one conversation that are not answered yet. Those that came together are
//! submitted together; all are answered in their order.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::access::{Access, Permitted};
use crate::limits::PUBLISHES_PENDING_MAX;
use crate::writer::{Answer, Pending};

/// Publishes without an answer.
#[derive(Debug, Default)]
pub(super) struct Publishes {
    /// What is not submitted yet: newer than all that is.
    gathered: Vec<Permitted>,
    submitted: VecDeque<Pending>,
    /// How many there are in both.
    count: usize,
}

impl Publishes {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether another one may be added.
    pub(super) fn has_room(&self) -> bool {
        self.count < PUBLISHES_PENDING_MAX
    }

    /// Whether some are still to be submitted.
    pub(super) fn has_gathered(&self) -> bool {
        !self.gathered.is_empty()
    }

    /// Adds one, to be submitted with those that come right after it.
    pub(super) fn gather(&mut self, draft: Permitted) {
        self.gathered.push(draft);
        self.count += 1;
    }

    /// Submits what was gathered.
    pub(super) async fn submit(&mut self, access: &Access) {
        if self.has_gathered() {
            let pending = access.submit(std::mem::take(&mut self.gathered)).await;
            self.submitted.push_back(pending);
        }
    }

    /// The answers to the oldest of those that were submitted: all that are there, at least one.
    pub(super) fn poll_answers(&mut self, context: &mut Context<'_>) -> Poll<Vec<Answer>> {
        let mut answers = Vec::new();
        while let Some(oldest) = self.submitted.front_mut()
            && let Poll::Ready(next) = Pin::new(oldest).poll(context)
        {
            self.submitted.pop_front();
            self.count -= next.len();
            if answers.is_empty() {
                answers = next;
            } else {
                answers.extend(next);
            }
        }
        if answers.is_empty() { Poll::Pending } else { Poll::Ready(answers) }
    }
}
