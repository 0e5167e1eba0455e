//! The line protocol over byte streams: TCP and Unix sockets.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncWriteExt, ReadBuf};

use super::{Link, Until};
use crate::access::Admission;
use crate::audit::{Actor, AuditAction};
use crate::connections::Service;
use crate::cursor::Cursor;
use crate::metrics::Transport;
use crate::session::{Ending, SessionConfig};
use crate::stream::{AcceptedStream, drain};

/// The line protocol over accepted streams.
#[derive(Debug)]
pub struct LineService {
    config: Arc<SessionConfig>,
    transport: Transport,
}

impl LineService {
    /// For the streams of one listener.
    pub fn new(config: &Arc<SessionConfig>, transport: Transport) -> Self {
        Self { config: config.clone(), transport }
    }

    /// Speaks over a stream until either side ends it.
    pub fn serve<S>(&self, stream: S) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AcceptedStream,
    {
        let gate = &self.config.gate;
        let visitor = stream.connection().visitor();
        let access = match gate.admit(stream.connection().principal(), visitor) {
            Admission::Admitted(access) => access,
            // What the kernel or a certificate says is never wrong.
            Admission::Refused(_) | Admission::Unverified(_) => gate.anonymous(visitor),
        };
        let identity = access.grant().identity().filter(|who| who.kind != "anonymous");
        if identity.is_some() {
            let address = stream.connection().address();
            let actor = Actor { identity, address, transport: Some(self.transport.name()) };
            gate.audit().done(actor, AuditAction::Login);
        }
        let cursor = Cursor::new(&access);
        let serving = stream.connection().serve(Service::Reader(self.transport));
        let config = self.config.clone();
        super::serve(Wire(stream), config, self.transport, cursor, serving, Until::Ended)
    }
}

/// A byte stream as a link.
struct Wire<S>(S);

/// Bytes read at a time. The buffer lives on the stack while a read is tried, so that a connection
/// that says nothing holds none.
const READ_BYTES: usize = 16 << 10;

impl<S: AcceptedStream> Link for Wire<S> {
    fn poll_receive(
        &mut self,
        input: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> Poll<Result<bool, Ending>> {
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.0).poll_read(context, &mut buffer))?;
        input.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(!buffer.filled().is_empty()))
    }

    fn frame(&self, lines: Bytes) -> Bytes {
        lines
    }

    fn sign_of_life(&self, line: Bytes) -> Bytes {
        line
    }

    fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    async fn close(&mut self, ending: &Ending, line: Option<Bytes>) -> io::Result<()> {
        if let Some(line) = line {
            self.0.write_all(&line).await?;
        }
        self.0.shutdown().await?;
        if matches!(ending, Ending::Fault(_) | Ending::Stopping) {
            drain(&mut self.0).await;
        }
        Ok(())
    }
}
