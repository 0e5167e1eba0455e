//! The conversation in lines: what TCP, Unix sockets and WebSockets speak, written once.
//!
//! A [`Link`] carries lines to and fro; the [`Conversation`] knows what they mean. One task runs it:
//! it hears the peer, answers in the order of the commands, and sends what its cursor brings. It
//! keeps no queue of messages: while the peer takes nothing, nothing is read from the log. When there is
//! nothing left but to wait for news, it becomes a [`Member`] of a group until its peer speaks.

mod publishes;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use doorbell_protocol::draft::JsonDraft;
use doorbell_protocol::{Code, Command, Draft, Error, Event, Filter, Format, Gap, Kind, Since};
use futures_util::FutureExt;
use tokio::time::{Instant, timeout};

use crate::alarm::Alarm;
use crate::clock::unix_micros;
use crate::connections::Serving;
use crate::cursor::{Batch, Cursor, PageLimit, Wait};
use crate::group::{Groups, Member};
use crate::hub::Hub;
use crate::limits::{GROUP_AFTER, SETTLE_WAIT_MAX};
use crate::message::Message;
use crate::metrics::{Connected, Metrics, Transport};
use crate::stop::{Listener, Stop};
use crate::writer::Answer;

use self::publishes::Publishes;

/// What carries the lines.
pub trait Link: Send + 'static {
    /// Appends what the peer sent to `input`, lines with their `\n`, if it was anything of that kind; false
    /// when the peer will send nothing more. Pending until it has sent something, which the task is woken for.
    fn poll_receive(
        &mut self,
        input: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<bool>>;

    /// Lines, each with its `\n`, as they stand on the wire.
    fn frame(&self, lines: &[Bytes]) -> Bytes;

    /// What shows a quiet peer that the connection lives. `line` is the event for it.
    fn sign_of_life(&self, line: Bytes) -> Bytes;

    /// Writes some of what `frame` or `sign_of_life` made, in their order and all of it.
    fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// Ends the conversation from this side. `line` is the event for it, if it is to be sent.
    fn close(
        &mut self,
        ending: &Ending,
        line: Option<Bytes>,
    ) -> impl Future<Output = io::Result<()>> + Send;
}

/// Why a conversation ended.
#[derive(Debug)]
pub enum Ending {
    /// The client said `QUIT`.
    Quit,
    /// The client has closed its side and waits for nothing.
    Gone,
    /// The server is stopping.
    Stopping,
    /// The client broke a rule that leaves no way to go on.
    Fault(Error),
    /// The connection broke, or took nothing for the write deadline.
    Broken(io::Error),
}

impl From<io::Error> for Ending {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::InvalidData {
            return Self::Fault(Error::new(Code::LineTooLong, "frame is invalid or too long"));
        }
        Self::Broken(error)
    }
}

impl From<Error> for Ending {
    fn from(error: Error) -> Self {
        Self::Fault(error)
    }
}

impl Ending {
    /// The sentence for the peer.
    pub fn text(&self) -> &str {
        match self {
            Self::Quit | Self::Gone => "bye",
            Self::Stopping => "the server is stopping",
            Self::Fault(error) => error.text(),
            Self::Broken(_) => "the connection failed",
        }
    }
}

/// Settings and shared parts of every conversation.
#[derive(Debug, Clone)]
pub struct Manners {
    /// Sign of life after this long without any other event.
    pub keepalive: Duration,
    /// A line that was begun must end within this time.
    pub unfinished: Duration,
    /// Bytes of one line, its end not counted.
    pub line_bytes: usize,
    /// Where deliveries are counted.
    pub metrics: Arc<Metrics>,
    /// Where connections wait together.
    pub groups: Groups,
    /// Asks every conversation to end.
    pub stop: Stop,
}

/// What a conversation waits for.
enum Happening {
    /// The server is stopping.
    Stop,
    /// The oldest publishes have their answers.
    Settled(Vec<Answer>),
    /// The peer sent something, or will send nothing more.
    Heard(io::Result<bool>),
    /// The cursor has something.
    News(Result<Batch, Error>),
    /// The peer began a line and has not finished it in time.
    Unfinished,
    /// Nothing was said for long.
    Quiet,
    /// The peer has said nothing for a while, and there is nothing but news to wait for.
    Idle,
}

/// How a conversation begins.
enum Begin {
    Greeting,
    /// It has waited: what is left of the bytes that were begun, and what the peer said to end the wait.
    Again(Bytes, Option<Box<Heard>>),
}

/// What a peer said, and whether it may say more.
struct Heard {
    input: Vec<u8>,
    hearing: io::Result<bool>,
}

/// How a conversation goes on after a turn.
enum Next {
    Turn,
    /// It only waits.
    Wait,
}

/// One peer.
pub struct Conversation<L> {
    link: L,
    begin: Begin,
    hub: Hub,
    manners: Arc<Manners>,
    transport: Transport,
    cursor: Cursor,
    /// Shows others what is read here.
    serving: Serving,
    /// How each subscription is sent; absent while all are sent as JSON, as with nearly everybody.
    formats: Option<Vec<(Filter, Format)>>,
    input: Input,
    /// Whether the peer may still send.
    hearing: bool,
    publishes: Publishes,
    next_keepalive: Instant,
    alarm: Alarm,
    stopped: Listener,
    /// Whether the peer has its turn before the cursor.
    hears_first: bool,
    /// When the peer last said something.
    heard_at: Instant,
    connected: Connected,
    began: std::time::Instant,
}

/// Bytes that the lines about one command nearly always fit in.
const LINE_BYTES: usize = 192;

impl<L: Link> Conversation<L> {
    /// A conversation over a link. The cursor may have a filter already, which is sent as JSON.
    pub fn new(
        link: L,
        hub: Hub,
        manners: Arc<Manners>,
        transport: Transport,
        cursor: Cursor,
        serving: Serving,
    ) -> Self {
        let connected = manners.metrics.of(transport).connected();
        let began = std::time::Instant::now();
        Waiting { link, hub, manners, transport, serving, connected, heard: None, began }.resume(
            cursor,
            Begin::Greeting,
            Instant::now(),
        )
    }

    /// Speaks until either side ends it, or until it has only to wait, for which it joins a group.
    #[allow(clippy::manual_async_fn, reason = "it would keep room for the conversation twice")]
    pub fn run(mut self) -> impl Future<Output = ()> + Send {
        async move {
            match self.converse().await {
                Ok(()) => self.wait(),
                Err(ending) => Box::pin(self.part(ending)).await,
            }
        }
    }

    /// Becomes a member of a group.
    fn wait(self) {
        let Self { link, hub, manners, transport, cursor, serving, connected, began, .. } = self;
        let groups = manners.groups.clone();
        let spoken_to = self.next_keepalive - manners.keepalive;
        let waiting =
            Waiting { link, hub, manners, transport, serving, connected, heard: None, began };
        groups.join(cursor, Box::new(waiting), spoken_to);
    }

    /// Says why it is over.
    async fn part(&mut self, ending: Ending) {
        tracing::trace!(transport = self.transport.name(), ?ending, "conversation ended");
        if matches!(ending, Ending::Stopping | Ending::Fault(_)) {
            // What was accepted before is stored: its publisher is told so.
            let _ = timeout(SETTLE_WAIT_MAX, self.settle_all()).await;
        }
        match &ending {
            Ending::Broken(_) => return,
            Ending::Fault(error) => {
                let _ = self.send(&[line(&error_event(error))]).await;
            }
            Ending::Quit | Ending::Gone | Ending::Stopping => {}
        }
        let mut event = Event::new(Kind::Close, unix_micros()).at(self.cursor.place());
        event.message = Some(ending.text().into());
        // Who reads nothing but texts would take the event for one.
        let event = (!self.is_raw()).then(|| line(&event));
        // A peer that does not listen any more does not hear this either.
        let _ = self.link.close(&ending, event).await;
    }

    /// Speaks until there is nothing left but to wait for news.
    async fn converse(&mut self) -> Result<(), Ending> {
        // What is done seldom is boxed: an idle connection costs what its task needs to wait.
        match std::mem::replace(&mut self.begin, Begin::Greeting) {
            Begin::Greeting => Box::pin(self.greet()).await?,
            Begin::Again(unsent, heard) => {
                self.write(&unsent).await?;
                if let Some(heard) = heard {
                    self.input.bytes = heard.input;
                    self.hearing = heard.hearing?;
                }
            }
        }
        loop {
            while let Some(command) = self.take_command()? {
                Box::pin(self.obey(&command)).await?;
            }
            if self.publishes.has_gathered() {
                Box::pin(self.publishes.submit(&self.hub)).await;
            }
            if !self.hearing && self.may_obey() && !self.input.bytes.is_empty() {
                Box::pin(self.obey_cut_off()).await?;
            }
            let waits = !self.publishes.is_empty() || !self.cursor.filters().is_empty();
            if !self.hearing && !waits {
                return Err(Ending::Gone);
            }
            if let Next::Wait = self.turn().await? {
                return Ok(());
            }
        }
    }

    /// Waits for one thing to happen and deals with it.
    async fn turn(&mut self) -> Result<Next, Ending> {
        let happening = poll_fn(|context| self.poll_happening(context)).await;
        self.cursor.stop_waiting();
        match happening {
            Happening::Stop => return Err(Ending::Stopping),
            Happening::Settled(answers) => Box::pin(self.answer_publishes(answers)).await?,
            Happening::Heard(heard) => {
                self.hearing = heard?;
                self.hears_first = false;
                self.heard_at = Instant::now();
            }
            Happening::News(batch) => {
                self.hears_first = true;
                self.deliver(batch?).await?;
            }
            Happening::Unfinished => self.look_for_end()?,
            Happening::Quiet => Box::pin(self.keep_alive(None)).await?,
            Happening::Idle => return Ok(Next::Wait),
        }
        Ok(Next::Turn)
    }

    /// What happens next. Nothing of it is lost if it is not waited for, and none of it is waited for in
    /// a future of its own: there are a great many conversations, and nearly all of them wait.
    fn poll_happening(&mut self, context: &mut Context<'_>) -> Poll<Happening> {
        if self.stopped.poll_stopped(context).is_ready() {
            return Poll::Ready(Happening::Stop);
        }
        if let Poll::Ready(answers) = self.publishes.poll_answers(context) {
            return Poll::Ready(Happening::Settled(answers));
        }
        // A peer that talks without a pause still hears, and one that hears without a pause may talk.
        for hears in [self.hears_first, !self.hears_first] {
            let happening = if hears {
                self.poll_heard(context).map(Happening::Heard)
            } else {
                self.cursor.poll_next(PageLimit::BATCH, context).map(Happening::News)
            };
            if happening.is_ready() {
                return happening;
            }
        }
        // A peer is not late while it is the server that keeps it waiting.
        let begun = self.input.begun.filter(|_| self.is_listening());
        let late = begun.map(|begun| begun + self.manners.unfinished);
        let idle = self.has_only_to_wait().then(|| self.heard_at + GROUP_AFTER);
        let next = [late, idle].into_iter().flatten().fold(self.next_keepalive, Instant::min);
        ready!(self.alarm.poll_until(next, context));
        let has_come = |moment: Instant| moment <= Instant::now();
        Poll::Ready(match (late, idle) {
            (Some(late), _) if has_come(late) => Happening::Unfinished,
            (_, Some(idle)) if has_come(idle) => Happening::Idle,
            _ => Happening::Quiet,
        })
    }

    /// Whether there is nothing but news to wait for, such as others wait for as well.
    fn has_only_to_wait(&self) -> bool {
        self.hearing
            && self.input.bytes.is_empty()
            && self.publishes.is_empty()
            && self.formats.is_none()
            && self.cursor.sole_filter().is_some()
    }

    fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if !self.is_listening() {
            return Poll::Pending;
        }
        self.link.poll_receive(&mut self.input.bytes, context)
    }

    /// Whether the peer is heard at the moment.
    fn is_listening(&self) -> bool {
        self.hearing && self.may_obey()
    }

    /// Whether another command may be taken: so many publishes may wait for their answers.
    fn may_obey(&self) -> bool {
        self.publishes.has_room()
    }

    /// The time to finish a line has passed. Its end may have come while the server was busy sending.
    fn look_for_end(&mut self) -> Result<(), Ending> {
        match poll_fn(|context| self.poll_heard(context)).now_or_never() {
            Some(heard) => {
                self.hearing = heard?;
                Ok(())
            }
            None => {
                let limit = self.manners.unfinished.as_secs_f64();
                let text = format!("line was not finished within {limit} s");
                Err(Error::new(Code::Timeout, text).into())
            }
        }
    }

    /// The server speaks first.
    async fn greet(&mut self) -> Result<(), Ending> {
        let mut event = Event::new(Kind::Open, unix_micros()).at(self.cursor.place());
        let topics = self.cursor.filters().first().map(ToString::to_string);
        if let Some(topics) = &topics {
            event.topic = Some(topics.into());
        } else {
            event.message =
                Some("doorbell: SUB filter, UNSUB filter, PUB topic text, PING, QUIT".into());
        }
        event.gap = self.cursor.take_gap();
        self.say(&event).await
    }

    /// Obeys a last line without its end, unless it publishes: the rest of the message may be missing.
    async fn obey_cut_off(&mut self) -> Result<(), Ending> {
        let line = std::mem::take(&mut self.input).bytes;
        let text = std::str::from_utf8(&line).unwrap_or_default();
        if matches!(
            Command::parse(text),
            Ok(Some(Command::Publish { .. } | Command::PublishJson(_)))
        ) {
            let error = Error::new(Code::BadRequest, "line was cut off: its end did not come");
            return self.answer_in_order(&error_event(&error)).await;
        }
        self.obey(&line).await
    }

    /// Takes the next command. Publishes on the way to it are gathered: they need no answer before
    /// they are stored.
    fn take_command(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let limit = self.hub.limits().message_bytes;
        while self.may_obey()
            && let Some(line) = self.input.take_line(self.manners.line_bytes)?
        {
            match draft(line, limit) {
                Some(Ok(draft)) => self.publishes.gather(draft),
                _ => return Ok(Some(line.to_vec())),
            }
        }
        Ok(None)
    }

    async fn obey(&mut self, line: &[u8]) -> Result<(), Ending> {
        if let Some(Err(error)) = draft(line, self.hub.limits().message_bytes) {
            self.manners.metrics.published(false);
            return self.answer_in_order(&error_event(&error)).await;
        }
        match command(line) {
            Ok(None) => Ok(()),
            Err(error) => self.answer_in_order(&error_event(&error)).await,
            Ok(Some(command)) => {
                self.settle_all().await?;
                let event = match command {
                    Command::Subscribe { filter, since, format } => {
                        self.subscribe(filter, since, format).await
                    }
                    Command::Unsubscribe(filter) => self.unsubscribe(&filter),
                    Command::Ping(word) => pong(word),
                    Command::Quit => return self.quit().await,
                    _ => error_event(&Error::new(
                        Code::Unauthorized,
                        "the server has no tokens configured",
                    )),
                };
                self.say(&event).await
            }
        }
    }

    /// Sends what is held by now for the peer's subscriptions, then ends: `SUB` and `QUIT` make a poll.
    async fn quit(&mut self) -> Result<(), Ending> {
        let end = self.hub.visible();
        while self.cursor.place().seq() < end {
            let stop = &self.manners.stop;
            let batch = tokio::select! {
                () = stop.cancelled() => return Err(Ending::Stopping),
                batch = self.cursor.next(Wait::No, PageLimit::BATCH) => batch?,
            };
            if batch.messages.is_empty() && batch.gap.is_none() {
                break;
            }
            self.deliver(batch).await?;
        }
        Err(Ending::Quit)
    }

    async fn subscribe(
        &mut self,
        filter: Filter,
        since: Option<Since>,
        format: Format,
    ) -> Event<'static> {
        let since = since.unwrap_or(Since::None);
        match self.cursor.subscribe(filter.clone(), &since).await {
            Err(error) => error_event(&error),
            Ok(()) => {
                self.serving.reads(self.cursor.progress());
                let mut event = Event::new(Kind::Ok, unix_micros()).at(self.cursor.place());
                event.topic = Some(filter.to_string().into());
                event.gap = self.cursor.take_gap();
                self.note_format(filter, format);
                event
            }
        }
    }

    fn unsubscribe(&mut self, filter: &Filter) -> Event<'static> {
        if !self.cursor.unsubscribe(filter) {
            let text = format!("there is no subscription to {filter}");
            return error_event(&Error::new(Code::BadRequest, text));
        }
        if let Some(formats) = &mut self.formats {
            formats.retain(|(subscribed, _)| subscribed != filter);
        }
        let mut event = Event::new(Kind::Ok, unix_micros()).at(self.cursor.place());
        event.topic = Some(filter.to_string().into());
        event
    }

    /// Answers a command after every publish before it.
    async fn answer_in_order(&mut self, event: &Event<'_>) -> Result<(), Ending> {
        self.settle_all().await?;
        self.say(event).await
    }

    async fn settle_all(&mut self) -> Result<(), Ending> {
        self.publishes.submit(&self.hub).await;
        while !self.publishes.is_empty() {
            let answers = poll_fn(|context| self.publishes.poll_answers(context)).await;
            self.answer_publishes(answers).await?;
        }
        Ok(())
    }

    /// Answers publishes, all of them in one write.
    async fn answer_publishes(&mut self, answers: Vec<Answer>) -> Result<(), Ending> {
        let mut lines = Vec::with_capacity(answers.len());
        for answer in &answers {
            self.manners.metrics.published(answer.is_ok());
            lines.push(match answer {
                Ok(message) => {
                    let mut event = Event::new(Kind::Ok, message.time_us()).at(message.id());
                    event.topic = Some(message.topic().as_str().into());
                    line(&event)
                }
                Err(error) => line(&error_event(error)),
            });
        }
        self.next_keepalive = Instant::now() + self.manners.keepalive;
        Ok(self.send(&lines).await?)
    }

    async fn deliver(&mut self, batch: Batch) -> Result<(), Ending> {
        if batch.messages.is_empty() {
            return Box::pin(self.keep_alive(batch.gap)).await;
        }
        let lines = self.lines(&batch);
        self.send(&lines).await?;
        let bytes = lines.iter().map(Bytes::len).sum();
        let gaps = usize::from(batch.gap.is_some());
        let metrics = self.manners.metrics.of(self.transport);
        metrics.delivered(1, &batch.messages, bytes, gaps, self.began);
        self.next_keepalive = Instant::now() + self.manners.keepalive;
        Ok(())
    }

    /// A batch as lines; what was lost is told with the first of them.
    fn lines(&self, batch: &Batch) -> Vec<Bytes> {
        let mut lines = Vec::with_capacity(batch.messages.len() + 1);
        for (index, message) in batch.messages.iter().enumerate() {
            let gap = batch.gap.as_ref().filter(|_| index == 0);
            match self.format_of(message) {
                Format::Json => lines.push(message.frame_after(gap).line()),
                Format::Raw => {
                    lines.extend(
                        gap.map(|gap| line(&keepalive_event(&self.cursor, Some(gap.clone())))),
                    );
                    lines.push(message.raw_line());
                }
            }
        }
        lines
    }

    /// Remembers how the subscription is sent that the cursor has got last.
    fn note_format(&mut self, filter: Filter, format: Format) {
        if self.formats.is_none() && format == Format::Json {
            return;
        }
        let filters = self.cursor.filters();
        let before = &filters[..filters.len().saturating_sub(1)];
        let formats = self.formats.get_or_insert_with(|| {
            before.iter().map(|filter| (filter.clone(), Format::Json)).collect()
        });
        formats.push((filter, format));
    }

    fn format_of(&self, message: &Message) -> Format {
        let Some(formats) = &self.formats else { return Format::Json };
        let mut formats = formats.iter();
        let found = formats.find(|(filter, _)| filter.matches(message.topic().as_str()));
        found.map_or(Format::Json, |(_, format)| *format)
    }

    /// Whether the peer reads nothing but texts.
    fn is_raw(&self) -> bool {
        let raw = |formats: &[(Filter, Format)]| {
            !formats.is_empty() && formats.iter().all(|(_, format)| *format == Format::Raw)
        };
        self.formats.as_ref().is_some_and(|formats| raw(formats))
    }

    async fn keep_alive(&mut self, gap: Option<Gap>) -> Result<(), Ending> {
        self.next_keepalive = Instant::now() + self.manners.keepalive;
        if gap.is_some() {
            return self.say(&keepalive_event(&self.cursor, gap)).await;
        }
        if self.is_raw() {
            // Who reads nothing but texts gets an empty one.
            let sign = self.link.sign_of_life(Bytes::from_static(b"\n"));
            return Ok(self.write(&sign).await?);
        }
        let sign = self.link.sign_of_life(line(&keepalive_event(&self.cursor, None)));
        Ok(self.write(&sign).await?)
    }

    async fn say(&mut self, event: &Event<'_>) -> Result<(), Ending> {
        self.next_keepalive = Instant::now() + self.manners.keepalive;
        self.send(&[line(event)]).await?;
        let gaps = u64::from(event.gap.is_some());
        self.manners.metrics.of(self.transport).gaps.inc_by(gaps);
        Ok(())
    }

    /// Sends lines, each with its `\n`.
    async fn send(&mut self, lines: &[Bytes]) -> io::Result<()> {
        let bytes = self.link.frame(lines);
        self.write(&bytes).await
    }

    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match poll_fn(|context| self.link.poll_write(bytes, context)).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => bytes = &bytes[count..],
            }
        }
        Ok(())
    }
}

/// What is left of a conversation while it only waits.
struct Waiting<L> {
    link: L,
    hub: Hub,
    manners: Arc<Manners>,
    transport: Transport,
    serving: Serving,
    connected: Connected,
    /// What the peer said to end the wait.
    heard: Option<Box<Heard>>,
    began: std::time::Instant,
}

impl<L: Link> Waiting<L> {
    /// The conversation. The peer was last sent something at `spoken_to`.
    fn resume(self, cursor: Cursor, begin: Begin, spoken_to: Instant) -> Conversation<L> {
        let Self { link, hub, manners, transport, serving, connected, began, .. } = self;
        serving.reads(cursor.progress());
        let next_keepalive = spoken_to + manners.keepalive;
        let stopped = manners.stop.listener();
        Conversation {
            link,
            begin,
            hub,
            manners,
            transport,
            cursor,
            serving,
            formats: None,
            input: Input::default(),
            hearing: true,
            publishes: Publishes::default(),
            next_keepalive,
            alarm: Alarm::new(next_keepalive),
            stopped,
            hears_first: true,
            heard_at: Instant::now(),
            connected,
            began,
        }
    }
}

impl<L: Link> Member for Waiting<L> {
    fn transport(&self) -> Transport {
        self.transport
    }

    fn frame(&self, batch: &Batch, cursor: &Cursor) -> Bytes {
        if batch.messages.is_empty() {
            let event = line(&keepalive_event(cursor, batch.gap.clone()));
            return match batch.gap {
                None => self.link.sign_of_life(event),
                Some(_) => self.link.frame(&[event]),
            };
        }
        let mut gap = batch.gap.as_ref();
        let lines: Vec<Bytes> =
            batch.messages.iter().map(|message| message.frame_after(gap.take()).line()).collect();
        self.link.frame(&lines)
    }

    fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.link.poll_write(bytes, context)
    }

    fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut input = Vec::new();
        let hearing = ready!(self.link.poll_receive(&mut input, context));
        self.heard = Some(Box::new(Heard { input, hearing }));
        Poll::Ready(())
    }

    fn reads(&self, cursor: &Cursor) {
        self.serving.reads(cursor.progress());
    }

    fn go_on(mut self: Box<Self>, cursor: Cursor, unsent: Bytes, spoken_to: Instant) {
        let begin = Begin::Again(unsent, self.heard.take());
        let conversation = self.resume(cursor, begin, spoken_to);
        #[allow(clippy::disallowed_methods, reason = "its socket is waited for")]
        tokio::spawn(conversation.run());
    }
}

/// What a peer sent and nobody obeyed yet.
#[derive(Debug, Default)]
struct Input {
    bytes: Vec<u8>,
    /// Where the first line begins that was not taken yet.
    start: usize,
    /// When the unfinished line at the end was begun.
    begun: Option<Instant>,
}

impl Input {
    /// Takes the next whole line, without its `\n` or `\r\n`.
    fn take_line(&mut self, limit: usize) -> Result<Option<&[u8]>, Error> {
        let waiting = &self.bytes[self.start..];
        let end = memchr::memchr(b'\n', waiting);
        let line = &waiting[..end.unwrap_or(waiting.len())];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > limit {
            let text = format!("line is longer than {limit} bytes, which is the limit");
            return Err(Error::new(Code::LineTooLong, text));
        }
        if let Some(end) = end {
            let line = self.start..self.start + line.len();
            self.start += end + 1;
            self.begun = None;
            return Ok(Some(&self.bytes[line]));
        }
        self.bytes.drain(..self.start);
        self.start = 0;
        if self.bytes.is_empty() {
            // A connection that says nothing keeps no buffer.
            self.bytes = Vec::new();
            self.begun = None;
        } else {
            self.begun.get_or_insert_with(Instant::now);
        }
        Ok(None)
    }
}

fn command(line: &[u8]) -> Result<Option<Command<'_>>, Error> {
    let not_utf8 = |_| Error::new(Code::NotUtf8, "line is not UTF-8");
    std::str::from_utf8(line).map_err(not_utf8).and_then(Command::parse)
}

/// The draft of a line that publishes.
fn draft(line: &[u8], limit: usize) -> Option<Result<Draft, Error>> {
    match command(line) {
        Ok(Some(Command::Publish { topic, message })) => Some(Draft::text(topic, message, limit)),
        Ok(Some(Command::PublishJson(json))) => {
            let json = JsonDraft::parse(json.as_bytes());
            Some(json.and_then(|json| json.into_draft(limit, |_| None)))
        }
        _ => None,
    }
}

fn pong(word: Option<&str>) -> Event<'static> {
    let mut event = Event::new(Kind::Pong, unix_micros());
    event.message = word.map(|word| word.to_owned().into());
    event
}

fn keepalive_event(cursor: &Cursor, gap: Option<Gap>) -> Event<'static> {
    let mut event = Event::new(Kind::Keepalive, unix_micros()).at(cursor.place());
    event.gap = gap;
    event
}

fn error_event(error: &Error) -> Event<'static> {
    Event::error(error, unix_micros())
}

fn line(event: &Event<'_>) -> Bytes {
    let mut line = Vec::with_capacity(LINE_BYTES);
    event.write_json(&mut line);
    line.push(b'\n');
    line.into()
}
