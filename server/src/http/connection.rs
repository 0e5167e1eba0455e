//! One HTTP connection: read a request, answer it, and so on.
//!
//! A plain request is read from the connection's own buffer (`request`), dispatched as any other
//! (`dispatch`), and answered here (`reply`), so that a connection that waits holds no buffer at
//! all. What is not plain is for the HTTP library (`fallback`), and so is that connection from
//! there on.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use doorbell_protocol::{Code, Error};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::dispatch::{Call, Route};
use super::fallback::{Fallback, Handed};
use super::framing::StreamSession;
use super::gzip::Gzip;
use super::policy::ResponsePolicy;
use super::poll::{Kept, Served};
use super::publish::{Acknowledgement, Sent};
use super::reply::{Body, Head, Reply};
use super::request::{Parsed, Plain, parse, room};
use super::wire::Wire;
use super::{App, publish, streaming};
use crate::access::{Access, Permitted, Verification};
use crate::connections::Connection;
use crate::lab;
use crate::session::Wait;
use crate::stop::detach;
use crate::stream::{AcceptedStream, drain};

/// The HTTP protocol over accepted streams.
#[derive(Debug)]
pub struct Http {
    app: App,
    fallback: Fallback,
}

/// What belongs to one connection.
struct Client<S> {
    wire: Wire<S>,
    connection: Arc<Connection>,
    watched: lab::Requests,
    kept: Kept,
}

/// What is to be done next.
#[allow(clippy::large_enum_variant, reason = "it is nearly always the large one, and moved once")]
enum Next {
    /// There is no whole request yet.
    Wait {
        /// Whether only a part of a body is missing.
        for_body: bool,
    },
    /// There is one.
    Answer(Call, Manner),
    /// There is one, and it is not known yet who asks.
    Verify(Verification),
    /// There is something, and it is no request.
    Refuse(Error),
    /// The HTTP library has it.
    Fallback,
}

/// How a request is to be answered.
struct Manner {
    policy: ResponsePolicy,
    /// Whether the client means to go on with the connection.
    keep_alive: bool,
    /// Absent if the request has not come whole.
    watched: Option<lab::RequestGuard>,
}

/// Makes of a request what there is to do, which has nothing of it any more; and says how many
/// bytes it has.
///
/// # Errors
///
/// It is not known yet who asks.
fn take<S>(
    app: &App,
    client: &Client<S>,
    mut plain: Plain<'_>,
    route: Route<'_>,
) -> Result<(Call, Manner, usize), Verification> {
    let sent = Sent { begun: plain.body, is_whole: true };
    let call = Call::of(app, route, &mut plain.request, sent, &client.connection)?;
    let policy = ResponsePolicy::of(app, &plain.request);
    let watched = Some(client.watched.begin(plain.request.query));
    let keep_alive = plain.keep_alive && !client.connection.is_reserved();
    let manner = Manner { policy, keep_alive, watched };
    Ok((call, manner, plain.length))
}

/// How far a request was answered.
enum Answered {
    /// To the end of its answer; whether the connection goes on.
    Whole(bool),
    /// The answer does not end. Its head, what follows, by what that is compressed, and whether the
    /// client would go on after it.
    Stream(Head, Box<StreamSession>, Option<Box<Gzip>>, bool),
}

impl Http {
    /// HTTP/1.1 and cleartext HTTP/2 for many quiet connections.
    pub fn new(app: App) -> Self {
        let fallback = Fallback::new(app.clone());
        Self { app, fallback }
    }

    /// Serves one connection until it ends, or, after the stop, until its answers are out.
    pub fn serve<S>(self: Arc<Self>, stream: S) -> impl Future<Output = ()> + Send
    where
        S: AcceptedStream,
    {
        let connection = stream.connection().clone();
        let limit = self.app.header_bytes;
        let client = Client {
            watched: lab::Requests::new(self.app.lab.clone(), connection.clone()),
            connection,
            kept: Kept::new(Wait::new(&self.app.config.stop)),
            wire: Wire::new(stream, limit),
        };
        self.run(client)
    }

    #[allow(clippy::manual_async_fn, reason = "it would keep room for the connection twice")]
    fn run<S>(self: Arc<Self>, mut client: Client<S>) -> impl Future<Output = ()> + Send
    where
        S: AcceptedStream,
    {
        async move {
            loop {
                let answered = match self.take_request(&mut client) {
                    Next::Verify(verification) => {
                        verification.run().await;
                        Ok(Answered::Whole(true))
                    }
                    Next::Wait { for_body } => self.wait(&mut client, for_body).await,
                    Next::Answer(Call::Publish(access, draft, told), manner) => {
                        Box::pin(self.publish(&mut client, &access, draft, told, manner)).await
                    }
                    Next::Answer(call, manner) => {
                        Box::pin(self.answer(&mut client, call, manner)).await
                    }
                    Next::Refuse(error) => return Box::pin(self.refuse(client, &error)).await,
                    Next::Fallback => {
                        let Client { wire, connection, watched, .. } = client;
                        let is_new = wire.is_new;
                        let (stream, unread) = (wire.stream, wire.unread.freeze());
                        let handed = Handed { stream, unread, is_new, connection, watched };
                        return Box::pin(self.fallback.serve(handed)).await;
                    }
                };
                match answered {
                    Ok(Answered::Whole(true)) => {}
                    Ok(Answered::Stream(head, session, gzip, keep_alive)) => {
                        let outgoing = head.end(None, keep_alive);
                        let session = streaming::over(client.wire, outgoing, *session, gzip);
                        return detach(session.run());
                    }
                    // There is nobody to tell of an error here: the connection is broken.
                    Ok(Answered::Whole(false)) | Err(_) => return,
                }
            }
        }
    }

    /// Takes the next request out of the buffer.
    fn take_request<S: AcceptedStream>(&self, client: &mut Client<S>) -> Next {
        if client.wire.stream.agreed_http2() == Some(true) {
            return Next::Fallback;
        }
        let unread = &client.wire.unread;
        let mut room = room();
        let plain = match parse(unread, &mut room) {
            Parsed::Plain(plain) if plain.head <= self.app.header_bytes => plain,
            Parsed::Head if unread.len() < self.app.header_bytes => {
                return Next::Wait { for_body: false };
            }
            Parsed::Plain(_) | Parsed::Head => {
                let limit = self.app.header_bytes;
                let text = format!("request head has more than {limit} bytes, which is the limit");
                return Next::Refuse(Error::new(Code::HeadTooLong, text));
            }
            Parsed::Refused(error) => return Next::Refuse(error),
            Parsed::Body(bytes) if bytes <= self.app.header_bytes && !client.wire.has_ended => {
                return Next::Wait { for_body: true };
            }
            _ => return Next::Fallback,
        };
        let route = Route::of(&self.app, &plain.request);
        let (call, manner, length) = match take(&self.app, client, plain, route) {
            Ok(taken) => taken,
            Err(verification) => return Next::Verify(verification),
        };
        client.wire.take(length);
        Next::Answer(call, manner)
    }

    /// Takes the next request out of the buffer if it is a publish.
    fn next_publish<S>(&self, client: &mut Client<S>) -> Option<(Call, Manner)> {
        let mut room = room();
        let Parsed::Plain(plain) = parse(&client.wire.unread, &mut room) else { return None };
        let route = Route::of(&self.app, &plain.request);
        if !matches!(route, Route::Publish(_)) || plain.head > self.app.header_bytes {
            return None;
        }
        let (call, manner, length) = take(&self.app, client, plain, route).ok()?;
        client.wire.take(length);
        Some((call, manner))
    }

    /// Waits for more of a request.
    async fn wait<S>(&self, client: &mut Client<S>, for_body: bool) -> io::Result<Answered>
    where
        S: AcceptedStream,
    {
        let Client { wire, kept, .. } = client;
        let unfinished = self.app.config.unfinished;
        let read = poll_fn(|context| {
            // A request whose head has not come whole was not heard.
            if !for_body && kept.wait().poll_stopped(context).is_ready() {
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
            // A body that does not come whole is the library's to refuse.
            Ok(bytes) => Ok(Answered::Whole(bytes > 0 || for_body)),
            Err(error) if for_body && error.kind() == io::ErrorKind::TimedOut => {
                let text = format!("body was not finished within {} s", unfinished.as_secs_f64());
                let refusal = Reply::refusal(&Error::new(Code::Timeout, text));
                let policy = ResponsePolicy::unread(&self.app);
                let manner = Manner { policy, keep_alive: false, watched: None };
                Box::pin(self.write(client, refusal, manner)).await
            }
            Err(error) => Err(error),
        }
    }

    /// Refuses what is no request, and waits a moment for the client to hear it: nothing that comes
    /// behind it can be read.
    async fn refuse<S: AcceptedStream>(&self, mut client: Client<S>, error: &Error) {
        let policy = ResponsePolicy::unread(&self.app);
        let manner = Manner { policy, keep_alive: false, watched: None };
        if self.write(&mut client, Reply::refusal(error), manner).await.is_ok() {
            drain(&mut client.wire.stream).await;
        }
    }

    /// Does what a request asks for, and writes the answer.
    async fn answer<S>(
        &self,
        client: &mut Client<S>,
        call: Call,
        manner: Manner,
    ) -> io::Result<Answered>
    where
        S: AcceptedStream,
    {
        let reply = {
            let Client { wire, connection, kept, .. } = client;
            let served = Served { connection, kept, rest: None };
            // Pinned here: a future keeps room for its arguments beside what it makes of them.
            let reply = pin!(call.perform(&self.app, served));
            wire.unless_gone(reply).await?
        };
        match reply {
            Some(reply) => self.write(client, reply, manner).await,
            None => Ok(Answered::Whole(false)),
        }
    }

    /// Publishes, and whatever else is to be published right behind it: all of them are handed in
    /// before the first is answered, so that they are stored together.
    async fn publish<S>(
        &self,
        client: &mut Client<S>,
        access: &Access,
        draft: Permitted,
        told: Acknowledgement,
        manner: Manner,
    ) -> io::Result<Answered>
    where
        S: AcceptedStream,
    {
        let mut goes_on = manner.keep_alive;
        let mut drafts = vec![draft];
        let mut publishes = vec![(Ok(told), manner)];
        while goes_on && let Some((call, manner)) = self.next_publish(client) {
            goes_on = manner.keep_alive;
            match call {
                Call::Publish(_, draft, told) => {
                    drafts.push(draft);
                    publishes.push((Ok(told), manner));
                }
                answered => publishes.push((Err(answered), manner)),
            }
        }
        let mut answers = access.submit(drafts).await.await.into_iter();
        goes_on &= !client.kept.wait().is_stopped();
        let mut bytes = Vec::new();
        let mut left = publishes.len();
        for (told, Manner { policy, watched, .. }) in publishes {
            drop(watched);
            left -= 1;
            let reply = match told {
                Ok(told) => publish::answer(&self.app, answers.next(), told),
                Err(answered) => {
                    let Client { connection, kept, .. } = &mut *client;
                    let served = Served { connection, kept, rest: None };
                    Box::pin(answered.perform(&self.app, served)).await
                }
            };
            let Reply { head, body, .. } = policy.apply(reply);
            if let Body::Whole(body) = body {
                let mut outgoing = head.end(Some(body.len() as u64), goes_on || left > 0);
                outgoing.write_piece(&mut bytes, body).await?;
                outgoing.end(&mut bytes).await?;
            }
        }
        client.wire.stream.write_all(&bytes).await?;
        client.wire.go_on(goes_on).await.map(Answered::Whole)
    }

    /// Writes an answer, but for one that does not end.
    async fn write<S>(
        &self,
        client: &mut Client<S>,
        reply: Reply,
        manner: Manner,
    ) -> io::Result<Answered>
    where
        S: AcceptedStream,
    {
        let Manner { policy, keep_alive, watched } = manner;
        let Reply { head, body, .. } = policy.apply(reply);
        drop(watched);
        let keep_alive = keep_alive && !client.kept.wait().is_stopped();
        let wire = &mut client.wire;
        match body {
            Body::Stream(session, gzip) => {
                return Ok(Answered::Stream(head, session, gzip, keep_alive));
            }
            Body::Whole(bytes) => {
                let mut outgoing = head.end(Some(bytes.len() as u64), keep_alive);
                outgoing.write_piece(&mut wire.stream, bytes).await?;
                outgoing.end(&mut wire.stream).await?;
            }
            Body::Pieces(pieces, length) => {
                let outgoing = head.end(length, keep_alive);
                if !Box::pin(wire.write_pieces(outgoing, pieces)).await? {
                    return Ok(Answered::Whole(false));
                }
            }
            // Only a connection of the HTTP library can change its protocol.
            Body::Upgraded => return Ok(Answered::Whole(false)),
        }
        wire.go_on(keep_alive).await.map(Answered::Whole)
    }
}
