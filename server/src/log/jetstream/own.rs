//! The batch that this front has under way: its messages are collected as the tail brings them, and
//! its publisher is answered when all of them were told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::message::Message;

/// What is under way, one batch at a time.
#[derive(Debug)]
pub(super) struct Own {
    /// The name of this front: no other one, and no earlier one, has the same.
    front: String,
    batches: AtomicU64,
    under_way: Mutex<Option<UnderWay>>,
}

#[derive(Debug)]
struct UnderWay {
    /// How the ids of its messages begin.
    prefix: String,
    count: usize,
    messages: Vec<Message>,
    told: oneshot::Sender<Vec<Message>>,
}

impl Own {
    pub(super) fn new(front: String) -> Self {
        Self { front, batches: AtomicU64::new(0), under_way: Mutex::new(None) }
    }

    /// Begins a batch of so many messages: its name, and what brings them when they were told. One
    /// that was under way before is no longer waited for.
    pub(super) fn begin(&self, count: usize) -> (String, oneshot::Receiver<Vec<Message>>) {
        let number = self.batches.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}.{number}", self.front);
        let (told, receiver) = oneshot::channel();
        let messages = Vec::with_capacity(count);
        let prefix = format!("{name}.");
        *self.under_way() = Some(UnderWay { prefix, count, messages, told });
        (name, receiver)
    }

    /// Notes a message that came, if it is one of the batch.
    pub(super) fn note(&self, message_id: &str, message: Message) {
        if !message_id.starts_with(&self.front) {
            return;
        }
        if let Some(own) = &mut *self.under_way()
            && message_id.starts_with(&own.prefix)
        {
            own.messages.push(message);
        }
    }

    /// Answers the publisher, if all of the batch was told.
    pub(super) fn answer(&self) {
        let mut under_way = self.under_way();
        if let Some(own) = under_way.take_if(|own| own.messages.len() == own.count) {
            // It may have given up just now.
            let _ = own.told.send(own.messages);
        }
    }

    fn under_way(&self) -> MutexGuard<'_, Option<UnderWay>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
