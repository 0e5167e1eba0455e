//! Reading pages of what is older than memory, from any replica of the stream.
//!
//! A selection of few patterns is asked for pattern by pattern and merged; one of many is read as
//! everything and filtered here. What a replica does not have is not taken for the end: the heads
//! know how far there is something, and else the leader does.

use doorbell_protocol::topic::Pattern;
use doorbell_protocol::{Filter, GapReason};
use tokio::time::{Instant, sleep};

use super::Shared;
use super::client::{ANSWER_WAIT, FETCH_MESSAGES_MAX, Held, SourceFault};
use super::follow::ASK_AGAIN;
use super::payload::Payload;
use crate::log::{HeadSearch, Newest, Page, Query};
use crate::message::Message;

/// Patterns that are asked for one by one.
const PATTERNS_ASKED_MAX: usize = 8;
/// So near to the beginning of the stream, it is asked once more where that is: messages may have
/// been let go while the page was read.
const EDGE: u64 = 10_000;

/// Messages of one pattern, or of all topics.
struct Run {
    messages: Vec<Message>,
    /// Everything of it up to this place is among them.
    through: u64,
}

impl Shared {
    /// Reads a page of what was told.
    pub(super) async fn page(&self, query: &Query<'_>) -> Result<Page, SourceFault> {
        let until = query.until.min(*self.told.borrow());
        if query.after >= until {
            return Ok(Page { through: until.max(query.after), ..Page::default() });
        }
        let query = Query { until, ..*query };
        let patterns = self.patterns(&query);
        let page = if patterns.len() > PATTERNS_ASKED_MAX {
            let run = self.run(None, until, &query, FETCH_MESSAGES_MAX).await?;
            bounded(vec![run], &query)
        } else {
            let most = query.limit.messages.saturating_add(1).min(FETCH_MESSAGES_MAX);
            let mut runs = Vec::with_capacity(patterns.len());
            for (pattern, newest) in &patterns {
                runs.push(self.run(Some(pattern.as_str()), *newest, &query, most).await?);
            }
            bounded(runs, &query)
        };
        // After the page was read: nothing that was let go before is missed.
        if query.after < self.bounds().first.saturating_add(EDGE) {
            let info = self.source.info().await?;
            let gone = || SourceFault::Away("the stream is gone".to_owned());
            self.note_state(&info.ok_or_else(gone)?);
        }
        let lost = self.lost(&query).await?;
        if lost > query.after {
            return Ok(Page::lost(lost.min(until), GapReason::Expired));
        }
        Ok(page)
    }

    /// The patterns under which there is something to read, each with its newest message.
    fn patterns<'a>(&self, query: &Query<'a>) -> Vec<(&'a Pattern, u64)> {
        let patterns = query.selection.0.iter().flat_map(Filter::patterns);
        let newest = patterns.map(|pattern| (pattern, self.newest(pattern)));
        newest.filter(|(_, newest)| *newest > query.after).collect()
    }

    fn newest(&self, pattern: &Pattern) -> u64 {
        match pattern {
            Pattern::Exact(topic) => self.heads.get(topic).map_or(0, |head| head.newest),
            Pattern::Wild(_) => {
                let filter: Filter = pattern.as_str().parse().expect("a pattern is a filter");
                HeadSearch::new(&filter, Newest::default()).finish(&self.heads).seq()
            }
        }
    }

    /// The oldest messages of a pattern behind the query's place, at most so many.
    async fn run(
        &self,
        pattern: Option<&str>,
        newest: u64,
        query: &Query<'_>,
        most: usize,
    ) -> Result<Run, SourceFault> {
        let subject = pattern.map(|pattern| self.source.names.subject(pattern));
        let patience = Instant::now() + ANSWER_WAIT;
        loop {
            let fetched = self.source.fetch(subject.as_deref(), query.after + 1, most).await?;
            let reached = fetched.held.last().map_or(query.after, |held| held.seq);
            let mut through = reached;
            if fetched.is_end && reached < query.until {
                // It may be the end of a replica that lags.
                let all = || self.source.names.all_stored();
                let subject = subject.clone().unwrap_or_else(all);
                let next = if reached >= newest {
                    None
                } else {
                    self.source.next_at_leader(&subject, reached + 1).await?
                };
                if next.is_some_and(|next| next <= query.until) && reached == query.after {
                    if Instant::now() > patience {
                        return Err(SourceFault::Away("the replicas of the stream lag".to_owned()));
                    }
                    sleep(ASK_AGAIN).await;
                    continue;
                }
                through = next.map_or(query.until, |next| (next - 1).min(query.until));
            }
            let wanted = |held: &&Held| {
                let topic = held.topic.as_ref();
                held.seq <= query.until && topic.is_some_and(|topic| query.selection.matches(topic))
            };
            let kept = |held: &&Held| Payload::read(&held.payload).is_some_and(|own| own.is_kept);
            let messages = fetched.held.iter().filter(wanted).filter(kept);
            let messages = messages.filter_map(|held| self.message(held, false)).collect();
            return Ok(Run { messages, through: through.min(query.until) });
        }
    }

    /// The newest wanted message before the beginning of the log that the reader has not had, 0 if
    /// there is none.
    async fn lost(&self, query: &Query<'_>) -> Result<u64, SourceFault> {
        let (first, untold) = (self.bounds().first, self.untold_through());
        if query.after < untold {
            // Nobody here knows whose they were.
            return Ok(untold);
        }
        if query.after + 1 >= first {
            return Ok(0);
        }
        let mut lost = 0;
        for pattern in query.selection.0.iter().flat_map(Filter::patterns) {
            lost = lost.max(match pattern {
                Pattern::Exact(topic) => match self.heads.get(topic) {
                    Some(head) if head.newest <= query.after => 0,
                    Some(head) if head.newest < first => head.newest,
                    Some(_) => self.newest_let_go(topic.as_str(), first).await?,
                    None => self.heads.newest_expired(&query.selection),
                },
                // Which of its topics they were of is not known: what is not known was.
                Pattern::Wild(_) if self.newest(pattern) > query.after => first - 1,
                Pattern::Wild(_) => self.heads.newest_expired(&query.selection),
            });
        }
        Ok(lost)
    }

    /// The newest message of a topic that was let go, as the first one tells that is held.
    async fn newest_let_go(&self, topic: &str, first: u64) -> Result<u64, SourceFault> {
        let subject = self.source.names.subject(topic);
        let fetched = self.source.fetch(Some(&subject), first, 1).await?;
        let oldest = fetched.held.first();
        let stored = oldest.and_then(|held| Some((held.seq, Payload::read(&held.payload)?)));
        Ok(stored.map_or(first - 1, |(seq, stored)| stored.chain.let_go(seq, first)))
    }
}

/// Merges runs into a page that keeps its bounds.
fn bounded(runs: Vec<Run>, query: &Query<'_>) -> Page {
    let through = runs.iter().map(|run| run.through).min().unwrap_or(query.until);
    let mut messages: Vec<Message> = runs.into_iter().flat_map(|run| run.messages).collect();
    messages.sort_unstable_by_key(Message::seq);
    messages.dedup_by_key(|message| message.seq());
    let mut page = Page { through, ..Page::default() };
    let mut bytes = 0;
    for message in messages.into_iter().take_while(|message| message.seq() <= through) {
        let is_full = page.messages.len() >= query.limit.messages
            || (bytes + message.frame().len() > query.limit.bytes && bytes > 0);
        if is_full {
            page.through = page.messages.last().map_or(query.after, Message::seq);
            break;
        }
        bytes += message.frame().len();
        page.messages.push(message);
    }
    page
}
