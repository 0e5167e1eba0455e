//! Answers over HTTP/2 that a client does not take.
//!
//! The socket beneath is not blocked when a client opens no window, so no write deadline passes
//! there. Here the bodies of one connection note since when nothing was taken of them: the HTTP
//! library asks a body for more only when its client has room for it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use slab::Slab;
use tokio::time::{Instant, sleep_until};

/// The answers that are on their way over one connection. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers(Arc<Mutex<Slab<Taken>>>);

/// How an answer is taken.
#[derive(Debug, Clone, Copy)]
enum Taken {
    /// There is room for more than there is.
    Up,
    /// There is more, and no room for it since then.
    StalledSince(Instant),
}

impl Answers {
    /// Watches an answer until its body is sent or given up.
    pub(super) fn watch(&self, answer: Response) -> Response {
        answer.map(|body| {
            let key = self.lock().insert(Taken::StalledSince(Instant::now()));
            HttpBody::new(Watched { body, answers: self.clone(), key })
        })
    }

    /// Ends when nothing was taken of any answer for so long, and there is one.
    pub(super) async fn stalled(&self, deadline: Duration) {
        loop {
            let now = Instant::now();
            match self.stalled_since() {
                Some(since) if since + deadline <= now => return,
                Some(since) => sleep_until(since + deadline).await,
                None => sleep_until(now + deadline).await,
            }
        }
    }

    /// Since when nothing was taken of any of them.
    fn stalled_since(&self) -> Option<Instant> {
        let answers = self.lock();
        let stalled = answers.iter().map(|(_, taken)| match taken {
            Taken::Up => None,
            Taken::StalledSince(since) => Some(*since),
        });
        stalled.collect::<Option<Vec<Instant>>>()?.into_iter().max()
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Taken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that notes how it is taken.
struct Watched {
    body: HttpBody,
    answers: Answers,
    key: usize,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.answers.lock()[self.key] = match frame {
            Poll::Pending => Taken::Up,
            Poll::Ready(_) => Taken::StalledSince(Instant::now()),
        };
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.answers.lock().remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::{FutureExt, StreamExt, stream};

    use super::*;

    fn answer(pieces: &'static [&'static str], ends: bool) -> Response {
        let pieces = stream::iter(pieces).map(|piece| Ok::<_, std::io::Error>(*piece));
        let pieces = if ends { pieces.boxed() } else { pieces.chain(stream::pending()).boxed() };
        Response::new(HttpBody::from_stream(pieces))
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_stalled_when_nothing_is_taken_of_any_answer() {
        let answers = Answers::default();
        let deadline = Duration::from_secs(30);
        let far = Duration::from_secs(1000);
        assert!(
            tokio::time::timeout(far, answers.stalled(deadline)).await.is_err(),
            "none is there"
        );

        let mut waits = answers.watch(answer(&["a"], false)).into_body();
        let ends = answers.watch(answer(&["a"], true)).into_body();
        let mut take = async || poll_fn(|c| Pin::new(&mut waits).poll_frame(c)).now_or_never();
        assert!(take().await.is_some());
        let begun = Instant::now();
        answers.stalled(deadline).await;
        assert_eq!(begun.elapsed(), deadline);

        assert!(take().await.is_none(), "it has taken all there is");
        assert!(tokio::time::timeout(far, answers.stalled(deadline)).await.is_err());
        drop(waits);
        answers.stalled(deadline).await;
        drop(ends);
        assert!(tokio::time::timeout(far, answers.stalled(deadline)).await.is_err());
    }
}
