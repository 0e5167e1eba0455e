//! One HTTP connection: read a request, answer it, and so on.
//!
//! A plain request is read from the connection's own buffer (`request`) and answered here (`encode`), so
//! that a connection that waits holds no buffer at all. Polls, streams and publishes are answered without
//! the router. What is not plain is for the HTTP library (`guest`), and so is that connection from there on.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::{Buf, Bytes, BytesMut};
use doorbell_protocol::{Code, Draft, Error};
use hyper::body::Body as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::answer::Refusal;
use super::encode::{Head, end_answer, write_head, write_piece};
use super::endless::{Streamed, Streaming};
use super::guest::{Guest, Handed};
use super::params::Params;
use super::read::{Answer, Polled, Question, Waiting};
use super::request::{Address, Parsed, Plain, parse, room};
use super::stream::Endless;
use super::{App, Wishes, is_compressible, publish, read, router};
use crate::connections::Connection;
use crate::lab;
use crate::line::Manners;
use crate::stream::Guarded;

/// The HTTP protocol over accepted streams.
#[derive(Debug)]
pub struct Http {
    app: App,
    router: TowerToHyperService<Router>,
    guest: Guest,
}

/// What belongs to one connection.
pub(super) struct Client<S> {
    pub(super) wire: Wire<S>,
    connection: Arc<Connection>,
    watched: lab::Requests,
    pub(super) waiting: Waiting,
    /// The answer without an end that is being written.
    pub(super) endless: Option<Box<Streaming>>,
}

/// A stream and what was read of it.
pub(super) struct Wire<S> {
    pub(super) stream: Guarded<S>,
    /// What was read and is not answered yet.
    pub(super) unread: BytesMut,
    /// Whether the peer has ended its side.
    pub(super) has_ended: bool,
    /// By when a request that was begun must be whole.
    deadline: Option<Pin<Box<Sleep>>>,
}

/// What is to be done next.
enum Turn {
    /// There is no whole request yet.
    Wait {
        /// Whether only a part of a body is missing.
        for_body: bool,
    },
    Read(Result<Question, Error>, Manner),
    /// The answer has no end, or not yet.
    Stream(Box<Streaming>),
    Publish(Result<Draft, Error>, Manner),
    /// The router has the answer; whether the client means to go on.
    Route(Box<Request>, bool),
    /// The library has it.
    Guest,
}

/// How a request is to be answered.
struct Manner {
    wishes: Wishes,
    /// Whether the client means to go on with the connection.
    keep_alive: bool,
}

impl Http {
    /// HTTP/1.1 and cleartext HTTP/2 for many quiet connections.
    pub fn new(app: App) -> Self {
        let router = router(app.clone());
        let manners = &app.manners;
        let guest =
            Guest::new(router.clone(), app.header_bytes, manners.unfinished, manners.stop.clone());
        Self { app, router: TowerToHyperService::new(router), guest }
    }

    pub(super) fn manners(&self) -> &Arc<Manners> {
        &self.app.manners
    }

    pub(super) fn header_bytes(&self) -> usize {
        self.app.header_bytes
    }

    /// Serves one connection until it ends, or, after the stop, until its answers are out.
    pub fn serve<S>(self: Arc<Self>, stream: Guarded<S>) -> impl Future<Output = ()> + Send
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = stream.connection().clone();
        let client = Client {
            watched: lab::Requests::new(self.app.lab.clone(), connection.clone()),
            connection,
            waiting: Waiting::new(&self.app.manners.stop),
            wire: Wire { stream, unread: BytesMut::new(), has_ended: false, deadline: None },
            endless: None,
        };
        self.go_on(client)
    }

    /// Serves a connection from here on.
    #[allow(clippy::manual_async_fn, reason = "it would keep room for the connection twice")]
    pub(super) fn go_on<S>(
        self: Arc<Self>,
        mut client: Client<S>,
    ) -> impl Future<Output = ()> + Send
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        async move {
            loop {
                let goes_on = match self.next_turn(&mut client) {
                    Turn::Wait { for_body } => self.wait(&mut client, for_body).await,
                    Turn::Read(question, manner) => {
                        Box::pin(self.read(&mut client, question, manner)).await
                    }
                    Turn::Stream(mut streaming) => {
                        match Box::pin(self.stream(&mut client, &mut streaming)).await {
                            Ok(Streamed::Waits) => {
                                return self.wait_with_others(client, *streaming);
                            }
                            Ok(Streamed::Ended(goes_on)) => Ok(goes_on),
                            Err(error) => Err(error),
                        }
                    }
                    Turn::Publish(draft, manner) => {
                        Box::pin(self.publish(&mut client, draft, manner)).await
                    }
                    Turn::Route(request, keep_alive) => {
                        Box::pin(self.route(&mut client, request, keep_alive)).await
                    }
                    Turn::Guest => {
                        let Client { wire, connection, watched, .. } = client;
                        let (stream, unread) = (wire.stream, wire.unread.freeze());
                        let handed = Handed { stream, unread, connection, watched };
                        return Box::pin(self.guest.serve(handed)).await;
                    }
                };
                // There is nobody to tell of an error here: the connection is broken.
                if !goes_on.unwrap_or(false) {
                    return;
                }
            }
        }
    }

    /// Takes the next request out of the buffer.
    fn next_turn<S>(&self, client: &mut Client<S>) -> Turn {
        if let Some(streaming) = client.endless.take() {
            return Turn::Stream(streaming);
        }
        let unread = &client.wire.unread;
        let mut room = room();
        let plain = match parse(unread, &mut room) {
            Parsed::Plain(plain) => plain,
            Parsed::Head if unread.len() < self.app.header_bytes => {
                return Turn::Wait { for_body: false };
            }
            Parsed::Body(bytes) if bytes <= self.app.header_bytes => {
                return Turn::Wait { for_body: true };
            }
            _ => return Turn::Guest,
        };
        let turn = match plain.address() {
            Some(Address::Read(filter, framing)) => {
                let params = Params::new(plain.headers(), plain.query());
                let question = params.and_then(|params| Question::new(filter, framing, &params));
                Turn::Read(question, Manner::of(&plain))
            }
            Some(Address::Publish(topic)) => {
                let (draft, manner) = self.publish_of(topic, &plain);
                Turn::Publish(draft, manner)
            }
            None => match plain.to_request() {
                Some(request) => Turn::Route(Box::new(request), plain.keep_alive),
                None => return Turn::Guest,
            },
        };
        client.watched.begin(plain.query());
        let length = plain.length;
        client.wire.take(length);
        turn
    }

    /// Waits for more of a request. False when the connection is at its end.
    async fn wait<S>(&self, client: &mut Client<S>, for_body: bool) -> io::Result<bool>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Client { wire, waiting, .. } = client;
        let unfinished = self.app.manners.unfinished;
        let read = poll_fn(|context| {
            // A request whose head has not come whole was not heard.
            if !for_body && waiting.stopped.poll_stopped(context).is_ready() {
                return Poll::Ready(Ok(0));
            }
            if let Poll::Ready(read) = wire.poll_read(context) {
                return Poll::Ready(read);
            }
            if wire.unread.is_empty() {
                return Poll::Pending;
            }
            let deadline = wire.deadline.get_or_insert_with(|| Box::pin(sleep(unfinished)));
            ready!(deadline.as_mut().poll(context));
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        });
        match read.await {
            Ok(bytes) => Ok(bytes > 0),
            Err(error) if for_body && error.kind() == io::ErrorKind::TimedOut => {
                let text = format!("body was not finished within {} s", unfinished.as_secs_f64());
                let refusal = Refusal(Error::new(Code::Timeout, text)).into_response();
                let refusal = Box::pin(Wishes::new(None, None).grant(refusal)).await;
                Box::pin(self.answer(client, refusal, false)).await
            }
            Err(error) => Err(error),
        }
    }

    /// Answers a poll, or finds the answer.
    async fn read<S>(
        &self,
        client: &mut Client<S>,
        question: Result<Question, Error>,
        manner: Manner,
    ) -> io::Result<bool>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let answer = match &question {
            Ok(question) => {
                let answer = {
                    let Client { wire, connection, waiting, .. } = client;
                    // Pinned here: a future keeps room for its arguments beside what it makes of them.
                    let answer = pin!(read::answer(&self.app, connection, question, waiting));
                    wire.unless_gone(self.app.header_bytes, answer).await?
                };
                let Some(answer) = answer else { return Ok(false) };
                match answer {
                    Ok(Answer::Polled(polled)) if manner.wishes.takes_plain(polled.length()) => {
                        return self.write_polled(client, polled, &manner).await;
                    }
                    Ok(Answer::Endless(endless)) => {
                        let Endless { head, session } = *endless;
                        let head = Box::pin(manner.wishes.grant(head)).await;
                        let keep_alive = client.goes_on(manner.keep_alive);
                        client.watched.end();
                        client.endless = Some(Streaming::new(head, session, keep_alive).into());
                        return Ok(true);
                    }
                    answer => answer.map_err(Refusal).into_response(),
                }
            }
            Err(error) => Refusal(error.clone()).into_response(),
        };
        let answer = Box::pin(manner.wishes.grant(answer)).await;
        Box::pin(self.answer(client, answer, manner.keep_alive)).await
    }

    /// Writes the answer to a poll as it is.
    async fn write_polled<S>(
        &self,
        client: &mut Client<S>,
        polled: Polled,
        manner: &Manner,
    ) -> io::Result<bool>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        client.watched.end();
        let goes_on = client.goes_on(manner.keep_alive);
        let mut head = Head::new(polled.status());
        polled.headers(|name, value| head.add(name, value));
        let length = polled.length();
        manner
            .wishes
            .headers(is_compressible(length), |name, value| head.add(name, value.as_bytes()));
        let mut outgoing = head.end(Some(length as u64), goes_on);
        let body = polled.into_body();
        let bytes = body.as_ref().map_or_else(Bytes::new, |held| held.bytes.clone());
        let stream = &mut client.wire.stream;
        write_piece(stream, &mut outgoing, bytes).await?;
        end_answer(stream, outgoing).await?;
        client.wire.go_on(goes_on).await
    }

    /// Publishes, and whatever else is to be published right behind it: all of them are handed in before
    /// the first is answered, so that they are stored together.
    async fn publish<S>(
        &self,
        client: &mut Client<S>,
        draft: Result<Draft, Error>,
        manner: Manner,
    ) -> io::Result<bool>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut drafts = Vec::new();
        let mut publishes = Vec::new();
        let mut next = Some((draft, manner));
        while let Some((draft, manner)) = next {
            let is_last = !manner.keep_alive;
            publishes.push((draft.map(|draft| drafts.push(draft)), manner));
            next = if is_last { None } else { self.next_publish(client) };
        }
        let mut answers = self.app.hub.publish_all(drafts).await.into_iter();
        let settled: Vec<(Response, Manner)> = publishes
            .into_iter()
            .map(|(accepted, manner)| {
                let none = || Err(Error::new(Code::Internal, "there was no answer"));
                let answer = accepted.and_then(|()| answers.next().unwrap_or_else(none));
                (publish::answer(&self.app, answer).into_response(), manner)
            })
            .collect();
        client.watched.end();
        let goes_on = client.goes_on(settled.iter().all(|(_, manner)| manner.keep_alive));
        let mut bytes = Vec::new();
        let mut left = settled.len();
        for (answer, manner) in settled {
            left -= 1;
            let answer = manner.wishes.grant(answer).await;
            write_whole(&mut bytes, answer, goes_on || left > 0).await?;
        }
        client.wire.stream.write_all(&bytes).await?;
        client.wire.go_on(goes_on).await
    }

    /// Takes the next request out of the buffer if it is a publish.
    fn next_publish<S>(&self, client: &mut Client<S>) -> Option<(Result<Draft, Error>, Manner)> {
        let mut room = room();
        let Parsed::Plain(plain) = parse(&client.wire.unread, &mut room) else { return None };
        let Some(Address::Publish(topic)) = plain.address() else { return None };
        let publish = self.publish_of(topic, &plain);
        client.watched.begin(plain.query());
        let length = plain.length;
        client.wire.take(length);
        Some(publish)
    }

    fn publish_of(&self, topic: &str, plain: &Plain<'_, '_>) -> (Result<Draft, Error>, Manner) {
        let params = Params::new(plain.headers(), plain.query());
        let draft = params.and_then(|params| publish::draft(&self.app, topic, plain.body, &params));
        (draft, Manner::of(plain))
    }

    async fn route<S>(
        &self,
        client: &mut Client<S>,
        mut request: Box<Request>,
        keep_alive: bool,
    ) -> io::Result<bool>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        request.extensions_mut().insert(client.connection.clone());
        let answer = self.router.call(*request);
        match client.wire.unless_gone(self.app.header_bytes, answer).await? {
            Some(Ok(answer)) => self.answer(client, answer, keep_alive).await,
            None => Ok(false),
        }
    }

    /// Writes an answer, which may have no end. False when the connection has ended with it.
    async fn answer<S>(
        &self,
        client: &mut Client<S>,
        answer: Response,
        keep_alive: bool,
    ) -> io::Result<bool>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        client.watched.end();
        let keep_alive = client.goes_on(keep_alive);
        let wire = &mut client.wire;
        let (head, body) = answer.into_parts();
        let mut body = pin!(body);
        let mut outgoing = write_head(&head, &body.size_hint(), keep_alive);
        loop {
            let frame = poll_fn(|context| body.as_mut().poll_frame(context));
            let Some(frame) = wire.unless_gone(self.app.header_bytes, frame).await? else {
                return Ok(false);
            };
            let Some(frame) = frame else { break };
            // The rest of an answer that failed half way must not pass for the whole.
            let piece = frame.map_err(io::Error::other)?.into_data().unwrap_or_default();
            write_piece(&mut wire.stream, &mut outgoing, piece).await?;
        }
        end_answer(&mut wire.stream, outgoing).await?;
        wire.go_on(keep_alive).await
    }
}

impl<S> Client<S> {
    /// Whether the connection goes on after an answer, if the client means it to.
    fn goes_on(&self, keep_alive: bool) -> bool {
        keep_alive && !self.waiting.stopped.is_stopped()
    }
}

impl Manner {
    fn of(plain: &Plain<'_, '_>) -> Self {
        let (origin, accepted) = (plain.header("origin"), plain.header("accept-encoding"));
        Self { wishes: Wishes::new(origin, accepted), keep_alive: plain.keep_alive }
    }
}

/// Bytes read at a time, through the stack: who waits holds no buffer.
const READ_BYTES: usize = 8 << 10;

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Reads what there is, and says how many bytes; 0 when the peer has ended its side.
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        let bytes = buffer.filled();
        self.unread.extend_from_slice(bytes);
        self.has_ended |= bytes.is_empty();
        Poll::Ready(Ok(bytes.len()))
    }

    /// Waits for something while the client stays; `None` when it has gone. What it sends meanwhile is
    /// kept up to a limit, for the requests to come.
    pub(super) async fn unless_gone<T>(
        &mut self,
        limit: usize,
        what: impl Future<Output = T>,
    ) -> io::Result<Option<T>> {
        let mut what = pin!(what);
        poll_fn(|context| {
            if let Poll::Ready(done) = what.as_mut().poll(context) {
                return Poll::Ready(Ok(Some(done)));
            }
            // Who has asked for more and then ended its side waits for the answers.
            while self.unread.len() < limit && !self.has_ended {
                ready!(self.poll_read(context))?;
            }
            if self.has_ended && self.unread.is_empty() {
                return Poll::Ready(Ok(None));
            }
            Poll::Pending
        })
        .await
    }

    /// Ends the connection unless it goes on; returns whether it does.
    pub(super) async fn go_on(&mut self, goes_on: bool) -> io::Result<bool> {
        if !goes_on {
            self.stream.shutdown().await?;
        }
        Ok(goes_on)
    }
}

impl<S> Wire<S> {
    /// Lets go of a request that was read whole.
    fn take(&mut self, bytes: usize) {
        self.deadline = None;
        self.unread.advance(bytes);
        if self.unread.is_empty() {
            // Not even an empty part of it keeps the allocation.
            self.unread = BytesMut::new();
        }
    }
}

/// Writes an answer whose body is there.
async fn write_whole(bytes: &mut Vec<u8>, answer: Response, keep_alive: bool) -> io::Result<()> {
    let (head, body) = answer.into_parts();
    let mut body = pin!(body);
    let mut outgoing = write_head(&head, &body.size_hint(), keep_alive);
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let piece = frame.map_err(io::Error::other)?.into_data().unwrap_or_default();
        write_piece(bytes, &mut outgoing, piece).await?;
    }
    end_answer(bytes, outgoing).await
}
