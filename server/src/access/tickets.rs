//! Tickets: secrets for one use, for clients that can send no header and must put no lasting
//! secret into an address or a datagram.
//!
//! One is made for a grant and a filter, and is good for some seconds. Whoever brings it reads by
//! that grant, for as long as it lasts. What is kept of a ticket is its hash. One without a filter
//! is a pass: it stands where a token does, for what the server itself begins for somebody.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorbell_protocol::{Code, Error, Filter};
use rand::{RngExt, rng};
use tokio::time::Instant;

use super::grant::Grant;
use crate::clock::unix_seconds;
use crate::limits::{TICKET_LIFETIME, TICKETS_MAX, TICKETS_PER_IDENTITY_MAX};
use crate::rights::TokenHash;

/// Those that were made and not used, by their hashes.
#[derive(Debug, Default)]
pub(super) struct Tickets(Mutex<HashMap<TokenHash, Unused>>);

#[derive(Debug)]
struct Unused {
    grant: Grant,
    filter: Option<Filter>,
    until: Instant,
}

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
    /// Makes one.
    ///
    /// # Errors
    ///
    /// That there are too many that were not used.
    pub(super) fn make(&self, grant: &Grant, filter: Option<Filter>) -> Result<Ticket, Error> {
        let now = Instant::now();
        let mut unused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        unused.retain(|_, ticket| now < ticket.until && ticket.grant.is_current());
        let own = unused.values().filter(|ticket| ticket.grant == *grant).count();
        for (count, limit, whose) in
            [(unused.len(), TICKETS_MAX, "the server"), (own, TICKETS_PER_IDENTITY_MAX, "you")]
        {
            if count >= limit {
                let lifetime = TICKET_LIFETIME.as_secs();
                let text = format!(
                    "there are {count} unused tickets of {whose}, limit is {limit}: \
                     each ends after {lifetime} s"
                );
                return Err(Error::new(Code::Busy, text));
            }
        }
        let mut ticket = Ticket::generate();
        if filter.is_none() {
            ticket.text.insert_str(0, PASS_PREFIX);
        }
        let until = now + TICKET_LIFETIME;
        unused.insert(TokenHash::of(&ticket.text), Unused { grant: grant.clone(), filter, until });
        Ok(ticket)
    }

    /// Uses one to read a filter, or a pass. It is used up whatever comes of it.
    ///
    /// # Errors
    ///
    /// Why it is not good for that.
    pub(super) fn take(&self, ticket: &str, filter: Option<&Filter>) -> Result<Grant, Error> {
        let wrong = |why: &'static str| Error::new(Code::Unauthorized, why);
        let mut unused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = unused.remove(&TokenHash::of(ticket));
        drop(unused);
        let found = found.filter(|found| Instant::now() < found.until).ok_or_else(|| {
            wrong("the ticket is wrong, was used, or has expired: make another one")
        })?;
        if found.filter.as_ref() != filter {
            return Err(wrong("the ticket is for another filter"));
        }
        if !found.grant.is_current() {
            return Err(wrong("the right that the ticket was made with has ended"));
        }
        Ok(found.grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Audit;
    use crate::rights::{Identity, Rights};

    fn grant(name: &str) -> Grant {
        Grant::new(Identity { kind: "token", name: name.into() }, Rights::default(), None)
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_good_once_for_its_filter_and_its_time() {
        let (tickets, own) = (Tickets::default(), grant("a"));
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
        let (tickets, filter) = (Tickets::default(), "a".parse::<Filter>().unwrap());
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
}
