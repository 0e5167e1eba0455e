//! The conversation in lines: what TCP, Unix sockets and WebSockets speak, written once.
//!
//! A `Link` carries lines to and fro; the `Conversation` knows what they mean. It is the
//! `Peer` of a session, which reads for it and waits: here lines are obeyed and answered in their
//! order.
//!
//! - `input`: bytes into lines, and lines into what they ask for
//! - `publishes`: publishes that are not answered yet
//! - `event`: what the server says
//! - `socket`: TCP and Unix streams as links; WebSockets are one of `http`

mod event;
mod input;
mod publishes;
mod socket;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use doorbell_protocol::{CoalesceWindow, Code, Error, Event, Filter, Format, Since};
use futures_util::FutureExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};

use self::input::{Command, Input, Line, Secret};
use self::publishes::Publishes;
pub use self::socket::LineService;
use crate::access::{Admission, Principal};
use crate::audit::AuditAction;
use crate::connections::Serving;
use crate::cursor::{Batch, Cursor, PageLimit};
use crate::limits::{
    AUTHENTICATION_LINE_BYTES_MAX, AUTHENTICATION_WAIT, HALF_CLOSED_LOOK, SETTLE_WAIT_MAX,
    VISITOR_LINE_WAIT_MAX,
};
use crate::message::Message;
use crate::metrics::Transport;
use crate::session::{Encode, Ending, Hear, Peer, Reading, Session, SessionConfig, deliver, write};
use crate::writer::Answer;

/// What carries the lines.
pub(crate) trait Link: Send + 'static {
    /// Appends what the peer sent to `input`, lines with their `\n`, if it was anything of that
    /// kind; false when the peer will send nothing more. Pending until it has sent something, which
    /// the task is woken for.
    ///
    /// # Errors
    ///
    /// With a fault the peer has broken the rules of the link.
    fn poll_receive(
        &mut self,
        input: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> Poll<Result<bool, Ending>>;

    /// Lines, each with its `\n`, as they stand on the wire.
    fn frame(&self, lines: Bytes) -> Bytes;

    /// What shows a quiet peer that the connection lives. `line` is the event for it.
    fn sign_of_life(&self, line: Bytes) -> Bytes;

    /// A sign of life is on its way. A link whose peers answer it waits for that.
    fn await_answer(&mut self) {}

    /// By when the peer must have gone on with what the link waits for.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// What is said to a peer whose deadline has passed; `None` if that is not the link's.
    fn lateness(&self) -> Option<Error> {
        None
    }

    /// Writes some of what `frame` or `sign_of_life` made, in their order and all of it.
    fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// Ends the conversation from this side. `line` is the event for it, if it is to be sent.
    fn close(
        &mut self,
        ending: &Ending,
        line: Option<Bytes>,
    ) -> impl Future<Output = io::Result<()>> + Send;
}

/// How long a conversation goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Either side ends it.
    Ended,
    /// Everything that is held was said: it is a poll.
    Told,
}

/// Speaks over a link. The cursor may have a filter already, which is sent as JSON.
pub(crate) fn serve<L: Link>(
    link: L,
    config: Arc<SessionConfig>,
    transport: Transport,
    mut cursor: Cursor,
    serving: Serving,
    until: Until,
) -> impl Future<Output = ()> + Send + use<L> {
    let mut open = event::open(&mut cursor);
    open.keepalive = config.keepalive_told();
    config.metrics.of(transport).gaps.inc_by(u64::from(open.gap.is_some()));
    let first = match until {
        // A poll begins with what is held, and with a loss if there was one.
        Until::Told if open.gap.is_none() => Bytes::new(),
        Until::Told | Until::Ended => link.frame(event::line(&open)),
    };
    let is_nothing = cursor.access().is_nothing();
    let talk = (is_nothing || until == Until::Told).then(|| {
        let silent_until = is_nothing.then(|| Instant::now() + AUTHENTICATION_WAIT);
        Box::new(Talk { until, silent_until, ..Talk::default() })
    });
    let conversation = Conversation { link, transport, talk };
    Session::new(conversation, cursor, serving, config, first).run()
}

/// One peer that speaks lines.
struct Conversation<L> {
    link: L,
    transport: Transport,
    /// What there is once the peer has said something: one that only listens costs no more than its
    /// link.
    talk: Option<Box<Talk>>,
}

/// What a peer has said and what it is owed for that.
struct Talk {
    until: Until,
    input: Input,
    /// Whether the peer may still send.
    hearing: bool,
    /// When it must have said who it is, where nothing is allowed before that.
    silent_until: Option<Instant>,
    /// What there is of a peer that has ended its side and still listens.
    half_closed: Option<HalfClosed>,
    /// Until when it is not read on, because it has said too much.
    held_until: Option<Instant>,
    /// Why nothing more can be heard of it.
    broken: Option<Ending>,
    publishes: Publishes,
    /// Answers to the oldest publishes, which go out before anything else.
    answers: Vec<Answer>,
    /// How each subscription is sent; absent while all are sent as JSON, as with nearly every peer.
    formats: Option<Vec<(Filter, Format)>>,
}

impl Default for Talk {
    fn default() -> Self {
        Self {
            until: Until::Ended,
            input: Input::default(),
            hearing: true,
            silent_until: None,
            half_closed: None,
            held_until: None,
            broken: None,
            publishes: Publishes::default(),
            answers: Vec::new(),
            formats: None,
        }
    }
}

/// A peer that has ended its side. It may listen for as long as it likes, or have gone: that shows
/// when something was written to it.
struct HalfClosed {
    _turn: OwnedSemaphorePermit,
    /// When to look whether it has gone, after something was written.
    look_at: Option<Instant>,
    /// Whether it was sent a sign of life for that.
    is_probed: bool,
}

impl Talk {
    /// Whether the peer is heard at the moment: so many publishes may wait for their answers, and
    /// so much it may ask for.
    fn is_listening(&self) -> bool {
        self.hearing && self.publishes.has_room() && self.held_until.is_none()
    }

    fn format_of(&self, message: &Message) -> Format {
        let mut formats = self.formats.iter().flatten();
        let found = formats.find(|(filter, _)| filter.matches(message.topic().as_str()));
        found.map_or(Format::Json, |(_, format)| *format)
    }

    /// Whether the peer reads nothing but texts.
    fn is_raw(&self) -> bool {
        self.formats.as_ref().is_some_and(|formats| {
            !formats.is_empty() && formats.iter().all(|(_, format)| *format == Format::Raw)
        })
    }
}

impl<L: Link> Encode for Conversation<L> {
    fn transport(&self) -> Transport {
        self.transport
    }

    /// A batch as lines; what was lost is told with the first of them.
    fn encode(&self, batch: &Batch, cursor: &Cursor) -> Bytes {
        if batch.messages.is_empty() {
            let gap = batch.gap.clone();
            return match gap {
                Some(_) => self.link.frame(event::line(&event::keepalive(cursor, gap))),
                // A peer that reads nothing but texts gets an empty one.
                None if self.is_raw() => self.link.sign_of_life(Bytes::from_static(b"\n")),
                None => self.link.sign_of_life(event::line(&event::keepalive(cursor, None))),
            };
        }
        let mut lines = Vec::with_capacity(batch.messages.len() + 1);
        let mut gap = batch.gap.as_ref();
        for message in &batch.messages {
            let gap = gap.take();
            match self.talk.as_ref().map_or(Format::Json, |talk| talk.format_of(message)) {
                Format::Json => lines.push(message.frame_after(gap).line()),
                Format::Raw => {
                    let told = gap.map(|gap| event::keepalive(cursor, Some(gap.clone())));
                    lines.extend(told.map(|event| event::line(&event)));
                    lines.push(message.raw_line());
                }
            }
        }
        self.link.frame(match lines.as_slice() {
            // It is shared as it is.
            [line] => line.clone(),
            lines => lines.concat().into(),
        })
    }
}

impl<L: Link> Hear for Conversation<L> {
    fn poll_urgent(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(talk) = &mut self.talk else { return Poll::Pending };
        let answers = ready!(talk.publishes.poll_answers(context));
        match talk.answers.as_mut_slice() {
            [] => talk.answers = answers,
            _ => talk.answers.extend(answers),
        }
        Poll::Ready(())
    }

    fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut first = Vec::new();
        let input = match &mut self.talk {
            Some(talk) if !talk.is_listening() => return Poll::Pending,
            Some(talk) => talk.input.bytes(),
            None => &mut first,
        };
        let received = ready!(self.link.poll_receive(input, context));
        let talk = self.talk.get_or_insert_default();
        if !first.is_empty() {
            *talk.input.bytes() = first;
        }
        match received {
            Ok(hearing) => talk.hearing = hearing,
            Err(ending) => talk.broken = Some(ending),
        }
        Poll::Ready(())
    }
}

impl<L: Link> Peer for Conversation<L> {
    fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Some(half_closed) = self.talk.as_mut().and_then(|talk| talk.half_closed.as_mut()) {
            half_closed.look_at.get_or_insert_with(|| Instant::now() + HALF_CLOSED_LOOK);
        }
        self.link.poll_write(bytes, context)
    }

    fn await_answer(&mut self) {
        self.link.await_answer();
    }

    async fn obey(&mut self, reading: &mut Reading) -> Result<(), Ending> {
        if self.talk.is_none() && !self.is_late() {
            return Ok(());
        }
        // What is done seldom is boxed: a session costs what its task needs to wait.
        if self.talk().until == Until::Told {
            return Box::pin(self.quit(reading)).await;
        }
        loop {
            if self.owes_answers() {
                Box::pin(self.answer(reading)).await?;
            }
            reading.cursor.keep_right()?;
            self.talk().held_until.take_if(|until| *until <= Instant::now());
            while let Some(line) = self.take_line(reading)? {
                Box::pin(self.obey_line(line, reading)).await?;
            }
            // What came whole before its peer's fault or leave is obeyed first.
            if self.talk().publishes.has_room()
                && let Some(ending) = self.talk().broken.take()
            {
                Box::pin(self.settle(reading)).await?;
                return Err(ending);
            }
            if self.talk().publishes.has_gathered() {
                Box::pin(self.submit(reading)).await;
            }
            if !self.talk().hearing || !self.is_late() {
                break;
            }
            self.look_for_end(reading)?;
        }
        let talk = self.talk();
        if talk.hearing || talk.held_until.is_some() {
            return Ok(());
        }
        if talk.publishes.has_room() && !talk.input.bytes().is_empty() {
            Box::pin(self.obey_cut_off(reading)).await?;
        }
        if !reading.cursor.filters().is_empty() {
            return Box::pin(self.look_after_end(reading)).await;
        }
        if self.talk().publishes.is_empty() { Err(Ending::Gone) } else { Ok(()) }
    }

    fn deadline(&self) -> Option<Instant> {
        let link = self.link.deadline();
        let Some(talk) = &self.talk else { return link };
        if let Some(half_closed) = &talk.half_closed {
            return half_closed.look_at;
        }
        // A peer is not late while it is the server that keeps it waiting.
        if !talk.is_listening() {
            return [talk.silent_until, talk.held_until].into_iter().flatten().min();
        }
        [link, talk.input.deadline(), talk.silent_until].into_iter().flatten().min()
    }

    fn is_at_rest(&self) -> bool {
        self.talk.as_ref().is_none_or(|talk| {
            talk.hearing
                && talk.broken.is_none()
                && talk.input.is_empty()
                && talk.publishes.is_empty()
                && talk.answers.is_empty()
                && talk.formats.is_none()
                && talk.silent_until.is_none()
        })
    }

    fn rest(&mut self) {
        self.talk = None;
    }

    /// Says why it is over.
    async fn end(&mut self, ending: Ending, reading: &mut Reading) {
        if matches!(ending, Ending::Stopping | Ending::Fault(_)) {
            // What was accepted before is stored: its publisher is told so.
            let _ = timeout(SETTLE_WAIT_MAX, self.settle(reading)).await;
        }
        match &ending {
            Ending::Broken(_) => return,
            Ending::Fault(error) => {
                let _ = self.send(event::line(&event::error(error))).await;
            }
            Ending::Quit | Ending::Gone | Ending::Stopping => {}
        }
        // A peer that reads nothing but texts would take the event for one.
        let event = (!self.is_raw()).then(|| event::line(&event::close(&reading.cursor, &ending)));
        // A peer that does not listen any more does not hear this either.
        let _ = self.link.close(&ending, event).await;
    }
}

impl<L: Link> Conversation<L> {
    fn talk(&mut self) -> &mut Talk {
        self.talk.get_or_insert_default()
    }

    fn is_raw(&self) -> bool {
        self.talk.as_ref().is_some_and(|talk| talk.is_raw())
    }

    fn owes_answers(&self) -> bool {
        self.talk.as_ref().is_some_and(|talk| !talk.answers.is_empty())
    }

    fn is_late(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    /// The time to finish something has passed. Its end may have come while the server was busy
    /// sending.
    fn look_for_end(&mut self, reading: &Reading) -> Result<(), Ending> {
        if self.talk().silent_until.is_some_and(|until| until <= Instant::now()) {
            let limit = AUTHENTICATION_WAIT.as_secs();
            let text = format!("no AUTH came within {limit} s, and nothing is allowed without");
            let error = Error::new(Code::Unauthorized, text);
            self.refused(AuditAction::Login, &error, reading);
            return Err(error.into());
        }
        let heard = poll_fn(|context| self.poll_heard(context)).now_or_never();
        if heard.is_some() || !self.is_late() {
            return Ok(());
        }
        let unfinished = || {
            let limit = reading.config.unfinished.as_secs_f64();
            Error::new(Code::Timeout, format!("line was not finished within {limit} s"))
        };
        Err(self.link.lateness().unwrap_or_else(unfinished).into())
    }

    fn refused(&self, action: AuditAction, error: &Error, reading: &Reading) {
        reading.config.refused(reading.actor(self.transport), action, error);
    }

    /// The peer has ended its side and listens, or has gone. What is written to one that has gone
    /// is answered by a reset, and that shows at the next write.
    async fn look_after_end(&mut self, reading: &mut Reading) -> Result<(), Ending> {
        let Some(half_closed) = &mut self.talk().half_closed else {
            let half_closed = &reading.config.half_closed;
            let turn = half_closed.turns.clone().try_acquire_owned().map_err(|_| {
                let text = format!(
                    "the server holds {} connections whose clients have ended their side, which \
                     is the limit",
                    half_closed.limit
                );
                Error::new(Code::Unavailable, text)
            })?;
            let look_at = Some(Instant::now() + HALF_CLOSED_LOOK);
            self.talk().half_closed = Some(HalfClosed { _turn: turn, look_at, is_probed: false });
            return Ok(());
        };
        if half_closed.look_at.is_none_or(|look_at| look_at > Instant::now()) {
            return Ok(());
        }
        half_closed.look_at = None;
        let is_probed = std::mem::replace(&mut half_closed.is_probed, true);
        // Behind its end, a read says no more; a write says that there was a reset.
        let written = poll_fn(|context| self.link.poll_write(b"", context));
        if let Some(Err(error)) = written.now_or_never() {
            return Err(error.into());
        }
        if !is_probed {
            deliver(self, reading, Batch::default()).await?;
        }
        Ok(())
    }

    /// Takes the next line that needs more than to be gathered: publishes need no answer before
    /// they are stored.
    fn take_line(&mut self, reading: &Reading) -> Result<Option<Line>, Error> {
        let access = reading.cursor.access();
        let limit = access.limits().message_bytes;
        let config = &reading.config;
        let most = if access.is_nothing() { AUTHENTICATION_LINE_BYTES_MAX } else { usize::MAX };
        let line_bytes = config.line_bytes.min(most);
        let talk = self.talk.get_or_insert_default();
        while talk.publishes.has_room()
            && talk.held_until.is_none()
            && let Some(line) = talk.input.take_line(line_bytes, config.unfinished)?
        {
            let refused = match Line::parse(line, limit) {
                Line::Blank => continue,
                Line::Publish(draft) => match access.permit(draft) {
                    Ok(permitted) => {
                        talk.publishes.gather(permitted);
                        continue;
                    }
                    Err(refusal) => Line::Refused(refusal),
                },
                other => match access.begin_request() {
                    Ok(()) => return Ok(Some(other)),
                    Err(refusal) => Line::Bad(refusal),
                },
            };
            let Some(wait) = refused.wait().filter(|wait| *wait <= VISITOR_LINE_WAIT_MAX) else {
                return Ok(Some(refused));
            };
            // It is taken again then, and what came after it stays where it is.
            talk.input.put_back();
            talk.held_until = Some(Instant::now() + wait);
        }
        Ok(None)
    }

    /// Does what a line asks for, after every publish before it is answered.
    async fn obey_line(&mut self, line: Line, reading: &mut Reading) -> Result<(), Ending> {
        self.settle(reading).await?;
        let event = match line {
            Line::Blank | Line::Publish(_) => return Ok(()),
            Line::Refused(error) => {
                reading.config.metrics.published(false);
                self.refused(AuditAction::Publish, &error, reading);
                event::error(&error)
            }
            Line::Bad(error) => {
                self.refused(AuditAction::Request, &error, reading);
                event::error(&error)
            }
            Line::Http => {
                let text = "this is no place for HTTP: here lines are spoken, see SUB and PUB";
                return Err(Error::new(Code::BadRequest, text).into());
            }
            Line::Command(Command::Subscribe { filter, since, format, coalesce }) => {
                self.subscribe(filter, since, (format, coalesce), reading).await
            }
            Line::Command(Command::Unsubscribe(filter)) => self.unsubscribe(&filter, reading),
            Line::Command(Command::Ping(word)) => event::pong(word),
            Line::Command(Command::Quit) => return self.quit(reading).await,
            Line::Command(Command::Authenticate(Secret(token))) => {
                match self.authenticate(&token, reading) {
                    Ok(()) => {
                        let actor = reading.actor(self.transport);
                        reading.config.gate.audit().done(actor, AuditAction::Login);
                        event::authenticated(&reading.cursor)
                    }
                    Err(error) => {
                        self.refused(AuditAction::Login, &error, reading);
                        event::error(&error)
                    }
                }
            }
        };
        self.say(&event, reading).await
    }

    /// Goes on as whoever has the token. What is subscribed to must mean the same by it.
    fn authenticate(&mut self, token: &str, reading: &mut Reading) -> Result<(), Error> {
        let gate = &reading.config.gate;
        if !gate.has_access_file() {
            return Err(Error::new(Code::Unauthorized, "the server has no tokens configured"));
        }
        let visitor = reading.cursor.access().visitor();
        let access = match gate.admit(Principal::Token(token), visitor) {
            Admission::Admitted(access) => access,
            Admission::Refused(error) => return Err(error),
            // That is said of passwords, and of tickets that others have made.
            Admission::Unverified(_) => return Err(Error::new(Code::Internal, "ask again")),
        };
        let before = reading.cursor.access().grant().identity();
        if before.is_some_and(|before| {
            matches!(before.kind, "token" | "jwt") && Some(before) != access.grant().identity()
        }) {
            let text = "the connection is another one's: AUTH can only renew what it has";
            return Err(Error::new(Code::Forbidden, text));
        }
        reading.cursor.exchange(access)?;
        self.talk().silent_until = None;
        Ok(())
    }

    /// Obeys a last line without its end, unless it publishes: the rest of the message may be
    /// missing.
    async fn obey_cut_off(&mut self, reading: &mut Reading) -> Result<(), Ending> {
        let rest = std::mem::take(self.talk().input.bytes());
        let line = match Line::parse(&rest, reading.cursor.access().limits().message_bytes) {
            Line::Publish(_) | Line::Refused(_) => {
                Line::Bad(Error::new(Code::BadRequest, "line was cut off: its end did not come"))
            }
            other => other,
        };
        self.obey_line(line, reading).await
    }

    /// Sends what is held by now for the peer's subscriptions, then ends: `SUB` and `QUIT` make a
    /// poll.
    async fn quit(&mut self, reading: &mut Reading) -> Result<(), Ending> {
        let end = reading.cursor.access().visible();
        let stop = reading.config.stop.clone();
        while reading.cursor.place().seq() < end {
            let batch = tokio::select! {
                () = stop.cancelled() => return Err(Ending::Stopping),
                batch = reading.cursor.next(PageLimit::BATCH) => batch?,
            };
            if batch.messages.is_empty() && batch.gap.is_none() {
                break;
            }
            deliver(self, reading, batch).await?;
        }
        Err(Ending::Quit)
    }

    async fn subscribe(
        &mut self,
        filter: Filter,
        since: Option<Since>,
        (format, coalesce): (Format, CoalesceWindow),
        reading: &mut Reading,
    ) -> Event<'static> {
        let since = since.unwrap_or(Since::None);
        let cursor = &mut reading.cursor;
        let subscribed = match cursor.access().readable(filter.clone()) {
            Ok(readable) => cursor.subscribe(readable, &since).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(error) = subscribed {
            self.refused(AuditAction::Read, &error, reading);
            return event::error(&error);
        }
        cursor.coalesce(coalesce);
        let event = event::subscribed(&filter, cursor);
        self.note_format(filter, format, cursor);
        reading.show();
        event
    }

    fn unsubscribe(&mut self, filter: &Filter, reading: &mut Reading) -> Event<'static> {
        if !reading.cursor.unsubscribe(filter) {
            let text = format!("there is no subscription to {filter}");
            return event::error(&Error::new(Code::BadRequest, text));
        }
        if let Some(formats) = &mut self.talk().formats {
            formats.retain(|(subscribed, _)| subscribed != filter);
        }
        event::unsubscribed(filter, &reading.cursor)
    }

    /// Remembers how the subscription is sent that the cursor has got last.
    fn note_format(&mut self, filter: Filter, format: Format, cursor: &Cursor) {
        let formats = &mut self.talk().formats;
        if formats.is_none() && format == Format::Json {
            return;
        }
        let filters = cursor.filters();
        let before = &filters[..filters.len().saturating_sub(1)];
        let formats = formats.get_or_insert_with(|| {
            before.iter().map(|filter| (filter.clone(), Format::Json)).collect()
        });
        formats.push((filter, format));
    }

    /// Submits the publishes that were gathered.
    async fn submit(&mut self, reading: &Reading) {
        self.talk().publishes.submit(reading.cursor.access()).await;
    }

    /// Waits for every publish so far and answers it.
    async fn settle(&mut self, reading: &mut Reading) -> Result<(), Ending> {
        self.submit(reading).await;
        self.answer(reading).await?;
        while !self.talk().publishes.is_empty() {
            poll_fn(|context| self.poll_urgent(context)).await;
            self.answer(reading).await?;
        }
        Ok(())
    }

    /// Answers publishes, all of them in one write.
    async fn answer(&mut self, reading: &mut Reading) -> Result<(), Ending> {
        let answers = std::mem::take(&mut self.talk().answers);
        if answers.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::with_capacity(answers.len() * event::LINE_BYTES);
        for answer in &answers {
            reading.config.metrics.published(answer.is_ok());
            let event = match answer {
                Ok(message) => event::stored(message),
                Err(error) => event::error(error),
            };
            event::push_line(&event, &mut lines);
        }
        reading.spoke();
        Ok(self.send(lines.into()).await?)
    }

    async fn say(&mut self, event: &Event<'_>, reading: &mut Reading) -> Result<(), Ending> {
        reading.spoke();
        self.send(event::line(event)).await?;
        let gaps = u64::from(event.gap.is_some());
        reading.config.metrics.of(self.transport).gaps.inc_by(gaps);
        Ok(())
    }

    /// Sends lines, each with its `\n`.
    async fn send(&mut self, lines: Bytes) -> io::Result<()> {
        let bytes = self.link.frame(lines);
        write(self, &bytes).await
    }
}
