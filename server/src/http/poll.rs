//! Reading over HTTP: what a reader asks for, and the answers to polls and long polls.
//!
//! A poll takes what is there; a long poll waits for it once; a stream goes on for as long as the
//! client stays, and is a session (`stream`). All of them are the same cursor.
//!
//! An answer that fits into one page is made at once and has a length. What does not fit is read
//! page by page, as the client takes it: nothing of it is kept but the cursor and the first page.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use bytes::Bytes;
use doorbell_protocol::code::quoted;
use doorbell_protocol::id::ID_CHARS;
use doorbell_protocol::limits::{POLL_MESSAGES_MAX, WAIT_SECONDS_MAX};
use doorbell_protocol::since::parse_duration;
use doorbell_protocol::{CoalesceWindow, Code, Conditions, Error, Gap, Id, Since};
use futures_util::Stream;

use super::App;
use super::framing::Framing;
use super::params::Params;
use super::reply::{Body, Head, Reply};
use super::stream;
use super::upload::BodyRest;
use crate::access::{Access, Readable};
use crate::connections::{Connection, Service, Serving};
use crate::cursor::{Batch, Cursor, PageLimit};
use crate::metrics::{Connected, Metrics, Transport};
use crate::session::{Nobody, Wait, Wakeup};
use crate::visitors::Sharing;

/// What a reader asks for.
#[derive(Debug)]
pub(super) struct ReadRequest {
    access: Access,
    filter: Readable,
    framing: Framing,
    since: Since,
    conditions: Conditions,
    coalesce: CoalesceWindow,
    /// Without it, the answer does not end.
    poll: Option<PollOptions>,
}

/// What the answer to a poll is to be.
#[derive(Debug)]
struct PollOptions {
    /// Messages, if the client bounds them.
    max: Option<usize>,
    wait: Option<Duration>,
    /// The tags that the client knows.
    tags: Option<String>,
    /// Whether it asks for what waits for its time, too.
    scheduled: bool,
}

/// What a connection keeps from one long poll to the next.
#[derive(Debug)]
pub(super) struct Kept {
    wait: Wait,
    /// The cursor of the last one: the next poll mostly asks for what comes after that.
    cursor: Option<Box<Cursor>>,
}

impl Kept {
    /// There was none yet.
    pub(super) fn new(wait: Wait) -> Self {
        Self { wait, cursor: None }
    }

    /// What ends the waits of the connection.
    pub(super) fn wait(&mut self) -> &mut Wait {
        &mut self.wait
    }
}

/// Where a request is served.
pub(super) struct Served<'c> {
    /// Its connection.
    pub(super) connection: &'c Arc<Connection>,
    /// What is kept from one long poll to the next.
    pub(super) kept: &'c mut Kept,
    /// What is left of its body, where that is a file.
    pub(super) rest: Option<&'c mut BodyRest>,
}

impl ReadRequest {
    /// Reads it from the parameters of a request for one of the three addresses.
    pub(super) fn new(
        access: Access,
        filter: Readable,
        framing: Framing,
        params: &Params<'_>,
    ) -> Result<Self, Error> {
        let poll = if params.poll() {
            let (max, wait) = (poll_max(params)?, poll_wait(params)?);
            let tags = params.header("if-none-match").map(Cow::into_owned);
            let scheduled = params.scheduled();
            // A tag says nothing of what waits.
            let tags = tags.filter(|_| !scheduled);
            Some(PollOptions { max, wait, tags, scheduled })
        } else {
            None
        };
        let since = params.since(if poll.is_some() { Since::All } else { Since::None })?;
        let (conditions, coalesce) = (params.conditions()?, params.coalesce()?);
        Ok(Self { access, filter, framing, since, conditions, coalesce, poll })
    }

    /// By what it reads.
    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// Whether it has an end.
    pub(super) fn is_poll(&self) -> bool {
        self.poll.is_some()
    }

    /// Whether a cursor for it would be this one.
    fn continues(&self, cursor: &Cursor) -> bool {
        matches!(self.since, Since::Id(place) if place == cursor.place())
            && self.access.grant() == cursor.access().grant()
            && self.conditions.is_empty()
            && self.coalesce.is_none()
            && cursor.sole_filter() == Some(&*self.filter)
    }

    /// What waits for its time, if that is asked for and the answer reaches all that is held.
    async fn scheduled(&self, place: &Place) -> Result<Option<Batch>, Error> {
        if place.more || !self.poll.as_ref().is_some_and(|options| options.scheduled) {
            return Ok(None);
        }
        let mut messages = Box::pin(self.access.scheduled(&self.filter)).await?;
        messages.retain(|message| message.meets(&self.conditions));
        Ok((!messages.is_empty()).then_some(Batch { gap: None, messages }))
    }

    /// A cursor from a place on. To be boxed: finding a place may take much room, and a poll that
    /// waits has found it.
    async fn open(&self, since: &Since) -> Result<Box<Cursor>, Error> {
        let cursor = Cursor::open(&self.access, self.filter.clone(), since).await?;
        let cursor = cursor.with_conditions(self.conditions.clone());
        Ok(Box::new(cursor.coalescing(self.coalesce)))
    }
}

/// Answers a reader: with what is there, with what it waits for, or without an end. What it is
/// counted by is taken, for as long as it reads.
///
/// # Errors
///
/// That the filter may not be read, or the log could not be.
pub(super) async fn answer(
    app: &App,
    request: &ReadRequest,
    sharing: &mut Sharing,
    served: Served<'_>,
) -> Result<Reply, Error> {
    match &request.poll {
        Some(options) => answer_once(app, request, options, sharing, served).await,
        None => {
            let cursor = *Box::pin(request.open(&request.since)).await?;
            let transport = request.framing.transport();
            let service = Service::Reader(transport);
            let serving = served.connection.serve_sharing(service, std::mem::take(sharing));
            Ok(stream::begin(&app.config, cursor, request.framing, serving))
        }
    }
}

async fn answer_once(
    app: &App,
    request: &ReadRequest,
    options: &PollOptions,
    sharing: &mut Sharing,
    served: Served<'_>,
) -> Result<Reply, Error> {
    let ReadRequest { access, filter, framing, .. } = request;
    let PollOptions { max, wait, tags, .. } = options;
    let Served { connection, kept, .. } = served;
    let metrics = &app.config.metrics;
    let transport = if wait.is_some() { Transport::Longpoll } else { Transport::Poll };
    let reader =
        Reader::new(metrics.clone(), request, connection, transport, std::mem::take(sharing));

    let continued = kept.cursor.take().filter(|cursor| request.continues(cursor));
    let mut cursor = match continued {
        Some(mut cursor) => {
            // Behind a proxy the one before may have been somebody else's.
            cursor.charge_to(access.visitor());
            cursor
        }
        None => Box::pin(request.open(&request.since)).await?,
    };
    let tags = tags.as_ref().filter(|_| cursor.gap().is_none());
    let known = match tags {
        Some(tags) => knows_all(access, filter, tags).await?,
        None => None,
    };
    if let Some(place) = known {
        cursor = Box::pin(request.open(&Since::Id(place))).await?;
    }
    reader.serving.reads(cursor.progress());
    let most = max.unwrap_or(usize::MAX);
    let waited = match wait {
        Some(wait) => {
            let until = tokio::time::Instant::now() + *wait;
            Some(wait_for(&mut cursor, most, until, &mut kept.wait).await?)
        }
        None => None,
    };
    let found = Box::pin(gather(&mut cursor, waited, most)).await?;
    // One that is held back asks again at once.
    let told = app.poll_interval.filter(|_| wait.is_none());
    metrics.polls.inc();
    if found.messages == 0 {
        metrics.polls_empty.inc();
    }
    if !found.is_all {
        let end = Box::pin(end_of(&mut cursor, found.messages, most)).await?;
        let place = Place::new(access, filter, end).await?.again_in(told);
        // Losses further on are told on their events.
        let head = place.head(StatusCode::OK, found.gaps().take(1), Some(*framing));
        let left = most - found.messages;
        let scheduled = request.scheduled(&place).await?;
        let pages = Pages { reader, found: found.into_batches(), cursor, end, left, scheduled };
        return Ok(poll_reply(head, Body::Pieces(Box::pin(pages), None)));
    }
    let place = Place::new(access, filter, cursor.place().seq()).await?.again_in(told);
    if wait.is_some() {
        kept.cursor = Some(cursor);
    }
    if known.is_some() && found.messages == 0 && found.gaps().next().is_none() {
        let head = place.head(StatusCode::NOT_MODIFIED, found.gaps(), None);
        return Ok(Reply::new(head, Body::Whole(Bytes::new())));
    }
    let head = place.head(StatusCode::OK, found.gaps(), Some(*framing));
    let scheduled = request.scheduled(&place).await?;
    let body = match found.others.as_slice() {
        [] if scheduled.is_none() => reader.body(&found.first),
        _ => {
            let batches = found.batches().chain(&scheduled);
            batches.map(|batch| reader.body(batch)).collect::<Vec<_>>().concat().into()
        }
    };
    Ok(poll_reply(head, Body::Whole(body)))
}

fn poll_reply(head: Head, body: Body) -> Reply {
    Reply { is_compressible: true, ..Reply::new(head, body) }
}

/// Where a client stands that knows the tag of the newest message of the filter: what it has is all
/// there is up to that place, whatever its `since` says.
async fn knows_all(access: &Access, filter: &Readable, tags: &str) -> Result<Option<Id>, Error> {
    // The place first: what is published after this line must not be skipped.
    let visible = access.visible();
    let newest = access.id(access.newest(filter).await?);
    let is_known = matches_tag(tags.as_bytes(), &etag(newest));
    Ok(is_known.then(|| access.id(visible.max(newest.seq()))))
}

// --- What there is to answer ---------------------------------------------------------------------

/// Waits for the first of it. A reader that waits when the server stops gets nothing, and its
/// place.
async fn wait_for(
    cursor: &mut Cursor,
    most: usize,
    until: tokio::time::Instant,
    wait: &mut Wait,
) -> Result<Batch, Error> {
    let limit = page_limit(most, 0);
    let wakeup = poll_fn(|context| wait.poll(cursor, limit, &mut Nobody, |_, _| until, context));
    match wakeup.await {
        Wakeup::News(batch) => batch,
        // What waits for more goes out with the answer.
        Wakeup::Due if cursor.gathers_until().is_some() => cursor.next(limit).await,
        Wakeup::Stop | Wakeup::Heard | Wakeup::Due => Ok(Batch::default()),
    }
}

/// What was found for one page.
#[derive(Debug, Default)]
struct Gathered {
    first: Batch,
    /// What follows the first, each with a gap at its beginning: hardly ever anything.
    others: Vec<Batch>,
    messages: usize,
    bytes: usize,
    /// Whether this is all there is, or all that was asked for.
    is_all: bool,
}

impl Gathered {
    fn add(&mut self, batch: Batch) {
        self.messages += batch.messages.len();
        self.bytes += batch.messages.iter().map(|message| message.frame().len()).sum::<usize>();
        let last = self.others.last_mut().unwrap_or(&mut self.first);
        if last.messages.is_empty() {
            // All that was lost before one event is one gap.
            last.gap = match (last.gap.take(), batch.gap) {
                (Some(gap), Some(next)) => Some(gap.joined(&next)),
                (gap, next) => gap.or(next),
            };
            last.messages = batch.messages;
        } else if batch.gap.is_none() {
            last.messages.extend(batch.messages);
        } else {
            self.others.push(batch);
        }
    }

    fn batches(&self) -> impl Iterator<Item = &Batch> {
        std::iter::once(&self.first).chain(&self.others)
    }

    fn into_batches(mut self) -> std::vec::IntoIter<Batch> {
        self.others.insert(0, self.first);
        self.others.into_iter()
    }

    fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.batches().filter_map(|batch| batch.gap.as_ref())
    }
}

/// Finds what there is, up to one page. It begins with what was waited for, which is all of it if
/// that is nothing.
async fn gather(
    cursor: &mut Cursor,
    waited: Option<Batch>,
    most: usize,
) -> Result<Gathered, Error> {
    let page = PageLimit::BATCH;
    let mut found = Gathered::default();
    let mut next = waited;
    loop {
        let batch = match next.take() {
            Some(batch) => batch,
            None => {
                let left = most.min(page.messages) - found.messages;
                cursor.next(page_limit(left, found.bytes)).await?
            }
        };
        let is_last = batch.first().is_none() || cursor.has_caught_up();
        found.add(batch);
        if is_last || found.messages >= most {
            found.is_all = true;
            return Ok(found);
        }
        if found.messages >= page.messages || found.bytes >= page.bytes {
            return Ok(found);
        }
    }
}

/// Where an answer ends of which so many messages were found and that has several pages: at the
/// last message that was asked for, else at what is visible now. The cursor stays where it is.
async fn end_of(cursor: &mut Cursor, mut messages: usize, most: usize) -> Result<u64, Error> {
    let visible = cursor.access().visible();
    if most == usize::MAX {
        return Ok(visible);
    }
    let place = cursor.bookmark();
    while messages < most && cursor.place().seq() < visible {
        let more = cursor.next(page_limit(most - messages, 0)).await?;
        if more.first().is_none() {
            break;
        }
        messages += more.messages.len();
    }
    let end = if messages < most { visible } else { cursor.place().seq() };
    cursor.return_to(place);
    Ok(end)
}

/// What may still come of so many messages, on a page that holds so many bytes already.
fn page_limit(left: usize, bytes: usize) -> PageLimit {
    let whole = PageLimit::BATCH;
    PageLimit { messages: left.min(whole.messages), bytes: whole.bytes.saturating_sub(bytes) }
}

// --- What is sent --------------------------------------------------------------------------------

/// A reader that is answered once.
struct Reader {
    metrics: Arc<Metrics>,
    transport: Transport,
    framing: Framing,
    /// What was accepted before is history to it.
    since: Instant,
    serving: Serving,
    _connected: Connected,
}

impl Reader {
    fn new(
        metrics: Arc<Metrics>,
        request: &ReadRequest,
        connection: &Arc<Connection>,
        transport: Transport,
        sharing: Sharing,
    ) -> Self {
        let since = match request.since {
            // It comes back with its place, so it has been waiting since then.
            Since::Id(_) => metrics.started,
            _ => Instant::now(),
        };
        let connected = metrics.of(transport).connected();
        let serving = connection.serve_sharing(Service::Reader(transport), sharing);
        let framing = request.framing;
        Self { metrics, transport, framing, since, serving, _connected: connected }
    }

    /// A batch as it stands in a body; its first message tells of the gap.
    fn body(&self, batch: &Batch) -> Bytes {
        let body = self.framing.messages(batch);
        let gaps = usize::from(batch.gap.is_some());
        let metrics = self.metrics.of(self.transport);
        metrics.delivered(1, &batch.messages, body.len(), gaps, self.since);
        body
    }
}

/// An answer of several pages, each read when the one before it was taken.
struct Pages {
    reader: Reader,
    /// The first page.
    found: std::vec::IntoIter<Batch>,
    cursor: Box<Cursor>,
    /// The place where the answer ends.
    end: u64,
    /// Messages that may still be read.
    left: usize,
    /// What is told behind them.
    scheduled: Option<Batch>,
}

impl Pages {
    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Batch, Error>>> {
        if let Some(found) = self.found.next() {
            return Poll::Ready(Some(Ok(found)));
        }
        // There is no event to tell a loss with, and the head is out: the answer must not pass for
        // a whole one.
        let lost = || Error::new(Code::Internal, "what was left of the answer has expired");
        while self.left > 0 {
            if self.cursor.place().seq() >= self.end {
                return Poll::Ready(self.cursor.gap().map(|_| Err(lost())));
            }
            let limit = page_limit(self.left, 0);
            let mut batch = ready!(self.cursor.poll_held(limit, context))?;
            batch.messages.retain(|message| message.seq() <= self.end);
            if !batch.messages.is_empty() {
                self.left -= batch.messages.len();
                return Poll::Ready(Some(Ok(batch)));
            }
            if batch.gap.is_some() {
                return Poll::Ready(Some(Err(lost())));
            }
        }
        Poll::Ready(None)
    }
}

impl Stream for Pages {
    type Item = Result<Bytes, Error>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        let batch = ready!(self.poll_batch(context)?).or_else(|| self.scheduled.take());
        Poll::Ready(batch.map(|batch| Ok(self.reader.body(&batch))))
    }
}

/// What the answer to a poll says about places.
#[derive(Debug)]
struct Place {
    next: Id,
    newest: Id,
    more: bool,
    /// After how long one that polls may ask again, if it is told.
    again: Option<Duration>,
}

impl Place {
    /// For an answer that reaches this seq.
    async fn new(access: &Access, filter: &Readable, reached: u64) -> Result<Self, Error> {
        let newest = access.newest(filter).await?;
        Ok(Self {
            next: access.id(reached),
            newest: access.id(newest.min(reached)),
            more: newest > reached,
            again: None,
        })
    }

    /// The same to one that polls: it is told when to ask again, unless there is more already.
    fn again_in(self, interval: Option<Duration>) -> Self {
        Self { again: interval.filter(|_| !self.more), ..self }
    }

    /// The head of such an answer.
    fn head<'g>(
        &self,
        status: StatusCode,
        gaps: impl Iterator<Item = &'g Gap>,
        body: Option<Framing>,
    ) -> Head {
        let mut head = Head::new(status);
        head.add("doorbell-next", &self.next.encode());
        head.add("etag", &etag(self.newest));
        if self.more {
            head.add("doorbell-more", b"1");
        }
        for gap in gaps {
            head.add("doorbell-gap", gap.to_json().as_bytes());
        }
        if let Some(again) = self.again {
            head.add("retry-after", again.as_secs().to_string().as_bytes());
        }
        // A cache may keep the answer but must ask whether there is news.
        head.add("cache-control", b"no-cache");
        if let Some(framing) = body {
            head.add("content-type", framing.content_type().as_bytes());
        }
        head
    }
}

/// A weak tag: the same messages may be sent compressed.
fn etag(newest: Id) -> [u8; ID_CHARS + 4] {
    let mut tag = *b"W/\"............\"";
    tag[3..][..ID_CHARS].copy_from_slice(&newest.encode());
    tag
}

/// The comparison of RFC 9110, section 13.1.2.
fn matches_tag(sent: &[u8], current: &[u8]) -> bool {
    fn opaque(tag: &[u8]) -> &[u8] {
        let tag = tag.trim_ascii();
        tag.strip_prefix(b"W/").unwrap_or(tag)
    }
    let mut tags = sent.split(|byte| *byte == b',');
    sent.trim_ascii() == b"*" || tags.any(|tag| opaque(tag) == opaque(current))
}

// --- Parameters ----------------------------------------------------------------------------------

fn poll_max(params: &Params<'_>) -> Result<Option<usize>, Error> {
    let Some(text) = params.get(&["x-max", "max"]) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(max) if (1..=POLL_MESSAGES_MAX).contains(&max) => Ok(Some(max)),
        _ => {
            let text = quoted(&text);
            let text = format!("max {text} is no number from 1 to {POLL_MESSAGES_MAX}");
            Err(Error::new(Code::BadRequest, text))
        }
    }
}

fn poll_wait(params: &Params<'_>) -> Result<Option<Duration>, Error> {
    let Some(text) = params.get(&["x-wait", "wait"]) else {
        return Ok(None);
    };
    let seconds = text.parse().ok().map(Duration::from_secs);
    let wait = seconds.or_else(|| parse_duration(&text)).ok_or_else(|| {
        let text = quoted(&text);
        Error::new(Code::BadRequest, format!("wait {text} is no duration such as 30s"))
    })?;
    Ok((!wait.is_zero()).then(|| wait.min(Duration::from_secs(WAIT_SECONDS_MAX))))
}
