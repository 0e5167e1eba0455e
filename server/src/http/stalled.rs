//! Answers over HTTP/2 that a client does not take.
//!
//! The socket beneath is not blocked when a client opens no window for an answer, so no write
//! deadline passes there: each stream has its own. The HTTP library takes the next piece of a body
//! when the client has room for the one before, so a stream is stalled since it took the last one.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::limits::{HTTP2_PIECE_BYTES_MAX, HTTP2_WHOLE_BYTES_MAX};
use crate::stop::detach;

tokio::task_local! {
    /// How the answer of this task's stream is taken.
    static TAKEN: Taken;
}

/// Since when an answer has a piece for which its client has no room. Clones share it.
#[derive(Debug, Clone, Default)]
struct Taken(Arc<Mutex<Option<Instant>>>);

impl Taken {
    fn stalled_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the streams of HTTP/2 connections. One that is stalled for the deadline is reset.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    /// How long a client may take nothing of an answer.
    pub(super) write_deadline: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let deadline = self.write_deadline;
        detach(async move {
            let taken = Taken::default();
            let mut stream = pin!(TAKEN.scope(taken.clone(), stream));
            let mut alarm: Option<Alarm> = None;
            poll_fn(|context| {
                if stream.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                let Some(since) = *taken.stalled_since() else { return Poll::Pending };
                let due = since + deadline;
                alarm.get_or_insert_with(|| Alarm::new(due)).poll_until(due, context)
            })
            .await;
        });
    }
}

/// Watches the answer of this task's stream.
pub(super) fn watch(answer: Response) -> Response {
    let taken = TAKEN.try_with(Clone::clone).unwrap_or_default();
    answer.map(|body| HttpBody::new(Watched { body, left: Bytes::new(), is_cut: false, taken }))
}

/// A body that notes how it is taken, and is given out in pieces that end with the client's taking
/// them: the last byte of a long one is a piece of its own, which goes out when the client has room
/// for all before it. So the library never holds more than a piece for which there is no room.
struct Watched {
    body: HttpBody,
    left: Bytes,
    /// Whether the rest is one of a longer piece.
    is_cut: bool,
    taken: Taken,
}

impl Watched {
    fn cut(&mut self) -> Bytes {
        let bytes = self.left.len();
        if !self.is_cut && bytes <= HTTP2_WHOLE_BYTES_MAX {
            return std::mem::take(&mut self.left);
        }
        let piece = self.left.split_to((bytes - 1).clamp(1, HTTP2_PIECE_BYTES_MAX));
        self.is_cut = !self.left.is_empty();
        piece
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.left.is_empty() {
            let frame = Pin::new(&mut self.body).poll_frame(context);
            let stalled = frame.is_ready().then(Instant::now);
            *self.taken.stalled_since() = stalled;
            match frame {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => self.left = data,
                    Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return other,
            }
        }
        *self.taken.stalled_since() = Some(Instant::now());
        Poll::Ready(Some(Ok(Frame::data(self.cut()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.left.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}
