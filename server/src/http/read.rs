//! Reading over HTTP: one answer (poll, long poll) or one that does not end (streams).
//!
//! Both are the same cursor. A poll takes what is there; a long poll waits for it once; a stream goes
//! on for as long as the client stays.

use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use doorbell_protocol::id::ID_CHARS;
use doorbell_protocol::limits::{POLL_MESSAGES_DEFAULT, POLL_MESSAGES_MAX, WAIT_SECONDS_MAX};
use doorbell_protocol::since::parse_duration;
use doorbell_protocol::{Code, Error, Filter, Gap, Id, Since};

use super::App;
use super::answer::Refusal;
use super::body::Held;
use super::params::{Address, Params};
use super::stream::{Endless, Framing};
use crate::alarm::Alarm;
use crate::conditions::Conditions;
use crate::connections::{Connection, Service};
use crate::cursor::{Batch, Cursor, PageLimit, Wait};
use crate::limits::POLL_BYTES_MAX;
use crate::message::Message;
use crate::metrics::Transport;
use crate::stop::{Listener, Stop};

/// `GET /FILTER/json`.
pub(crate) async fn ndjson(
    State(app): State<App>,
    Address(filter): Address<String>,
    Extension(connection): Extension<Arc<Connection>>,
    parts: Parts,
) -> Result<Response, Refusal> {
    read(&app, &connection, &filter, Framing::Ndjson, &parts).await
}

/// `GET /FILTER/sse`.
pub(crate) async fn sse(
    State(app): State<App>,
    Address(filter): Address<String>,
    Extension(connection): Extension<Arc<Connection>>,
    parts: Parts,
) -> Result<Response, Refusal> {
    read(&app, &connection, &filter, Framing::Sse, &parts).await
}

/// `GET /FILTER/raw`.
pub(crate) async fn raw(
    State(app): State<App>,
    Address(filter): Address<String>,
    Extension(connection): Extension<Arc<Connection>>,
    parts: Parts,
) -> Result<Response, Refusal> {
    read(&app, &connection, &filter, Framing::Raw, &parts).await
}

async fn read(
    app: &App,
    connection: &Arc<Connection>,
    filter: &str,
    framing: Framing,
    parts: &Parts,
) -> Result<Response, Refusal> {
    let question = Question::new(filter, framing, &Params::of(parts)?)?;
    let mut waiting = Waiting::new(&app.manners.stop);
    let answer = answer(app, connection, &question, &mut waiting).await?;
    Ok(answer.into_response())
}

/// What a reader asks for.
#[derive(Debug)]
pub(crate) struct Question {
    filter: Filter,
    framing: Framing,
    since: Since,
    conditions: Conditions,
    /// Without it, the answer does not end.
    poll: Option<Asked>,
}

/// What one answer is to be.
#[derive(Debug)]
struct Asked {
    max: usize,
    wait: Option<Duration>,
    /// The tags that the client knows.
    tags: Option<String>,
}

impl Question {
    /// Reads it from a request for one of the three addresses.
    pub(crate) fn new(filter: &str, framing: Framing, params: &Params<'_>) -> Result<Self, Error> {
        let filter = filter.parse()?;
        let poll = if params.poll() {
            let (max, wait) = (poll_max(params)?, poll_wait(params)?);
            let tags = params.header("if-none-match").map(Cow::into_owned);
            Some(Asked { max, wait, tags })
        } else {
            None
        };
        let since = match (framing, params.header("last-event-id")) {
            _ if poll.is_some() => params.since(Since::All)?,
            // What a browser sends when its EventSource comes back.
            (Framing::Sse, Some(id)) => id.parse()?,
            _ => params.since(Since::None)?,
        };
        Ok(Self { filter, framing, since, conditions: params.conditions()?, poll })
    }

    /// Whether a cursor for it would be this one.
    fn continues(&self, cursor: &Cursor) -> bool {
        matches!(self.since, Since::Id(place) if place == cursor.place())
            && self.conditions.is_empty()
            && cursor.sole_filter() == Some(&self.filter)
    }
}

/// Answers a reader: with what is there, with what it waits for, or without an end.
pub(crate) async fn answer(
    app: &App,
    connection: &Arc<Connection>,
    question: &Question,
    waiting: &mut Waiting,
) -> Result<Answer, Error> {
    if let Some(poll) = &question.poll {
        let polled = answer_once(app, connection, question, poll, waiting).await?;
        return Ok(Answer::Polled(polled));
    }
    let Question { filter, framing, since, conditions, .. } = question;
    let cursor = Box::pin(open(app, filter.clone(), since, conditions.clone())).await?;
    let serving = connection.serve(Service::Reader(framing.transport()));
    let answer = Endless::new(&app.manners, cursor, filter.clone(), *framing, serving);
    Ok(Answer::Endless(Box::new(answer)))
}

/// A cursor with the conditions of the request.
pub(crate) async fn open(
    app: &App,
    filter: Filter,
    since: &Since,
    conditions: Conditions,
) -> Result<Cursor, Error> {
    Ok(Cursor::open(&app.hub, filter, since).await?.with_conditions(conditions))
}

async fn answer_once(
    app: &App,
    connection: &Arc<Connection>,
    question: &Question,
    poll: &Asked,
    waiting: &mut Waiting,
) -> Result<Polled, Error> {
    let began = Instant::now();
    let Question { filter, framing, since, conditions, .. } = question;
    let Asked { max, wait, tags } = poll;
    let transport = if wait.is_some() { Transport::Longpoll } else { Transport::Poll };
    let metrics = &app.manners.metrics;
    let _connected = metrics.of(transport).connected();
    let serving = connection.serve(Service::Reader(transport));

    let kept = waiting.cursor.take().filter(|kept| question.continues(kept));
    let mut cursor = match kept {
        Some(kept) => kept,
        // Apart, because finding a place may take much room, and who waits has found it.
        None => Box::new(Box::pin(open(app, filter.clone(), since, conditions.clone())).await?),
    };
    let lost = cursor.take_gap();
    let known = tags.as_ref().and_then(|tags| knows_all(app, filter, tags));
    let known = known.filter(|_| lost.is_none());
    if let Some(place) = known {
        let since = Since::Id(place);
        *cursor = Box::pin(open(app, filter.clone(), &since, conditions.clone())).await?;
    }
    serving.reads(cursor.progress());
    let wait = wait.filter(|_| lost.is_none());
    let mut found =
        Found { messages: Vec::new(), gaps: lost.map(|gap| (0, gap)).into_iter().collect() };
    collect(&mut cursor, &mut found, *max, wait, waiting).await?;
    let Found { messages, gaps } = found;

    let newest = app.hub.newest(filter);
    let reached = cursor.place();
    let place = Place {
        next: reached,
        newest: app.hub.epoch().id(newest.min(reached.seq())),
        more: newest > reached.seq(),
    };
    if wait.is_some() {
        waiting.cursor = Some(cursor);
    }
    metrics.polls.inc();
    if messages.is_empty() {
        metrics.polls_empty.inc();
    }
    if known.is_some() && messages.is_empty() && gaps.is_empty() {
        return Ok(Polled { place, gaps, body: None });
    }
    let bytes = framing.poll_body(&messages, &gaps);
    // A reader that comes back with its place has been waiting since then.
    let resumed = matches!(since, Since::Id(_));
    let reader_since = if resumed { metrics.started } else { began };
    let length = bytes.len();
    let held = app.answers.hold(bytes)?;
    metrics.of(transport).delivered(1, &messages, length, gaps.len(), reader_since);
    Ok(Polled { place, gaps, body: Some((*framing, held)) })
}

/// Where a client stands that knows the tag of the newest message of the filter: what it has is all
/// there is up to that place, whatever its `since` says.
fn knows_all(app: &App, filter: &Filter, tags: &str) -> Option<Id> {
    // The place first: what is published after this line must not be skipped.
    let visible = app.hub.visible();
    let newest = app.hub.epoch().id(app.hub.newest(filter));
    matches_tag(tags.as_bytes(), &etag(newest))
        .then(|| app.hub.epoch().id(visible.max(newest.seq())))
}

/// What one answer holds.
struct Found {
    messages: Vec<Message>,
    /// What was lost, each with the index of the message before which it was.
    gaps: Vec<(usize, Gap)>,
}

/// What the waits of a connection have in common: what ends them, and what is kept from one to the next.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) stopped: Listener,
    /// Once there was a wait. The end of the next one is hardly ever before it.
    alarm: Option<Alarm>,
    /// The cursor of the last wait: the next poll mostly asks for what comes after that.
    cursor: Option<Box<Cursor>>,
}

impl Waiting {
    /// There was none yet.
    pub(crate) fn new(stop: &Stop) -> Self {
        Self { stopped: stop.listener(), alarm: None, cursor: None }
    }

    /// Ready when the wait is over; who waits when the server stops gets an empty answer, and its place.
    fn poll_end(&mut self, until: tokio::time::Instant, context: &mut Context<'_>) -> Poll<()> {
        if self.stopped.poll_stopped(context).is_ready() {
            return Poll::Ready(());
        }
        self.alarm.get_or_insert_with(|| Alarm::new(until)).poll_until(until, context)
    }
}

/// Reads what is there, up to the bounds of one answer. With a wait, waits for the first of it.
async fn collect(
    cursor: &mut Cursor,
    found: &mut Found,
    max: usize,
    wait: Option<Duration>,
    waiting: &mut Waiting,
) -> Result<(), Error> {
    let Found { messages, gaps } = found;
    let mut bytes = 0;
    let mut until = wait.map(|wait| tokio::time::Instant::now() + wait);
    while messages.len() < max && bytes < POLL_BYTES_MAX {
        let limit = PageLimit { messages: max - messages.len(), bytes: POLL_BYTES_MAX - bytes };
        let batch = match until.take() {
            None => cursor.next(Wait::No, limit).await?,
            Some(until) => {
                let news = poll_fn(|context| match cursor.poll_next(limit, context) {
                    Poll::Ready(batch) => Poll::Ready(batch),
                    Poll::Pending => {
                        waiting.poll_end(until, context).map(|()| Ok(Batch::default()))
                    }
                });
                let batch = news.await?;
                cursor.stop_waiting();
                batch
            }
        };
        gaps.extend(batch.gap.map(|gap| (messages.len(), gap)));
        if batch.messages.is_empty() {
            break;
        }
        bytes += batch.messages.iter().map(|message| message.frame().len()).sum::<usize>();
        messages.extend(batch.messages);
        if cursor.has_caught_up() {
            break;
        }
    }
    Ok(())
}

fn poll_max(params: &Params<'_>) -> Result<usize, Error> {
    let Some(text) = params.get(&["x-max", "max"]) else {
        return Ok(POLL_MESSAGES_DEFAULT);
    };
    match text.parse() {
        Ok(max) if (1..=POLL_MESSAGES_MAX).contains(&max) => Ok(max),
        _ => Err(Error::new(
            Code::BadRequest,
            format!(
                "max {} is no number from 1 to {POLL_MESSAGES_MAX}",
                doorbell_protocol::code::quoted(&text)
            ),
        )),
    }
}

fn poll_wait(params: &Params<'_>) -> Result<Option<Duration>, Error> {
    let Some(text) = params.get(&["x-wait", "wait"]) else {
        return Ok(None);
    };
    let seconds = text.parse().ok().map(Duration::from_secs);
    let wait = seconds.or_else(|| parse_duration(&text)).ok_or_else(|| {
        let text = doorbell_protocol::code::quoted(&text);
        Error::new(Code::BadRequest, format!("wait {text} is no duration such as 30s"))
    })?;
    if wait.is_zero() {
        return Ok(None);
    }
    Ok(Some(wait.min(Duration::from_secs(WAIT_SECONDS_MAX))))
}

/// How a reader is answered.
pub(crate) enum Answer {
    /// Once.
    Polled(Polled),
    /// Without an end.
    Endless(Box<Endless>),
}

/// The answer to a poll.
#[derive(Debug)]
pub(crate) struct Polled {
    place: Place,
    gaps: Vec<(usize, Gap)>,
    /// `None` where the client knows all there is.
    body: Option<(Framing, Held)>,
}

/// What a poll answer says about places.
#[derive(Debug)]
struct Place {
    next: Id,
    newest: Id,
    more: bool,
}

impl Polled {
    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        if self.body.is_some() { StatusCode::OK } else { StatusCode::NOT_MODIFIED }
    }

    /// Its headers, one after the other.
    pub(super) fn headers(&self, mut add: impl FnMut(&'static str, &[u8])) {
        let Place { next, newest, more } = &self.place;
        add("doorbell-next", &next.encode());
        add("etag", &etag(*newest));
        if *more {
            add("doorbell-more", b"1");
        }
        for (_, gap) in &self.gaps {
            add("doorbell-gap", gap.to_json().as_bytes());
        }
        // A cache may keep the answer but must ask whether there is news.
        add("cache-control", b"no-cache");
        if let Some((framing, _)) = &self.body {
            add("content-type", framing.content_type().as_bytes());
        }
    }

    /// Its body.
    pub(super) fn into_body(self) -> Option<Held> {
        self.body.map(|(_, held)| held)
    }

    /// Bytes of its body.
    pub(super) fn length(&self) -> usize {
        self.body.as_ref().map_or(0, |(_, held)| held.bytes.len())
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let polled = match self {
            Self::Polled(polled) => polled,
            Self::Endless(answer) => return answer.into_response(),
        };
        let mut response = Response::default();
        *response.status_mut() = polled.status();
        polled.headers(|name, value| {
            // Ids and JSON without control characters are always fit for a header.
            if let Ok(value) = HeaderValue::from_bytes(value) {
                response.headers_mut().append(name, value);
            }
        });
        if let Some(held) = polled.into_body() {
            *response.body_mut() = held.into();
            response.extensions_mut().insert(super::Compressible);
        }
        response
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

impl Framing {
    /// The body of a poll answer; the first message after a gap tells of it.
    fn poll_body(self, messages: &[Message], gaps: &[(usize, Gap)]) -> Bytes {
        if let ([only], []) = (messages, gaps) {
            return self.message(only, None);
        }
        let mut body = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            let gap = gaps.iter().find(|(before, _)| *before == index).map(|(_, gap)| gap);
            body.extend_from_slice(&self.message(message, gap));
        }
        body.into()
    }
}
