//! One HTTP connection: which version it speaks, and how little it holds while it waits.
//!
//! The HTTP library keeps two buffers of 8 KiB for every connection that it serves. A long poll or a
//! stream waits far longer than it speaks. So when the answer to a request of HTTP/1.1 [`Waits`], the
//! connection is taken back from the library: its buffers go, the answer is awaited and written here
//! (`encode`), and the library gets the connection again for the next request.
//!
//! Requests are read by the library only, and so is everything of HTTP/2 and of upgrades.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, Version, header};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::begun::{Begun, Requests};
use super::encode::{end_answer, write_head, write_piece};
use super::{App, router};
use crate::connections::Connection;
use crate::lab::{self, Lab};
use crate::limits::{HTTP2_SEND_BYTES_MAX, HTTP2_STREAMS_MAX};
use crate::line::Manners;
use crate::stream::Guarded;

/// How every HTTP/2 connection begins (RFC 9113, section 3.4); no method of HTTP/1.1 does.
const HTTP2_BEGIN: &[u8] = b"PRI ";

/// Whether the answer to a request takes long or never ends. The handler says so when it knows; a
/// request in which there is no such flag is answered by the library in any case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waits(Arc<AtomicBool>);

impl Waits {
    /// Says whether what comes next may take long.
    pub(crate) fn set(&self, waits: bool) {
        self.0.store(waits, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The HTTP protocol over accepted streams.
#[derive(Debug)]
pub struct Http {
    router: TowerToHyperService<Router>,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    header_bytes: usize,
    manners: Arc<Manners>,
    lab: Lab,
}

/// What belongs to one connection, whoever serves it.
struct Client {
    connection: Arc<Connection>,
    watched: lab::Requests,
    begun: Begun,
}

impl Client {
    /// A request has come whole.
    fn note(&self, request: &mut Request<Incoming>) {
        self.begun.clear();
        self.watched.begin(request.uri().query());
        request.extensions_mut().insert(self.connection.clone());
    }
}

/// What became of a connection that the library served.
enum Served<S> {
    /// It has ended, or speaks something else now.
    Ended,
    /// A request is read whole, its answer waits, and everything before it is written.
    Waiting { stream: Requests<S>, unread: BytesMut, exchange: Exchange },
}

/// A request and its answer to come.
struct Exchange {
    answer: Answer,
    waits: Waits,
    /// Whether the client means to go on with the connection.
    keep_alive: bool,
}

type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

impl Http {
    /// HTTP/1.1 and cleartext HTTP/2 with buffers for many quiet connections.
    pub fn new(app: App) -> Self {
        let (manners, lab, header_bytes) = (app.manners.clone(), app.lab.clone(), app.header_bytes);
        let mut http1 = http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(header_bytes);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .max_send_buf_size(HTTP2_SEND_BYTES_MAX)
            .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX));
        let router = TowerToHyperService::new(router(app));
        Self { router, http1, http2, header_bytes, manners, lab }
    }

    /// Serves one connection until it ends, or, after the stop, until its answers are out.
    pub async fn serve<S>(self: Arc<Self>, stream: Guarded<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = stream.connection().clone();
        let watched = lab::Requests::new(self.lab.clone(), connection.clone());
        let client = Client { connection, watched, begun: Begun::default() };
        let mut stream = Requests::new(stream, client.begun.clone(), self.manners.unfinished);
        let Ok(Some(mut unread)) = self.first_bytes(&mut stream).await else { return };
        if unread.starts_with(HTTP2_BEGIN) {
            stream.put_back(unread);
            client.begun.end();
            return Box::pin(self.serve_http2(stream, &client)).await;
        }
        loop {
            stream.put_back(unread);
            let served = Box::pin(self.serve_http1(stream, &client)).await;
            let Served::Waiting { stream: taken, unread: rest, exchange } = served else { return };
            stream = taken;
            unread = match self.answer(&mut stream, rest, exchange, &client).await {
                Ok(Some(rest)) => rest,
                Ok(None) | Err(_) => return,
            };
        }
    }

    /// Reads until it is plain which version is spoken; `None` when nothing is.
    async fn first_bytes<S>(&self, stream: &mut Requests<S>) -> io::Result<Option<Bytes>>
    where
        S: AsyncRead + Unpin,
    {
        let mut bytes = BytesMut::new();
        while HTTP2_BEGIN.starts_with(&bytes) && bytes.len() < HTTP2_BEGIN.len() {
            let more = poll_fn(|context| poll_read_more(stream, context, &mut bytes));
            tokio::select! {
                () = self.manners.stop.cancelled() => return Ok(None),
                more = more => if more? == 0 { return Ok(None) },
            }
        }
        Ok(Some(bytes.freeze()))
    }

    async fn serve_http2<S>(&self, stream: Requests<S>, client: &Client)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|mut request| {
            client.note(&mut request);
            let (answer, watched) = (self.router.call(request), client.watched.clone());
            async move {
                let answer = answer.await;
                watched.end();
                answer
            }
        });
        let connection = self.http2.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = self.manners.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::trace!(%error, "HTTP/2 connection failed");
        }
    }

    /// Lets the library serve requests until one of them has an answer that waits.
    async fn serve_http1<S>(&self, stream: Requests<S>, client: &Client) -> Served<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let held = Held::default();
        let service = service_fn(|request| self.respond(request, client, held.clone()));
        let connection = self.http1.serve_connection(TokioIo::new(stream), service);
        let mut connection = connection.with_upgrades();
        let mut stopped = pin!(self.manners.stop.cancelled());
        let mut stopping = false;
        let result = poll_fn(|context| {
            if !stopping && stopped.as_mut().poll(context).is_ready() {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            let polled = Pin::new(&mut connection).poll(context);
            if polled.is_pending() && held.waits() && !client.begun.is_unwritten() {
                return Poll::Ready(None);
            }
            polled.map(Some)
        })
        .await;
        match result {
            None => {}
            Some(Ok(())) => return Served::Ended,
            Some(Err(error)) => {
                tracing::trace!(%error, "HTTP connection failed");
                return Served::Ended;
            }
        }
        let Some((parts, exchange)) = connection.into_parts().zip(held.take()) else {
            return Served::Ended;
        };
        // A copy, so that the library's buffer goes.
        let unread = BytesMut::from(&parts.read_buf[..]);
        Served::Waiting { stream: parts.io.into_inner(), unread, exchange }
    }

    /// The service. An answer that waits stays in `held`, where it can be taken from.
    async fn respond(
        &self,
        mut request: Request<Incoming>,
        client: &Client,
        held: Held,
    ) -> Result<Response, Infallible> {
        client.note(&mut request);
        let alone = request.version() == Version::HTTP_11
            && request.method() == Method::GET
            && request.body().is_end_stream();
        let keep_alive = !wants_close(request.headers());
        let waits = Waits::default();
        if alone {
            request.extensions_mut().insert(waits.clone());
        }
        let answer = self.router.call(request);
        let answer = async move {
            let Ok(answer) = answer.await;
            answer
        };
        let answer = if alone {
            held.put(Exchange { answer: Box::pin(answer), waits, keep_alive });
            poll_fn(|context| held.poll(context)).await
        } else {
            answer.await
        };
        client.watched.end();
        match answer.status() {
            StatusCode::SWITCHING_PROTOCOLS => client.begun.end(),
            _ => client.begun.clear(),
        }
        Ok(answer)
    }

    /// Writes an answer that waited. Returns what the client sent meanwhile, or `None` when the
    /// connection has ended with it.
    async fn answer<S>(
        &self,
        stream: &mut Requests<S>,
        mut unread: BytesMut,
        exchange: Exchange,
        client: &Client,
    ) -> io::Result<Option<Bytes>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let limit = self.header_bytes;
        client.begun.end();
        let Some(answer) = unless_gone(stream, &mut unread, limit, exchange.answer).await? else {
            return Ok(None);
        };
        client.watched.end();
        let keep_alive = exchange.keep_alive && !self.manners.stop.is_cancelled();
        let (head, body) = answer.into_parts();
        let mut body = pin!(body);
        let mut outgoing = write_head(&head, &body.size_hint(), keep_alive);
        loop {
            let frame = poll_fn(|context| body.as_mut().poll_frame(context));
            let Some(frame) = unless_gone(stream, &mut unread, limit, frame).await? else {
                return Ok(None);
            };
            let Some(frame) = frame else { break };
            // The rest of an answer that failed half way must not pass for the whole.
            let piece = frame.map_err(io::Error::other)?.into_data().unwrap_or_default();
            write_piece(stream, &mut outgoing, piece).await?;
        }
        end_answer(stream, outgoing).await?;
        if !keep_alive {
            stream.shutdown().await?;
            return Ok(None);
        }
        Ok(Some(unread.freeze()))
    }
}

/// Whether the client ends the connection with this request (RFC 9112, section 9.6).
fn wants_close(headers: &HeaderMap) -> bool {
    let mut options = headers.get_all(header::CONNECTION).iter();
    options.any(|value| {
        let mut words = value.as_bytes().split(|byte| *byte == b',');
        words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
    })
}

/// Waits for something while the client stays; `None` when it has gone. What it sends meanwhile is
/// kept up to a limit, for the requests to come.
async fn unless_gone<S, T>(
    stream: &mut Requests<S>,
    unread: &mut BytesMut,
    limit: usize,
    what: impl Future<Output = T>,
) -> io::Result<Option<T>>
where
    S: AsyncRead + Unpin,
{
    let mut what = pin!(what);
    poll_fn(|context| {
        if let Poll::Ready(done) = what.as_mut().poll(context) {
            return Poll::Ready(Ok(Some(done)));
        }
        // Who has asked for more and then ended its side waits for the answers.
        while unread.len() < limit && !stream.has_ended() {
            ready!(poll_read_more(stream, context, unread))?;
        }
        if stream.has_ended() && unread.is_empty() {
            return Poll::Ready(Ok(None));
        }
        Poll::Pending
    })
    .await
}

/// Bytes read at a time, through the stack: who waits holds no buffer.
const READ_BYTES: usize = 1024;

fn poll_read_more<S: AsyncRead + Unpin>(
    stream: &mut Requests<S>,
    context: &mut Context<'_>,
    bytes: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    let mut space = [MaybeUninit::uninit(); READ_BYTES];
    let mut buffer = ReadBuf::uninit(&mut space);
    ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
    bytes.extend_from_slice(buffer.filled());
    Poll::Ready(Ok(buffer.filled().len()))
}

/// Where the service keeps the exchange that is going on, so that it outlives the library's part.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<Option<Exchange>>>);

impl Held {
    fn lock(&self) -> MutexGuard<'_, Option<Exchange>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, exchange: Exchange) {
        *self.lock() = Some(exchange);
    }

    fn take(&self) -> Option<Exchange> {
        self.lock().take()
    }

    fn waits(&self) -> bool {
        self.lock().as_ref().is_some_and(|exchange| exchange.waits.is_set())
    }

    /// An answer that is there and does not wait is handed over.
    fn poll(&self, context: &mut Context<'_>) -> Poll<Response> {
        let mut held = self.lock();
        let Some(exchange) = held.as_mut() else { return Poll::Pending };
        let answer = ready!(exchange.answer.as_mut().poll(context));
        if exchange.waits.is_set() {
            exchange.answer = Box::pin(std::future::ready(answer));
            return Poll::Pending;
        }
        *held = None;
        Poll::Ready(answer)
    }
}
