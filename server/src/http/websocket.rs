//! The bridge for browsers: the line protocol over a WebSocket, one event a text frame.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use doorbell_protocol::{CoalesceWindow, Conditions, Error, Since};
use tokio::time::Instant;

use super::App;
use super::params::Params;
use super::reply::Reply;
use super::request::{Request, decoded};
use super::upgrade::{Stream, Upgrade};
use crate::access::{Access, Readable};
use crate::connections::{Connection, Service};
use crate::cursor::Cursor;
use crate::line::{self, Link, Until};
use crate::metrics::Transport;
use crate::session::Ending;
use crate::visitors::Sharing;
use crate::websocket::{self, CloseCode, Fault, Socket, SocketBounds};

/// A request for `GET /FILTER/ws`.
pub(super) struct OpenSocket {
    access: Access,
    filter: Readable,
    since: Since,
    conditions: Conditions,
    coalesce: CoalesceWindow,
    until: Until,
    upgrade: Upgrade,
}

impl OpenSocket {
    /// Reads it from a request.
    pub(super) fn of(
        access: Access,
        filter: &str,
        request: &mut Request<'_>,
    ) -> Result<Self, Error> {
        let params = Params::of(request);
        let (until, default) =
            if params.poll() { (Until::Told, Since::All) } else { (Until::Ended, Since::None) };
        let (since, conditions) = (params.since(default), params.conditions());
        let coalesce = params.coalesce();
        let upgrade = Upgrade::of(request)?;
        let filter = access.readable(decoded(filter)?.parse()?)?;
        let (since, conditions, coalesce) = (since?, conditions?, coalesce?);
        Ok(Self { access, filter, since, conditions, coalesce, until, upgrade })
    }

    /// By what it reads.
    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// A cursor for it.
    ///
    /// # Errors
    ///
    /// That it passes a limit, or that the log could not be read.
    pub(super) async fn cursor(&self) -> Result<Cursor, Error> {
        let Self { access, filter, since, conditions, coalesce, .. } = self;
        let cursor = Cursor::open(access, filter.clone(), since).await?;
        Ok(cursor.with_conditions(conditions.clone()).coalescing(*coalesce))
    }

    /// Opens one, and speaks lines over it.
    pub(super) fn open(
        self,
        app: &App,
        cursor: Cursor,
        sharing: Sharing,
        connection: &Arc<Connection>,
    ) -> Reply {
        let (config, connection) = (app.config.clone(), connection.clone());
        let bounds = SocketBounds {
            message_bytes: config.line_bytes,
            unfinished: config.unfinished,
            write_deadline: config.write_deadline,
        };
        let until = self.until;
        self.upgrade.serve(bounds, move |socket| {
            let transport = Transport::Websocket;
            let serving = connection.serve_sharing(Service::Reader(transport), sharing);
            line::serve(Bridge(socket), config, transport, cursor, serving, until)
        })
    }
}

/// A WebSocket as a link. A batch is framed once for all who get it.
struct Bridge(Socket<Stream>);

impl Link for Bridge {
    fn poll_receive(
        &mut self,
        input: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> Poll<Result<bool, Ending>> {
        Poll::Ready(match ready!(self.0.poll_receive(input, context)) {
            Ok(()) => Ok(true),
            Err(Fault::Broken(error)) => Err(Ending::Broken(error)),
            Err(Fault::Breach(error)) => Err(Ending::Fault(error)),
        })
    }

    fn frame(&self, lines: Bytes) -> Bytes {
        websocket::text_frames(memchr::memchr_iter(b'\n', &lines).scan(0, |next, end| {
            let begin = std::mem::replace(next, end + 1);
            Some(&lines[begin..end])
        }))
    }

    fn sign_of_life(&self, _: Bytes) -> Bytes {
        websocket::ping()
    }

    fn await_answer(&mut self) {
        self.0.await_answer();
    }

    fn deadline(&self) -> Option<Instant> {
        self.0.deadline()
    }

    fn lateness(&self) -> Option<Error> {
        let is_late = self.0.deadline().is_some_and(|deadline| deadline <= Instant::now());
        is_late.then(|| self.0.lateness())
    }

    fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.0.poll_write(bytes, context)
    }

    async fn close(&mut self, ending: &Ending, _line: Option<Bytes>) -> io::Result<()> {
        let code = match ending {
            Ending::Stopping => CloseCode::Away,
            Ending::Fault(error) => CloseCode::of(error),
            Ending::Quit | Ending::Gone | Ending::Broken(_) => CloseCode::Normal,
        };
        self.0.close(code, ending.text()).await
    }
}
