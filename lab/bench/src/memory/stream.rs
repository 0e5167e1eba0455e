//! A byte stream in memory: two ends, and each way a bounded buffer that is there only while it
//! holds something.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes on their way in one direction.
const WAY_BYTES_MAX: usize = 64 << 10;

/// One end. What is written to it is read from the other one.
#[derive(Debug)]
pub(super) struct End {
    ways: Arc<Mutex<[Way; 2]>>,
    /// The way that this end writes to.
    own: usize,
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    bytes: Vec<u8>,
    /// The reader while nothing is there, or the writer while there is no room: never both.
    waiting: Option<Waker>,
    closed: bool,
}

/// Two ends of a new stream.
pub(super) fn pair() -> (End, End) {
    let ways = Arc::default();
    (End { ways: Arc::clone(&ways), own: 0 }, End { ways, own: 1 })
}

impl Way {
    fn wait<T>(&mut self, context: &Context<'_>) -> Poll<T> {
        match &mut self.waiting {
            Some(waker) => waker.clone_from(context.waker()),
            None => self.waiting = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    fn close(&mut self) -> Option<Waker> {
        self.closed = true;
        self.waiting.take()
    }
}

impl End {
    fn ways(&self) -> MutexGuard<'_, [Way; 2]> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Outside the lock, which whoever is woken may want at once.
fn wake(waiting: impl IntoIterator<Item = Waker>) {
    waiting.into_iter().for_each(Waker::wake);
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut ways = self.ways();
        let way = &mut ways[1 - self.own];
        if way.bytes.is_empty() {
            return if way.closed { Poll::Ready(Ok(())) } else { way.wait(context) };
        }
        let count = way.bytes.len().min(buffer.remaining());
        buffer.put_slice(&way.bytes[..count]);
        if count == way.bytes.len() {
            way.bytes = Vec::new();
        } else {
            way.bytes.drain(..count);
        }
        let waiting = way.waiting.take();
        drop(ways);
        wake(waiting);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut ways = self.ways();
        let way = &mut ways[self.own];
        if way.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = bytes.len().min(WAY_BYTES_MAX - way.bytes.len());
        if count == 0 && !bytes.is_empty() {
            return way.wait(context);
        }
        way.bytes.extend_from_slice(&bytes[..count]);
        let waiting = way.waiting.take();
        drop(ways);
        wake(waiting);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waiting = self.ways()[self.own].close();
        wake(waiting);
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let waiting = self.ways().each_mut().map(Way::close);
        wake(waiting.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn is_pending<T>(future: impl Future<Output = T>) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        std::pin::pin!(future).poll(&mut context).is_pending()
    }

    #[tokio::test]
    async fn bytes_arrive_once_and_in_order_though_the_buffer_is_smaller() {
        let (mut near, mut far) = pair();
        let sent: Vec<u8> = (0..3 * WAY_BYTES_MAX + 7).map(|place| (place % 251) as u8).collect();
        let copy = sent.clone();
        let writer = async move {
            for (index, piece) in copy.chunks(9973).enumerate() {
                near.write_all(&piece[..index % piece.len()]).await.unwrap();
                near.write_all(&piece[index % piece.len()..]).await.unwrap();
            }
            near.shutdown().await.unwrap();
            near
        };
        let reader = async move {
            let mut heard = Vec::new();
            far.read_to_end(&mut heard).await.unwrap();
            heard
        };
        let (_writer, heard) = tokio::join!(writer, reader);
        assert!(heard == sent);
    }

    #[tokio::test]
    async fn a_writer_waits_for_room_and_a_reader_for_bytes() {
        let (mut near, mut far) = pair();
        let mut byte = [0];
        assert!(is_pending(far.read(&mut byte)));
        near.write_all(&vec![1; WAY_BYTES_MAX]).await.unwrap();
        assert!(is_pending(near.write(&[2])));
        far.read_exact(&mut byte).await.unwrap();
        assert_eq!(near.write(&[2, 3]).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn what_was_written_is_read_after_the_writer_is_gone_and_then_comes_the_end() {
        let (mut near, mut far) = pair();
        near.write_all(b"last words").await.unwrap();
        drop(near);
        let mut heard = String::new();
        far.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "last words");
        let error = far.write(b"?").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
