//! Tickets: secrets for one use, for clients that can send no header and must put no lasting
//! secret into an address or a datagram.
//!
//! One is made for a grant and a filter, and is good for some seconds. Whoever brings it reads by
//! that grant, for as long as it lasts. What is kept of a ticket is its hash. One without a filter
//! is a pass: it stands where a token does, for what the server itself begins for somebody.
//!
//! Where several servers have one log, a ticket begins with the name of the server that made it,
//! and is kept there alone. Brought to another one it is moved there first, so that it is good once
//! all the same. It takes its right along by name: what that is worth is for the server that it is
//! used at, by an access file of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use doorbell_protocol::{Code, Error, Filter};
use rand::{RngExt, rng};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::grant::Grant;
use super::holder::Holder;
use crate::clock::unix_seconds;
use crate::limits::{
    RETRY_AFTER_SECONDS, TICKET_LIFETIME, TICKETS_FETCHED_AT_ONCE, TICKETS_MAX,
    TICKETS_PER_IDENTITY_MAX,
};
use crate::log::Fronts;
use crate::rights::{Claimed, TokenHash};
use crate::writer::unreachable;

/// Those that were made here, or came here, and were not used, by their hashes.
#[derive(Debug)]
pub(super) struct Tickets {
    unused: Mutex<HashMap<TokenHash, Unused>>,
    fronts: Option<Arc<dyn Fronts>>,
    fetches: Semaphore,
}

#[derive(Debug)]
struct Unused {
    /// Or why one that was to come here has not.
    ticket: Result<(Grant, Option<Filter>), Error>,
    until: Instant,
}

/// A ticket on its way to the server where it is used.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MovingTicket {
    pub(super) bearer: Bearer,
    filter: String,
    left_ms: u64,
}

/// By what right a ticket is used, as another server knows it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Bearer {
    /// That of somebody whom the access file names.
    Holder(Holder),
    /// What a token gives that others have signed.
    Signed(TokenHash, Claimed),
}

/// How long it is remembered why one did not come: for the request that it was brought with.
const TOLD_FOR: Duration = Duration::from_secs(RETRY_AFTER_SECONDS);
/// How a pass begins, so that it is taken for no token.
pub(super) const PASS_PREFIX: &str = "pass_";

/// A ticket. It is shown by nothing but [`Ticket::reveal`].
pub struct Ticket {
    text: String,
    /// When it ends, in unix seconds.
    pub expires: u64,
}

impl Ticket {
    /// One that was never given out: 128 bits.
    pub(super) fn generate() -> Self {
        let bits: [u8; 16] = rng().random();
        let expires = unix_seconds() + TICKET_LIFETIME.as_secs();
        Self { text: URL_SAFE_NO_PAD.encode(bits), expires }
    }

    /// Its text, to be shown to whoever asked for it, once.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl Tickets {
    /// None yet; with the other servers that may make some, if there are any.
    pub(super) fn new(fronts: Option<Arc<dyn Fronts>>) -> Self {
        let fetches = Semaphore::new(TICKETS_FETCHED_AT_ONCE);
        Self { unused: Mutex::default(), fronts, fetches }
    }

    /// Makes one.
    ///
    /// # Errors
    ///
    /// That there are too many that were not used.
    pub(super) fn make(&self, grant: &Grant, filter: Option<Filter>) -> Result<Ticket, Error> {
        let now = Instant::now();
        let mut unused = self.unused();
        let is_of = |unused: &Unused, which: &dyn Fn(&Grant) -> bool| {
            unused.ticket.as_ref().is_ok_and(|(grant, _)| which(grant))
        };
        unused.retain(|_, own| now < own.until && is_of(own, &Grant::is_current));
        let own = unused.values().filter(|unused| is_of(unused, &|own| own == grant)).count();
        for (count, limit, whose) in
            [(unused.len(), TICKETS_MAX, "the server"), (own, TICKETS_PER_IDENTITY_MAX, "you")]
        {
            if count >= limit {
                return Err(too_many(count, whose, limit));
            }
        }
        let mut ticket = Ticket::generate();
        match (&filter, &self.fronts) {
            (None, _) => ticket.text.insert_str(0, PASS_PREFIX),
            (Some(_), Some(fronts)) => ticket.text = format!("{}.{}", fronts.own(), ticket.text),
            (Some(_), None) => {}
        }
        let (until, right) = (now + TICKET_LIFETIME, Ok((grant.clone(), filter)));
        unused.insert(TokenHash::of(&ticket.text), Unused { ticket: right, until });
        Ok(ticket)
    }

    /// Uses one to read a filter, or a pass. It is used up whatever comes of it.
    ///
    /// # Errors
    ///
    /// Why it is not good for that.
    pub(super) fn take(&self, ticket: &str, filter: Option<&Filter>) -> Result<Grant, Error> {
        let wrong = |why: &'static str| Error::new(Code::Unauthorized, why);
        let (grant, its_filter) = self.remove(TokenHash::of(ticket)).ok_or_else(unknown)?.ticket?;
        if its_filter.as_ref() != filter {
            return Err(wrong("the ticket is for another filter"));
        }
        if !grant.is_current() {
            return Err(wrong("the right that the ticket was made with has ended"));
        }
        Ok(grant)
    }

    fn remove(&self, hash: TokenHash) -> Option<Unused> {
        self.unused().remove(&hash).filter(|unused| Instant::now() < unused.until)
    }

    /// The name of the server that has a ticket, and the way to it, if this one cannot know it.
    pub(super) fn maker(&self, ticket: &str) -> Option<(Arc<dyn Fronts>, String)> {
        let fronts = self.fronts.as_ref()?;
        let (maker, _) = ticket.split_once('.')?;
        let is_here = maker == fronts.own() || self.unused().contains_key(&TokenHash::of(ticket));
        (!is_here).then(|| (fronts.clone(), maker.to_owned()))
    }

    /// Has a ticket come here from the server that made it. Whoever presents it again is told what
    /// came of that. `grant` is what its bearer has here.
    pub(super) async fn fetch(
        &self,
        maker: (Arc<dyn Fronts>, String),
        hash: TokenHash,
        grant: impl FnOnce(Bearer) -> Result<Grant, Error>,
    ) {
        let fetched = self.fetched(maker, hash).await.and_then(|moving| {
            let left = Duration::from_millis(moving.left_ms).min(TICKET_LIFETIME);
            Ok((grant(moving.bearer)?, moving.filter.parse()?, left))
        });
        self.keep(hash, fetched);
    }

    async fn fetched(
        &self,
        (fronts, maker): (Arc<dyn Fronts>, String),
        hash: TokenHash,
    ) -> Result<MovingTicket, Error> {
        let Ok(_fetches) = self.fetches.try_acquire() else {
            let text =
                format!("{TICKETS_FETCHED_AT_ONCE} tickets of other servers are on their way");
            return Err(Error::new(Code::Busy, text));
        };
        let answer = fronts.request(&maker, hash.to_string().into()).await;
        let away = |fault| unreachable(&format!("the server that made the ticket: {fault}"));
        let answer = answer.map_err(away)?.unwrap_or_default();
        serde_json::from_slice(&answer).ok().flatten().ok_or_else(unknown)
    }

    /// Keeps what came of fetching, for the request that waits for it.
    fn keep(&self, hash: TokenHash, fetched: Result<(Grant, Filter, Duration), Error>) {
        let now = Instant::now();
        let mut unused = self.unused();
        if unused.len() >= TICKETS_MAX {
            unused.retain(|_, own| now < own.until && own.ticket.is_ok());
        }
        let fetched = if unused.len() < TICKETS_MAX {
            fetched
        } else {
            Err(too_many(TICKETS_MAX, "the server", TICKETS_MAX))
        };
        let (ticket, lasts) = match fetched {
            Ok((grant, filter, left)) => (Ok((grant, Some(filter))), left),
            Err(error) => (Err(error), TOLD_FOR),
        };
        // Another request with the same ticket may have brought it.
        unused.entry(hash).or_insert(Unused { ticket, until: now + lasts });
    }

    /// Gives a ticket away to the server that asks for it by its hash: it is not here any more.
    pub(super) fn give_away(
        &self,
        request: &[u8],
        bearer: impl FnOnce(&Grant) -> Option<Bearer>,
    ) -> Bytes {
        let moving = || {
            let hash = std::str::from_utf8(request).ok()?.parse().ok()?;
            let Unused { ticket, until } = self.remove(hash)?;
            let (grant, filter) = ticket.ok().filter(|(grant, _)| grant.is_current())?;
            let left = until.saturating_duration_since(Instant::now()).as_millis();
            let left_ms = u64::try_from(left).ok()?;
            Some(MovingTicket { bearer: bearer(&grant)?, filter: filter?.to_string(), left_ms })
        };
        serde_json::to_vec(&moving()).unwrap_or_default().into()
    }

    fn unused(&self) -> MutexGuard<'_, HashMap<TokenHash, Unused>> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_many(count: usize, whose: &str, limit: usize) -> Error {
    let lifetime = TICKET_LIFETIME.as_secs();
    let text = format!(
        "there are {count} unused tickets of {whose}, limit is {limit}: each ends after {lifetime} s"
    );
    Error::new(Code::Busy, text)
}

fn unknown() -> Error {
    let text = "the ticket is wrong, was used, or has expired: make another one";
    Error::new(Code::Unauthorized, text)
}

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::audit::Audit;
    use crate::log::{FrontAnswer, LogError};
    use crate::rights::{Identity, Rights};

    /// The way to one other server in this process.
    #[derive(Debug)]
    struct Beside(&'static str, Mutex<Option<Bytes>>);

    impl Fronts for Beside {
        fn own(&self) -> &str {
            self.0
        }

        fn request(
            &self,
            _: &str,
            _: Bytes,
        ) -> BoxFuture<'static, Result<Option<Bytes>, LogError>> {
            let answer = self.1.lock().unwrap().take();
            Box::pin(async { Ok(answer) })
        }

        fn answer(&self, _: FrontAnswer) {}
    }

    fn grant(name: &str) -> Grant {
        Grant::new(Identity { kind: "token", name: name.into() }, Rights::default(), None)
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_good_once_for_its_filter_and_its_time() {
        let (tickets, own) = (Tickets::new(None), grant("a"));
        let filter: Filter = "a,b".parse().unwrap();
        let make = || tickets.make(&own, Some(filter.clone())).unwrap().text;
        let take = |ticket: &str| tickets.take(ticket, Some(&filter));
        let once = make();
        assert_eq!(take(&once).unwrap(), own);
        assert!(take(&once).is_err(), "it was used");
        let foreign = make();
        assert!(tickets.take(&foreign, Some(&"a".parse().unwrap())).is_err());
        assert!(take(&foreign).is_err(), "it was tried");
        let pass = tickets.make(&own, None).unwrap().text;
        assert!(take(&pass).is_err() && tickets.take(&pass, None).is_err(), "it is no ticket");
        assert!(tickets.take(&make(), None).is_err(), "nor is a ticket a pass");
        let pass = tickets.make(&own, None).unwrap().text;
        assert_eq!(tickets.take(&pass, None).unwrap(), own);
        let late = make();
        tokio::time::advance(TICKET_LIFETIME).await;
        assert!(take(&late).is_err(), "it is late");
        let ended = make();
        own.end(None, "revoked", &Audit::default());
        assert!(take(&ended).is_err(), "its right has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn one_identity_cannot_take_the_tickets_of_the_others() {
        let (tickets, filter) = (Tickets::new(None), "a".parse::<Filter>().unwrap());
        let make = |grant: &Grant| tickets.make(grant, Some(filter.clone()));
        let (greedy, other) = (grant("a"), grant("b"));
        for _ in 0..TICKETS_PER_IDENTITY_MAX {
            make(&greedy).unwrap();
        }
        assert_eq!(make(&greedy).err().unwrap().code(), Code::Busy);
        make(&other).unwrap();
        tokio::time::advance(TICKET_LIFETIME).await;
        make(&greedy).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_has_no_longer_where_it_was_moved_to() {
        let own = grant("a");
        let filter: Filter = "a".parse().unwrap();
        let holder = Holder { kind: "token".into(), name: "a".into(), proof: "".into() };
        let maker = Tickets::new(Some(Arc::new(Beside("maker", Mutex::default()))));
        let way = Arc::new(Beside("user", Mutex::default()));
        let user = Tickets::new(Some(way.clone()));
        for waits in [Duration::ZERO, TICKET_LIFETIME / 2] {
            let ticket = maker.make(&own, Some(filter.clone())).unwrap().text;
            let hash = TokenHash::of(&ticket);
            assert!(maker.maker(&ticket).is_none() && user.maker(&ticket).is_some());
            tokio::time::advance(TICKET_LIFETIME / 2).await;
            let give_away = || {
                let bearer = |_: &Grant| Some(Bearer::Holder(holder.clone()));
                maker.give_away(hash.to_string().as_bytes(), bearer)
            };
            *way.1.lock().unwrap() = Some(give_away());
            assert_eq!(give_away(), "null", "it was given away");
            assert!(maker.take(&ticket, Some(&filter)).is_err());
            user.fetch(user.maker(&ticket).unwrap(), hash, |_| Ok(own.clone())).await;
            assert!(user.maker(&ticket).is_none(), "it is here");
            tokio::time::advance(waits).await;
            let taken = user.take(&ticket, Some(&filter));
            assert_eq!(taken.is_ok(), waits.is_zero(), "{taken:?}");
            assert!(user.take(&ticket, Some(&filter)).is_err(), "it was used");
        }
    }
}
