//! One reader's place in the log, and the one way to read from it.
//!
//! A poll takes what is there ([`Cursor::next`]); a reader that waits, once or in a loop, is woken
//! for news ([`Cursor::poll_next`]). Both are the same step. History and what is published now are
//! the same to it; so are a reader that is quick and one that is far behind.
//!
//! A cursor holds a place and some filters, never messages. It knows no transport and no engine.

mod coalescing;
#[cfg(test)]
mod handover;
mod progress;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use doorbell_protocol::topic::Pattern;
use doorbell_protocol::{CoalesceWindow, Code, Conditions, Error, Filter, Gap, Id, Since};
use tokio::time::Instant;

use crate::access::{Access, Readable, Watch};
use crate::hub::{LaterPage, PageRead};
use crate::limits::{CURSOR_PATTERNS_MAX, CURSOR_TOPICS_MAX};
use crate::log::Page;
use crate::message::Message;
use crate::start;
use crate::tail::NamesClaim;
use crate::visitors::{Bucket, Visitor};

use self::coalescing::Coalescing;
pub use self::progress::{Progress, Reached};
pub use crate::log::PageLimit;

/// A place in the log and what is wanted from there on.
#[derive(Debug)]
pub struct Cursor {
    /// What may be read, and where from.
    access: Access,
    /// What is wanted. The filters stand apart from the rest because the log asks for a slice.
    filters: Vec<Filter>,
    /// One for each filter.
    windows: Vec<Window>,
    /// Everything wanted up to here was handed out or told as lost.
    place: u64,
    /// What was visible when it was last asked what it reads: what came after that and is not kept
    /// is for it.
    began: u64,
    /// How far the reading has come, and the registration for news.
    state: State,
    /// Lets it wait for what its filters name.
    claim: NamesClaim,
    /// What hardly any of the many cursors has.
    seldom: Option<Box<Seldom>>,
    /// Shows others how far this is; absent before the first filter.
    progress: Option<Arc<Progress>>,
}

/// How far the reading has come, and so what the next look does. A reader that waits for news is
/// registered for it, and stays so until its filters change.
#[derive(Debug)]
enum State {
    /// There may be more to read: up to `until`, the last message that a mark told of, or
    /// `u64::MAX`.
    Behind { until: u64, registration: Option<Watch> },
    /// As before, and a page is on its way from the log. Marks are looked at when it is there.
    Reading { page: Box<BegunPage>, registration: Option<Watch> },
    /// The last page had all that was visible then and is wanted. The next look reads all the same,
    /// so that the place moves on over what is not wanted.
    CaughtUp(Option<Watch>),
    /// The last page was handed out and had all, and whatever is pushed after it is marked: the
    /// next look reads only if there is a mark.
    Registered(Watch),
}

/// A page that is being read from the log.
#[derive(Debug)]
struct BegunPage {
    page: LaterPage,
    /// That of the state in which it was begun.
    until: u64,
    /// How much was asked for.
    limit: PageLimit,
}

impl Default for State {
    fn default() -> Self {
        Self::Behind { until: u64::MAX, registration: None }
    }
}

impl State {
    fn until(&self) -> u64 {
        match self {
            Self::Behind { until, .. } => *until,
            Self::Reading { page, .. } => page.until,
            Self::CaughtUp(_) | Self::Registered(_) => u64::MAX,
        }
    }

    fn registration(&self) -> Option<&Watch> {
        match self {
            Self::Behind { registration, .. }
            | Self::Reading { registration, .. }
            | Self::CaughtUp(registration) => registration.as_ref(),
            Self::Registered(registration) => Some(registration),
        }
    }

    fn into_registration(self) -> Option<Watch> {
        match self {
            Self::Behind { registration, .. }
            | Self::Reading { registration, .. }
            | Self::CaughtUp(registration) => registration,
            Self::Registered(registration) => Some(registration),
        }
    }
}

/// What a cursor seldom has.
#[derive(Debug, Default)]
struct Seldom {
    /// What was handed out for filters that were removed since, until the reading has passed it.
    removed: Vec<(Filter, Window)>,
    /// What is asked of a message beyond its topic.
    conditions: Conditions,
    /// How long messages wait for others.
    coalescing: Coalescing,
    /// Newest messages of topics that are handed out before the reading goes on at `place`.
    latest: VecDeque<u64>,
    /// What was lost before the next event.
    gap: Option<Gap>,
}

/// Which seqs one filter is for, and which of those were handed out already.
#[derive(Debug, Clone, Copy)]
struct Window {
    /// It begins after this seq.
    after: u64,
    /// Up to here they were handed out, for this filter or another; 0 if none was.
    delivered: u64,
}

/// How much one filter or more ask for.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    topics: usize,
    patterns: usize,
    /// Of the patterns.
    segments: usize,
}

impl Wanted {
    fn by(filter: &Filter) -> Self {
        let mut wanted = Self { topics: 0, patterns: 0, segments: 0 };
        for pattern in filter.patterns() {
            match pattern {
                Pattern::Exact(_) => wanted.topics += 1,
                Pattern::Wild(text) => {
                    wanted.patterns += 1;
                    wanted.segments += text.split('.').count();
                }
            }
        }
        wanted
    }

    fn and(self, other: Self) -> Self {
        Self {
            topics: self.topics + other.topics,
            patterns: self.patterns + other.patterns,
            segments: self.segments + other.segments,
        }
    }

    /// What a claim counts.
    fn names(self) -> u32 {
        u32::try_from(self.topics + self.segments).unwrap_or(u32::MAX)
    }
}

/// What a reader gets at a time.
#[derive(Debug, Default)]
pub struct Batch {
    /// What was lost before these messages.
    pub gap: Option<Gap>,
    /// Messages with rising seqs; none if the wait ended or there is only a gap to tell.
    pub messages: Vec<Message>,
}

impl Batch {
    /// The first seq of which it tells, as a message or as the end of a gap.
    pub fn first(&self) -> Option<u64> {
        let gap = self.gap.as_ref().map(|gap| gap.before.seq());
        gap.or_else(|| self.messages.first().map(Message::seq))
    }
}

/// Where a cursor was, to return to.
#[derive(Debug)]
pub struct Bookmark {
    place: u64,
    /// What was to come before the messages after it, as hardly ever.
    before: Option<Box<(VecDeque<u64>, Option<Gap>)>>,
}

impl Cursor {
    /// A cursor without a filter, at the newest visible place.
    pub fn new(access: &Access) -> Self {
        Self {
            access: access.clone(),
            filters: Vec::new(),
            windows: Vec::new(),
            place: access.visible(),
            began: access.visible(),
            state: State::default(),
            claim: access.hub().claim(access.visitor()),
            seldom: None,
            progress: None,
        }
    }

    /// A cursor for a filter from a place on.
    ///
    /// # Errors
    ///
    /// The filter passes a limit of the server's, or the log could not be read.
    pub async fn open(access: &Access, filter: Readable, since: &Since) -> Result<Self, Error> {
        let mut cursor = Self::new(access);
        cursor.subscribe(filter, since).await?;
        Ok(cursor)
    }

    /// The same cursor with conditions on what it hands out.
    #[must_use]
    pub fn with_conditions(mut self, conditions: Conditions) -> Self {
        if !conditions.is_empty() {
            self.seldom().conditions = conditions;
        }
        self
    }

    /// The same cursor, whose newest filter lets messages wait so long for others. Where there are
    /// several filters, the shortest of their windows holds.
    #[must_use]
    pub fn coalescing(mut self, window: CoalesceWindow) -> Self {
        self.coalesce(window);
        self
    }

    /// [`Cursor::coalescing`] of one that is there already.
    pub fn coalesce(&mut self, window: CoalesceWindow) {
        if !window.is_none() {
            let filters = self.filters.len();
            self.seldom().coalescing.add(filters, window);
        }
    }

    /// How long messages wait for others.
    fn window(&self) -> CoalesceWindow {
        let seldom = self.seldom.as_ref();
        seldom.map(|own| own.coalescing.window(self.filters.len())).unwrap_or_default()
    }

    /// Until when messages wait that came, if any do: a reader that waits looks again then, or
    /// takes them before by [`Cursor::next`].
    pub fn gathers_until(&self) -> Option<Instant> {
        self.seldom.as_ref()?.coalescing.until()
    }

    /// The place reached: a reader that comes back with it misses nothing and gets nothing twice.
    pub fn place(&self) -> Id {
        if self.filters.is_empty() {
            return self.access.id(self.access.visible());
        }
        self.access.id(self.reached())
    }

    fn reached(&self) -> u64 {
        self.next_latest().map_or(self.place, |seq| self.place.min(seq - 1))
    }

    fn seldom(&mut self) -> &mut Seldom {
        self.seldom.get_or_insert_default()
    }

    /// The next of the newest messages that come out of their turn.
    fn next_latest(&self) -> Option<u64> {
        self.seldom.as_ref()?.latest.front().copied()
    }

    /// Whether the last page reached what was visible then: what it handed out is all there was.
    pub fn has_caught_up(&self) -> bool {
        matches!(self.state, State::CaughtUp(_) | State::Registered(_))
    }

    /// How far it is, for others to watch; `None` before the first filter.
    pub fn progress(&self) -> Option<&Arc<Progress>> {
        self.progress.as_ref()
    }

    /// What was lost before the next event, if it was not told yet. It is told once.
    pub fn take_gap(&mut self) -> Option<Gap> {
        self.seldom.as_mut()?.gap.take()
    }

    /// What was lost before the next event, if it was not told yet.
    pub fn gap(&self) -> Option<&Gap> {
        self.seldom.as_ref()?.gap.as_ref()
    }

    /// Where it is now, for [`return_to`](Self::return_to).
    pub fn bookmark(&self) -> Bookmark {
        let seldom = self.seldom.as_ref().filter(|_| self.is_told_more());
        let before = seldom.map(|seldom| Box::new((seldom.latest.clone(), seldom.gap.clone())));
        Bookmark { place: self.place, before }
    }

    /// Goes back to where it was: everything from there on is handed out again. Its filters are to
    /// be the same.
    pub fn return_to(&mut self, bookmark: Bookmark) {
        let Bookmark { place, before } = bookmark;
        assert!(place <= self.place, "a cursor returns from {} to {place}", self.place);
        self.place = place;
        if before.is_some() || self.seldom.is_some() {
            let seldom = self.seldom();
            (seldom.latest, seldom.gap) = before.map_or_else(Default::default, |before| *before);
        }
        self.begin_anew();
        self.show_place();
    }

    /// Through what it reads.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// What is wanted.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// The one filter that is all there is to this cursor beside its place: another cursor with the
    /// same filter at the same place hands out the same.
    pub fn sole_filter(&self) -> Option<&Filter> {
        match self.filters.as_slice() {
            [filter]
                if self.takes_all(self.place)
                    && !self.is_told_more()
                    && self.window().is_none() =>
            {
                Some(filter)
            }
            _ => None,
        }
    }

    /// Whether something comes before the messages that follow its place.
    fn is_told_more(&self) -> bool {
        let more = |seldom: &Seldom| !seldom.latest.is_empty() || seldom.gap.is_some();
        self.seldom.as_deref().is_some_and(more)
    }

    /// A cursor that wants the same from another place on.
    #[must_use]
    pub fn at(&self, place: u64) -> Self {
        let mut cursor = Self::new(&self.access);
        cursor.place = place;
        cursor.began = self.began;
        cursor.windows = self.filters.iter().map(|_| Window { after: 0, delivered: 0 }).collect();
        cursor.filters.clone_from(&self.filters);
        cursor.claim = self.claim.clone();
        cursor.progress.get_or_insert_default().reads(&cursor.filters);
        cursor.show_place();
        cursor
    }

    /// Adds a filter to what is wanted, from its own beginning on. Messages that were handed out
    /// already for another filter are not handed out again.
    pub async fn subscribe(&mut self, filter: Readable, since: &Since) -> Result<(), Error> {
        let filter = filter.into_filter();
        self.check_limits(&filter)?;
        if !matches!(since, Since::None) {
            self.access.visitor().check(Bucket::Replay)?;
        }
        let began = self.access.visible();
        let start = start::resolve(self.access.hub(), &filter, since).await?;
        self.claim(&filter)?;
        self.began = began;
        self.begin_anew();
        let after = start.latest.first().map_or(start.place, |seq| seq - 1);
        if self.filters.is_empty() {
            self.place = start.place;
            if !start.latest.is_empty() || self.next_latest().is_some() {
                self.seldom().latest = start.latest.into();
            }
        } else {
            for window in &mut self.windows {
                window.delivered = window.delivered.max(self.place);
            }
            self.place = self.place.min(after);
        }
        self.windows.reserve_exact(1);
        self.filters.reserve_exact(1);
        self.windows.push(Window { after, delivered: 0 });
        self.filters.push(filter);
        if let Some(other) = start.gap {
            let gap = &mut self.seldom().gap;
            *gap = Some(match gap.take() {
                Some(gap) => gap.joined(&other),
                None => other,
            });
        }
        self.progress.get_or_insert_default().reads(&self.filters);
        self.show_place();
        Ok(())
    }

    fn show_place(&self) {
        if let Some(progress) = &self.progress {
            progress.reach(self.reached());
        }
    }

    fn check_limits(&self, filter: &Filter) -> Result<(), Error> {
        let limits = self.access.limits();
        let own = Wanted::by(filter);
        if own.topics > limits.filter_topics {
            let (topics, limit) = (own.topics, limits.filter_topics);
            let text = format!("filter has {topics} topics, limit is {limit}");
            return Err(Error::new(Code::TopicInvalid, text));
        }
        if self.filters.len() >= limits.subscriptions {
            let text = format!("connection has {} subscriptions, the limit", limits.subscriptions);
            return Err(Error::new(Code::TooManySubscriptions, text));
        }
        let removed = self.seldom.iter().flat_map(|seldom| &seldom.removed);
        let others = self.filters.iter().chain(removed.map(|(filter, _)| filter));
        let all = others.map(Wanted::by).fold(own, Wanted::and);
        for (count, limit, what) in [
            (all.topics, CURSOR_TOPICS_MAX, "topics"),
            (all.patterns, CURSOR_PATTERNS_MAX, "patterns with * or >"),
        ] {
            if count > limit {
                let text = format!("connection wants {count} {what}, limit is {limit}");
                return Err(Error::new(Code::TooManySubscriptions, text));
            }
        }
        Ok(())
    }

    fn claim(&mut self, filter: &Filter) -> Result<(), Error> {
        self.claim.grow(Wanted::by(filter).names())
    }

    /// Removes a filter, whatever was taken away from it; false if it was not there.
    pub fn unsubscribe(&mut self, filter: &Filter) -> bool {
        let before = self.filters.len();
        let is_it = |wanted: &Filter| wanted.patterns() == filter.patterns();
        while let Some(index) = self.filters.iter().position(is_it) {
            let filter = self.filters.remove(index);
            self.claim.shrink(Wanted::by(&filter).names());
            let window = self.windows.remove(index);
            if let Some(seldom) = &mut self.seldom {
                seldom.coalescing.remove(index);
            }
            // Reading has gone back for another filter and will come past what this one had.
            let passed = self.place >= window.delivered;
            let most = self.access.limits().subscriptions;
            if !passed && self.seldom().removed.len() < most {
                self.seldom().removed.push((filter, window));
            }
        }
        self.begin_anew();
        if let Some(progress) = &self.progress {
            progress.reads(&self.filters);
        }
        self.filters.len() < before
    }

    /// Goes on by another access, if what is wanted means the same by it.
    ///
    /// # Errors
    ///
    /// That it does not; then everything is as it was.
    pub fn exchange(&mut self, access: Access) -> Result<(), Error> {
        self.access.exchange(access, &self.filters)?;
        self.begin_anew();
        Ok(())
    }

    /// Asks whether the right to read is still there, or another one in its place. Asked after a
    /// page, so that what was published after the right had ended is not handed out.
    pub(crate) fn keep_right(&mut self) -> Result<(), Error> {
        if self.access.is_current() {
            return Ok(());
        }
        self.access.renew(&self.filters)?;
        // The registration was with the right that has ended.
        self.begin_anew();
        Ok(())
    }

    /// The filters changed: the next page is read for the new ones, and the next wait registers for
    /// them.
    fn begin_anew(&mut self) {
        self.state = State::default();
    }

    /// Goes into another state, registered as before.
    fn enter(&mut self, state: impl FnOnce(Option<Watch>) -> State) {
        let registration = std::mem::take(&mut self.state).into_registration();
        self.state = state(registration);
    }

    /// Hands out what is there, oldest first, as much as `limit` allows; an empty batch if there is
    /// nothing. It may be dropped at any point: nothing is skipped.
    ///
    /// # Errors
    ///
    /// The log could not be read.
    pub async fn next(&mut self, limit: PageLimit) -> Result<Batch, Error> {
        poll_fn(|context| self.poll_held(limit, context)).await
    }

    /// [`Cursor::next`] as a step of something larger: pending only while the log is read.
    pub fn poll_held(
        &mut self,
        limit: PageLimit,
        context: &mut Context<'_>,
    ) -> Poll<Result<Batch, Error>> {
        let batch = ready!(self.poll_news(limit, false, context)?);
        self.stop_waiting();
        Poll::Ready(Ok(batch.unwrap_or_default()))
    }

    /// [`Cursor::next`] for a reader that waits: pending until there is some news or a gap to tell,
    /// which the task is woken for. Whatever ends the wait, it is followed by
    /// [`Cursor::stop_waiting`], which `session::Wait` sees to.
    pub fn poll_next(
        &mut self,
        limit: PageLimit,
        context: &mut Context<'_>,
    ) -> Poll<Result<Batch, Error>> {
        match ready!(self.poll_news(limit, true, context)?) {
            None => Poll::Pending,
            Some(batch) => Poll::Ready(Ok(batch)),
        }
    }

    /// Whether what has come waits for more. Whatever is read before its time ends the window.
    fn holds_back(&mut self, waits: bool, context: &mut Context<'_>) -> bool {
        let window = self.window();
        let Some(seldom) = &mut self.seldom else { return false };
        let waiting = match &self.state {
            State::CaughtUp(registration) => registration.as_ref(),
            State::Registered(registration) => Some(registration),
            State::Behind { .. } | State::Reading { .. } => None,
        };
        match waiting {
            Some(own) if waits && !window.is_none() && self.access.is_current() => {
                seldom.coalescing.holds_back(window, own.waiter(), context)
            }
            _ => {
                seldom.coalescing.close();
                false
            }
        }
    }

    /// Nobody waits for news any more: what comes now is still to be looked at.
    pub fn stop_waiting(&self) {
        self.show_place();
    }

    /// What comes next, or `None` when there is nothing: the task is woken when there is, if it
    /// waits.
    fn poll_news(
        &mut self,
        limit: PageLimit,
        waits: bool,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Batch>, Error>> {
        loop {
            if self.holds_back(waits, context) {
                return Poll::Ready(Ok(None));
            }
            // Mark seen, read, and only then wait: what is pushed while a page is read is not seen
            // yet.
            self.mark_seen();
            if !matches!(self.state, State::Registered(_)) {
                let messages = ready!(self.poll_read(limit, waits, context))?;
                self.keep_right()?;
                self.show_place();
                let has_gap = self.seldom.as_ref().is_some_and(|seldom| seldom.gap.is_some());
                if !messages.is_empty() || (has_gap && self.has_caught_up()) {
                    if self.has_caught_up() {
                        self.enter(|own| own.map_or(State::CaughtUp(None), State::Registered));
                    }
                    return Poll::Ready(Ok(Some(Batch { gap: self.take_gap(), messages })));
                }
            }
            match &self.state {
                State::Behind { .. } | State::Reading { .. } => {
                    // A page looks at so many messages only; others have their turn between two
                    // pages.
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                State::CaughtUp(None) if !waits => return Poll::Ready(Ok(None)),
                State::CaughtUp(None) => {
                    // Nobody is woken for a topic that is registered too late: register, then look
                    // again.
                    let registration = Some(self.access.register(&self.filters));
                    self.state = State::Behind { until: u64::MAX, registration };
                }
                State::CaughtUp(Some(registration)) | State::Registered(registration) => {
                    if registration.waiter().poll_unseen(context).is_pending() {
                        if !self.access.is_current() {
                            self.keep_right()?;
                            continue;
                        }
                        self.progress.iter().for_each(|progress| progress.wait());
                        self.enter(State::CaughtUp);
                        return Poll::Ready(Ok(None));
                    }
                }
            }
        }
    }

    /// Marks what was pushed as seen, but for while a page is on its way. A reader that had caught
    /// up may skip what others published before the first message that it was woken for, and after
    /// the last. Once the mark is taken it is behind until a read says otherwise: the read may be
    /// dropped half way.
    fn mark_seen(&mut self) {
        if matches!(self.state, State::Reading { .. }) {
            return;
        }
        let unseen = self.state.registration().and_then(|own| own.waiter().mark_seen());
        let Some((first, last)) = unseen else { return };
        let until = match self.state {
            State::Behind { until, .. } => until.max(last),
            _ => {
                self.place = self.place.max(first - 1);
                last
            }
        };
        self.enter(|registration| State::Behind { until, registration });
    }

    /// One step forward. Nothing changes before the page is there.
    fn poll_read(
        &mut self,
        limit: PageLimit,
        waits: bool,
        context: &mut Context<'_>,
    ) -> Poll<Result<Vec<Message>, Error>> {
        if self.filters.is_empty() {
            self.place = self.access.visible().max(self.place);
            self.enter(State::CaughtUp);
            return Poll::Ready(Ok(Vec::new()));
        }
        let latest = self.next_latest();
        let until = self.state.until();
        let (after, last) = latest.map_or((self.place, until), |seq| (seq - 1, seq));
        let (mut page, visible) = ready!(self.poll_page((after, last), limit, waits, context))?;
        assert!(page.through >= after, "a page went back from {after} to {}", page.through);
        assert!(page.messages.len() <= limit.messages.max(1), "a page passed its bound");
        let mut messages = std::mem::take(&mut page.messages);
        if until == u64::MAX {
            // It was not woken for these: it asked for what is held.
            self.charge(&messages);
        }
        if latest.is_some() {
            // Nobody has had it, whatever the windows say: it was taken out of its turn.
            self.seldom().latest.pop_front();
            messages.retain(|message| self.meets(message));
            return Poll::Ready(Ok(messages));
        }
        messages.retain(|message| message.is_kept() || message.seq() > self.began);
        self.note_loss(&page);
        self.place = page.through;
        if page.through >= visible.min(until) {
            self.enter(State::CaughtUp);
        }
        if !self.takes_all(after) {
            messages.retain(|message| self.wants(message));
        }
        if let Some(seldom) = &mut self.seldom {
            seldom.removed.retain(|(_, window)| window.delivered > page.through);
        }
        Poll::Ready(Ok(messages))
    }

    fn charge(&self, messages: &[Message]) {
        let visitor = self.access.visitor();
        if visitor.is_counted() && !messages.is_empty() {
            let bytes = messages.iter().map(|message| message.frame().len() as u64).sum();
            visitor.owe(Bucket::Replay, bytes);
        }
    }

    /// What it reads is charged to somebody else from now on.
    pub(crate) fn charge_to(&mut self, visitor: &Visitor) {
        self.access.charge_to(visitor);
    }

    /// A page of what is wanted after a place, up to a last seq, and what is visible by the time
    /// that it is there: from memory if that reaches back far enough, else from the log. Then the
    /// reader is behind.
    fn poll_page(
        &mut self,
        (after, last): (u64, u64),
        limit: PageLimit,
        waits: bool,
        context: &mut Context<'_>,
    ) -> Poll<Result<(Page, u64), Error>> {
        let until = self.state.until();
        loop {
            let (page, visible) = match &mut self.state {
                // One that was begun for another amount is read anew.
                State::Reading { page: begun, .. } if begun.limit == limit => {
                    // It may have been begun for an earlier look: there may be more by now.
                    (ready!(Pin::new(&mut begun.page).poll(context)), self.access.visible())
                }
                _ => {
                    let visible = self.access.visible();
                    match self.access.read(&self.filters, (after, last), limit, waits) {
                        PageRead::Done(page) => (Ok(page), visible),
                        PageRead::Later(page) => {
                            let page = Box::new(BegunPage { page, until, limit });
                            self.enter(|registration| State::Reading { page, registration });
                            continue;
                        }
                    }
                }
            };
            self.enter(|registration| State::Behind { until, registration });
            return Poll::Ready(page.map(|page| (page, visible)));
        }
    }

    fn note_loss(&mut self, page: &Page) {
        let Some(reason) = page.lost else { return };
        let before = self.access.id((page.through + 1).max(self.access.bounds().first));
        let after = self.access.id(self.place);
        match &mut self.seldom().gap {
            Some(gap) => gap.before = before,
            gap => *gap = Some(Gap { after: after.to_string(), before, reason }),
        }
    }

    /// Whether every message of the selected topics after a place is handed out, as is the rule.
    fn takes_all(&self, place: u64) -> bool {
        let begun = |window: &Window| place >= window.after && place >= window.delivered;
        let plain = |seldom: &Seldom| seldom.removed.is_empty() && seldom.conditions.is_empty();
        self.windows.iter().all(begun) && self.seldom.as_deref().is_none_or(plain)
    }

    /// Whether a message of the selected topics is handed out now.
    fn wants(&self, message: &Message) -> bool {
        let seq = message.seq();
        let mut wanted = false;
        for (filter, window) in self.filters.iter().zip(&self.windows) {
            if seq <= window.after || !filter.matches(message.topic().as_str()) {
                continue;
            }
            if seq <= window.delivered {
                return false;
            }
            wanted = true;
        }
        let removed = self.seldom.as_ref().map_or(&[][..], |seldom| &seldom.removed);
        let had = removed.iter().any(|(filter, window)| {
            let within = seq > window.after && seq <= window.delivered;
            within && filter.matches(message.topic().as_str())
        });
        wanted && !had && self.meets(message)
    }

    fn meets(&self, message: &Message) -> bool {
        self.seldom.as_ref().is_none_or(|seldom| message.meets(&seldom.conditions))
    }
}
