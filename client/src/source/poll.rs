//! Receiving by asking: polls at an interval, and long polls that the server holds back.
//!
//! Polling is given its best case unless [`Habits`] say otherwise: one kept connection, the
//! server's cursor from answer to answer, and an `ETag` so that no news costs a `304`.

use std::time::Duration;

use bytes::Bytes;
use doorbell_protocol::event::Gap;
use doorbell_protocol::limits::POLL_INTERVAL_SECONDS_MAX;
use doorbell_protocol::{Id, Since, Transport};
use hyper::header::{CONNECTION, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use hyper::{Request, StatusCode};
use rand::RngExt;
use tokio::time::{Instant, sleep_until};

use crate::content::Content;
use crate::error::Error;
use crate::http::{ANSWER_DEADLINE, HttpClient, expect_type, retry_after};
use crate::laboratory::{BACKOFF_MAX, Habits, Observation};
use crate::lines::Lines;
use crate::options::Options;
use crate::received::Received;
use crate::socket::Silence;
use crate::source::arrival::Arrival;

const NEXT: &str = "doorbell-next";
const MORE: &str = "doorbell-more";
const GAP: &str = "doorbell-gap";

/// The longest interval that a server may name.
const NAMED_MAX: Duration = Duration::from_secs(POLL_INTERVAL_SECONDS_MAX);
/// Asking more often is not polling any more.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// How the polls follow each other.
enum Pace {
    /// One each time that the interval has passed.
    Every {
        interval: Duration,
        due: Instant,
        /// Intervals to the next, after one that was due then.
        stretch: u32,
        last_due: Instant,
    },
    /// One after the other; the server may hold each back for this long.
    Held(Duration),
}

/// Polls from one place to the next.
pub(crate) struct Polls {
    client: HttpClient,
    path: String,
    since: Since,
    /// What messages must meet, and how long they may wait, as parameters.
    conditions: String,
    habits: Habits,
    etag: Option<HeaderValue>,
    /// How long the server wants to be left alone until the next poll.
    named: Option<Duration>,
    pace: Pace,
    /// Whether a poll was answered.
    established: bool,
    /// Whether the last answer that was read to its end said that there is no more.
    through: bool,
    answer: Option<Answer>,
}

/// An answer that is being read.
struct Answer {
    body: Content,
    lines: Lines,
    gap: Option<Gap>,
    messages: u64,
    next: Option<Id>,
    more: bool,
}

impl Polls {
    /// Polls at an interval, the first at once and the second after a random part of it, so that
    /// clients that started together don't go on together.
    pub(crate) fn every(options: &Options) -> Result<Self, Error> {
        let interval = options.interval.max(INTERVAL_MIN);
        let due = Instant::now();
        let phase = options.habits.phase.unwrap_or_else(|| rand::rng().random());
        let phase = match options.habits.origin {
            Some(origin) => left(origin.elapsed(), interval),
            None => interval.mul_f64(phase.clamp(0.0, 1.0)),
        };
        let pace = Pace::Every {
            interval,
            // One interval before the second poll, so never later than the first.
            due: (due + phase).checked_sub(interval).unwrap_or(due),
            stretch: 1,
            last_due: due,
        };
        Self::new(options, pace, options.habits)
    }

    /// Long polls. The first is not held back, so that it is soon known that the server answers.
    pub(crate) fn held(options: &Options, wait: Duration) -> Result<Self, Error> {
        let habits = Habits { keeps_connection: true, sends_etag: false, ..options.habits };
        Self::new(options, Pace::Held(wait), habits)
    }

    fn new(options: &Options, pace: Pace, habits: Habits) -> Result<Self, Error> {
        // To fetch what datagrams lost, every message is needed.
        let conditions = match options.via {
            Transport::Udp => String::new(),
            Transport::Longpoll => options.conditions.query() + &options.coalesce_query(),
            _ => options.conditions.query(),
        };
        Ok(Self {
            client: options.http()?,
            path: options.path(),
            since: options.since.clone(),
            conditions,
            habits,
            etag: None,
            named: None,
            pace,
            established: false,
            through: false,
            answer: None,
        })
    }

    /// Goes on from another place.
    pub(crate) fn seek(&mut self, since: Since) {
        self.since = since;
        self.through = false;
    }

    /// Whether everything that was held when the last poll was sent has been handed out.
    pub(crate) fn is_through(&self) -> bool {
        self.through
    }

    /// The next message or, after the last one of an answer, the place reached.
    pub(crate) async fn next(&mut self) -> Result<Arrival, Error> {
        let answer = match &mut self.answer {
            Some(answer) => answer,
            None => match self.ask().await? {
                Some(answer) => self.answer.insert(answer),
                None => return Ok(Arrival::default()),
            },
        };
        loop {
            if let Some(line) = answer.lines.next_line()? {
                answer.messages += 1;
                let mut arrival = Arrival::from_event(Received::parse(line)?)?;
                // The header and the first event name the same gap.
                arrival.gap = answer.gap.take().or(arrival.gap);
                return Ok(arrival);
            }
            match answer.body.piece(Silence::default()).await? {
                Some(bytes) => answer.lines.feed(&bytes),
                None => return self.finish(),
            }
        }
    }

    /// Sends the next poll when it is due; `None` if there is no news.
    async fn ask(&mut self) -> Result<Option<Answer>, Error> {
        let mut url = format!("{}/json?poll=1&since={}{}", self.path, self.since, self.conditions);
        let mut deadline = ANSWER_DEADLINE;
        match self.pace {
            Pace::Held(wait) if self.established && !wait.is_zero() => {
                url = match wait.subsec_millis() {
                    0 => format!("{url}&wait={}s", wait.as_secs()),
                    _ => format!("{url}&wait={}ms", wait.as_millis()),
                };
                deadline += wait;
            }
            Pace::Held(_) => {}
            Pace::Every { .. } => self.turn().await,
        }
        let mut request = Request::get(url);
        if let Some(etag) = &self.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if !self.habits.keeps_connection && !self.habits.http2 {
            request = request.header(CONNECTION, "close");
        }
        let answer = self.client.send(request, Bytes::new(), deadline).await?;
        self.established = true;
        self.named = retry_after(answer.headers()).filter(|_| self.habits.heeds_server);
        if answer.status() == StatusCode::NOT_MODIFIED {
            self.client.observed().note(Observation::EmptyAnswer { not_modified: true });
            self.answered(false);
            return Ok(None);
        }
        expect_type(&answer, "application/x-ndjson")?;
        let headers = answer.headers();
        let next = text(headers, NEXT).and_then(|next| next.parse().ok());
        if next.is_none() {
            return Err(Error::Foreign(format!(
                "the answer to a poll has no {NEXT}: is this a doorbell server?"
            )));
        }
        let gap = text(headers, GAP).map(serde_json::from_str).transpose();
        let more = text(headers, MORE).is_some();
        // With more to come the ETag would say "no news" when there is some.
        let with_etag = self.habits.sends_etag && !more;
        self.etag = headers.get(ETAG).filter(|_| with_etag).cloned();
        Ok(Some(Answer {
            gap: gap.map_err(|error| Error::Unexpected(format!("{GAP} is malformed: {error}")))?,
            next,
            more,
            messages: 0,
            body: Content::of(answer)?,
            lines: Lines::default(),
        }))
    }

    /// Waits until the next poll is due. Polls that were missed are not made up for.
    async fn turn(&mut self) {
        if let Pace::Every { interval, due, last_due, .. } = &mut self.pace {
            sleep_until(*due).await;
            *last_due = *due;
            let now = Instant::now();
            while *due <= now {
                *due += *interval;
            }
        }
    }

    /// An answer was read to its end.
    fn answered(&mut self, has_news: bool) {
        if let (Some(named), Pace::Every { due, last_due, .. }) = (self.named, &mut self.pace) {
            *due = (*due).max(*last_due + named.min(NAMED_MAX));
        }
        if let (true, Pace::Every { interval, due, stretch, last_due }) =
            (self.habits.backs_off, &mut self.pace)
        {
            *stretch = if has_news { 1 } else { (*stretch * 2).min(BACKOFF_MAX) };
            *due = *last_due + *interval * *stretch;
        }
        if !self.habits.keeps_connection {
            self.client.disconnect();
        }
    }

    fn finish(&mut self) -> Result<Arrival, Error> {
        let answer = self.answer.take().ok_or(Error::Closed)?;
        if !answer.lines.is_empty() {
            return Err(Error::Unexpected("the answer to a poll ends in a line".to_owned()));
        }
        self.answered(answer.messages > 0);
        if answer.messages == 0 {
            self.client.observed().note(Observation::EmptyAnswer { not_modified: false });
        }
        if let Some(next) = answer.next {
            self.since = Since::Id(next);
        }
        self.through = !answer.more;
        if let (true, Pace::Every { due, .. }) = (answer.more, &mut self.pace) {
            *due = Instant::now();
        }
        Ok(Arrival { gap: answer.gap, place: answer.next, ..Arrival::default() })
    }
}

/// What is left of an interval that is under way after so long.
fn left(time: Duration, interval: Duration) -> Duration {
    let gone = time.as_nanos() % interval.as_nanos().max(1);
    interval.saturating_sub(Duration::from_nanos(u64::try_from(gone).unwrap_or(u64::MAX)))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
