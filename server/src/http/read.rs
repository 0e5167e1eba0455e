//! Reading over HTTP: one answer (poll, long poll) or one that does not end (streams).
//!
//! Both are the same cursor. A poll takes what is there; a long poll waits for it once; a stream goes
//! on for as long as the client stays.

use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use doorbell_protocol::limits::{POLL_MESSAGES_DEFAULT, POLL_MESSAGES_MAX, WAIT_SECONDS_MAX};
use doorbell_protocol::since::parse_duration;
use doorbell_protocol::{Code, Error, Filter, Gap, Id, Since};

use super::App;
use super::answer::Refusal;
use super::params::{Address, Params};
use super::stream::{Endless, Framing};
use crate::conditions::Conditions;
use crate::connections::{Connection, Service};
use crate::cursor::{Cursor, PageLimit, Wait};
use crate::limits::POLL_BYTES_MAX;
use crate::message::Message;
use crate::metrics::Transport;
use crate::stop::Listener;

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
    let mut stopped = app.manners.stop.listener();
    Ok(answer(app, connection, question, &mut stopped).await?.into_response())
}

/// What a reader gets.
pub(crate) enum Answer {
    Whole(Response),
    Endless(Box<Endless>),
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Whole(answer) => answer,
            Self::Endless(answer) => answer.into_response(),
        }
    }
}

/// What a reader asks for.
#[derive(Debug)]
pub(crate) struct Question {
    filter: Filter,
    framing: Framing,
    since: Since,
    conditions: Conditions,
    /// Without it, the answer does not end.
    poll: Option<Poll>,
}

/// What one answer is to be.
#[derive(Debug)]
struct Poll {
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
            Some(Poll { max, wait, tags })
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
}

/// Answers a reader: with what is there, with what it waits for, or without an end.
pub(crate) async fn answer(
    app: &App,
    connection: &Arc<Connection>,
    mut question: Question,
    stopped: &mut Listener,
) -> Result<Answer, Refusal> {
    if let Some(poll) = question.poll.take() {
        return answer_once(app, connection, question, poll, stopped).await.map(Answer::Whole);
    }
    let Question { filter, framing, since, conditions, .. } = question;
    let cursor = open(app, filter.clone(), &since, conditions).await?;
    let serving = connection.serve(Service::Reader(framing.transport()));
    let answer = Endless::new(&app.manners, cursor, filter, framing, serving);
    Ok(Answer::Endless(Box::new(answer)))
}

/// A cursor with the conditions of the request.
pub(crate) async fn open(
    app: &App,
    filter: Filter,
    since: &Since,
    conditions: Conditions,
) -> Result<Cursor, Error> {
    Ok(app.hub.cursor(filter, since).await?.with_conditions(conditions))
}

async fn answer_once(
    app: &App,
    connection: &Arc<Connection>,
    question: Question,
    poll: Poll,
    stopped: &mut Listener,
) -> Result<Response, Refusal> {
    let began = Instant::now();
    let Question { filter, framing, since, conditions, .. } = question;
    let Poll { max, wait, tags } = poll;
    let transport = if wait.is_some() { Transport::Longpoll } else { Transport::Poll };
    let metrics = &app.manners.metrics;
    let _connected = metrics.of(transport).connected();
    let serving = connection.serve(Service::Reader(transport));

    let mut cursor = open(app, filter.clone(), &since, conditions.clone()).await?;
    let lost = cursor.take_gap();
    let known = tags.and_then(|tags| knows_all(app, &filter, &tags)).filter(|_| lost.is_none());
    if let Some(place) = known {
        cursor = open(app, filter.clone(), &Since::Id(place), conditions).await?;
    }
    serving.reads(cursor.progress());
    let wait = wait.filter(|_| lost.is_none());
    let mut found =
        Found { messages: Vec::new(), gaps: lost.map(|gap| (0, gap)).into_iter().collect() };
    collect(&mut cursor, &mut found, max, wait, stopped).await?;
    let Found { messages, gaps } = found;

    let newest = app.hub.newest(&filter);
    let reached = cursor.place();
    let place = Place {
        next: reached,
        newest: app.hub.epoch().id(newest.min(reached.seq())),
        more: newest > reached.seq(),
    };
    metrics.polls.inc();
    if messages.is_empty() {
        metrics.polls_empty.inc();
    }
    if known.is_some() && messages.is_empty() && gaps.is_empty() {
        return Ok((StatusCode::NOT_MODIFIED, place.headers(&gaps)).into_response());
    }
    let body = framing.poll_body(&messages, &gaps);
    // A reader that comes back with its place has been waiting since then.
    let resumed = matches!(since, Since::Id(_));
    let reader_since = if resumed { metrics.started } else { began };
    let bytes = body.len();
    let body = app.answers.body(body)?;
    metrics.of(transport).delivered(&messages, bytes, gaps.len(), reader_since);
    let mut response = (place.headers(&gaps), body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, framing.content_type());
    response.extensions_mut().insert(super::Compressible);
    Ok(response)
}

/// Where a client stands that knows the tag of the newest message of the filter: what it has is all
/// there is up to that place, whatever its `since` says.
fn knows_all(app: &App, filter: &Filter, tags: &str) -> Option<Id> {
    // The place first: what is published after this line must not be skipped.
    let visible = app.hub.visible();
    let newest = app.hub.epoch().id(app.hub.newest(filter));
    matches_tag(tags, &etag(newest)).then(|| app.hub.epoch().id(visible.max(newest.seq())))
}

/// What one answer holds.
struct Found {
    messages: Vec<Message>,
    /// What was lost, each with the index of the message before which it was.
    gaps: Vec<(usize, Gap)>,
}

/// Reads what is there, up to the bounds of one answer. With a wait, waits for the first of it.
async fn collect(
    cursor: &mut Cursor,
    found: &mut Found,
    max: usize,
    wait: Option<Duration>,
    stopped: &mut Listener,
) -> Result<(), Error> {
    let Found { messages, gaps } = found;
    let mut bytes = 0;
    let mut wait = wait.map_or(Wait::No, Wait::for_duration);
    while messages.len() < max && bytes < POLL_BYTES_MAX {
        let limit = PageLimit { messages: max - messages.len(), bytes: POLL_BYTES_MAX - bytes };
        let batch = tokio::select! {
            // Who waits when the server stops gets its empty answer, and its place.
            () = poll_fn(|context| stopped.poll_stopped(context)), if wait != Wait::No => break,
            batch = cursor.next(wait, limit) => batch?,
        };
        gaps.extend(batch.gap.map(|gap| (messages.len(), gap)));
        if batch.messages.is_empty() {
            break;
        }
        bytes += batch.messages.iter().map(|message| message.frame().len()).sum::<usize>();
        messages.extend(batch.messages);
        wait = Wait::No;
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

/// What a poll answer says about places.
struct Place {
    next: Id,
    newest: Id,
    more: bool,
}

impl Place {
    fn headers(&self, gaps: &[(usize, Gap)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut append = |name: &'static str, value: String| {
            // Ids and JSON without control characters are always fit for a header.
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.append(name, value);
            }
        };
        append("doorbell-next", self.next.to_string());
        append("etag", etag(self.newest));
        if self.more {
            append("doorbell-more", "1".to_owned());
        }
        for (_, gap) in gaps {
            append("doorbell-gap", gap.to_json());
        }
        // A cache may keep the answer but must ask whether there is news.
        append("cache-control", "no-cache".to_owned());
        headers
    }
}

/// A weak tag: the same messages may be sent compressed.
fn etag(newest: Id) -> String {
    format!("W/\"{newest}\"")
}

/// The comparison of RFC 9110, section 13.1.2.
fn matches_tag(sent: &str, current: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    sent.trim() == "*" || sent.split(',').any(|tag| opaque(tag) == opaque(current))
}

impl Framing {
    /// The body of a poll answer; the first message after a gap tells of it.
    fn poll_body(self, messages: &[Message], gaps: &[(usize, Gap)]) -> Bytes {
        let mut body = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            let gap = gaps.iter().find(|(before, _)| *before == index).map(|(_, gap)| gap);
            body.extend_from_slice(&self.message(message, gap));
        }
        body.into()
    }
}
