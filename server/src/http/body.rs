//! A large answer that holds its share of the room for large answers until it is sent or given up.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use doorbell_protocol::{Code, Error};
use http_body_util::Full;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{ANSWER_BYTES_SMALL, ANSWERS_BYTES_MAX};

/// The room for large answers. Clones share it.
#[derive(Debug, Clone)]
pub struct Answers(Arc<Semaphore>);

/// Bytes that one permit stands for.
const PERMIT_BYTES: usize = 1024;

impl Default for Answers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ANSWERS_BYTES_MAX / PERMIT_BYTES)))
    }
}

impl Answers {
    /// Room for these bytes; an error while too much is on its way already.
    pub(super) fn hold(&self, bytes: Bytes) -> Result<Held, Error> {
        if bytes.len() <= ANSWER_BYTES_SMALL {
            return Ok(Held { bytes, permit: None });
        }
        let permits = u32::try_from(bytes.len() / PERMIT_BYTES).unwrap_or(u32::MAX);
        let permit = self.0.clone().try_acquire_many_owned(permits).map_err(|_| {
            let text = format!("answers on their way hold {ANSWERS_BYTES_MAX} bytes, the limit");
            Error::new(Code::Unavailable, text)
        })?;
        Ok(Held { bytes, permit: Some(permit) })
    }
}

/// The bytes of an answer, with their room.
#[derive(Debug)]
pub(super) struct Held {
    /// The bytes.
    pub(super) bytes: Bytes,
    permit: Option<OwnedSemaphorePermit>,
}

impl From<Held> for Body {
    fn from(held: Held) -> Self {
        match held.permit {
            None => Self::from(held.bytes),
            Some(permit) => Self::new(Large { bytes: Full::new(held.bytes), _permit: permit }),
        }
    }
}

struct Large {
    bytes: Full<Bytes>,
    _permit: OwnedSemaphorePermit,
}

impl hyper::body::Body for Large {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.bytes).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.bytes.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_answers_have_room_until_they_are_dropped() {
        let answers = Answers::default();
        let large = Bytes::from(vec![b'x'; 1 << 20]);
        let held: Vec<Body> = (0..ANSWERS_BYTES_MAX >> 20)
            .map(|_| Body::from(answers.hold(large.clone()).unwrap()))
            .collect();
        let refused = answers.hold(large.clone()).unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        assert!(answers.hold(Bytes::from_static(b"small")).is_ok());
        drop(held);
        assert!(answers.hold(large).is_ok());
    }
}
