//! The gate: what asks, what it is granted, and whether that is enough.
//!
//! No transport holds a `Hub`. It brings what it knows of its peer, a [`Principal`], to the
//! [`Gate`], and gets an [`Access`]: the hub together with a [`Grant`]. Everything that a peer
//! wants goes through that: a draft must become [`Permitted`] to be submitted, a filter
//! [`Readable`] to be read, and every other [`Operation`] is held against the grant here and
//! nowhere else. Whatever is kept between two requests, or shared by several readers, has the grant
//! in its key.
//!
//! - `grant`: what one identity may do, for as long as that lasts
//! - `authority`: grants by the access file; `table`: everybody whom it names; `passwords`: those
//!   that were verified of late; `jwts`: tokens that others have signed; `tickets`: secrets for one
//!   use; `holder`: whose right outlives a connection; `applied`: which file holds

mod applied;
mod authority;
mod grant;
mod holder;
mod jwts;
mod passwords;
mod table;
mod tickets;

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use doorbell_protocol::attachment::Attachment;
use doorbell_protocol::{Code, Draft, Epoch, Error, Filter, Id, Topic};
use futures_util::future::BoxFuture;
use jiff::tz::TimeZone;

pub use self::applied::wait_until_applied;
use self::authority::Authority;
pub use self::grant::Grant;
use self::grant::Watching;
pub use self::holder::{Holder, Standing};
pub use self::tickets::Ticket;
use crate::audit::Audit;
use crate::hub::{Hub, PageRead, WireLimits};
use crate::limits::ACCESS_LOOK;
pub use crate::log::Remote;
use crate::log::{Bounds, Entry, Located, Owner, PageLimit, Storage};
use crate::message::Message;
use crate::outbound::{Mailer, mail_address};
use crate::rights::{Identity, Rights};
use crate::schedule::moment;
use crate::stop::Stop;
use crate::tail::{Registration, Waiter};
use crate::visitors::{Bucket, Visitor, Visitors};
use crate::writer::{Health, Pending};

/// What asks, as far as its transport can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal<'a> {
    /// It has not said.
    Anonymous,
    /// It brings a token.
    Token(&'a str),
    /// It brings a name and a password.
    Password {
        /// The user's name.
        name: &'a str,
        /// What proves it.
        password: &'a str,
    },
    /// It brings a ticket, to read a filter.
    Ticket {
        /// The ticket.
        ticket: &'a str,
        /// The filter.
        filter: &'a Filter,
    },
    /// The kernel says whose process it is.
    Uid(u32),
    /// Its certificate, which was verified, is for these names.
    Certificate(&'a [String]),
}

/// What comes of asking.
#[derive(Debug)]
pub enum Admission<T> {
    /// It is known, or nobody in particular.
    Admitted(T),
    /// Its credential is wrong.
    Refused(Error),
    /// That takes long to find out. Whoever asks again after it is told at once.
    Unverified(Verification),
}

/// What is to be awaited before it is known whether a credential is good.
pub struct Verification(BoxFuture<'static, ()>);

impl Verification {
    fn new(finding_out: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Box::pin(finding_out))
    }

    /// Finds out. Whoever presents the credential again is told at once.
    pub async fn run(self) {
        self.0.await;
    }
}

impl std::fmt::Debug for Verification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verification")
    }
}

/// What somebody wants to do, beside reading.
#[derive(Debug, Clone, Copy)]
pub enum Operation<'a> {
    /// To publish to a topic.
    Publish(&'a Topic),
    /// To be told where the server listens.
    Locate,
    /// To see what the server counts: statistics, metrics.
    Observe,
    /// To see who is connected.
    Watch,
    /// To see the packets of connections.
    Capture,
}

/// Where accesses are given. Clones share it.
#[derive(Debug, Clone)]
pub struct Gate {
    hub: Hub,
    judge: Judge,
    visitors: Visitors,
    audit: Audit,
    mailer: Option<Mailer>,
}

/// By what somebody is granted something.
#[derive(Debug, Clone)]
enum Judge {
    /// Nobody is asked: this is for all.
    Open(Grant),
    /// The access file.
    File(Arc<Authority>),
}

/// How the access file fares.
#[derive(Debug)]
pub struct FileState {
    /// Files that were taken so far.
    pub generation: u64,
    /// Why the file as it is now is not the one that holds.
    pub fault: Option<String>,
}

impl Gate {
    /// The gate before a hub, for everybody alike: with these rights, or with every right there is.
    pub fn open(hub: Hub, rights: Option<Rights>) -> Self {
        let anonymous = Identity { kind: "anonymous", name: "".into() };
        let grant = match rights {
            Some(rights) => Grant::new(anonymous, rights, None),
            None => Grant::everything(),
        };
        Self::new(hub, Judge::Open(grant))
    }

    /// The gate before a hub, for those whom an access file names.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, in one sentence.
    pub fn guarded(hub: Hub, file: &Path) -> Result<Self, String> {
        let authority = Authority::open(file, hub.fronts())?;
        Ok(Self::new(hub, Judge::File(authority)))
    }

    fn new(hub: Hub, judge: Judge) -> Self {
        let (visitors, audit) = (Visitors::default(), Audit::default());
        Self { hub, judge, visitors, audit, mailer: None }
    }

    /// The same gate, which charges these visitors.
    #[must_use]
    pub fn charging(self, visitors: Visitors) -> Self {
        Self { visitors, ..self }
    }

    /// The same gate, which keeps this audit trail.
    #[must_use]
    pub fn auditing(self, audit: Audit) -> Self {
        Self { audit, ..self }
    }

    /// The same gate, which lets messages be sent as mail, if there is something to send it.
    #[must_use]
    pub fn mailing(self, mailer: Option<Mailer>) -> Self {
        Self { mailer, ..self }
    }

    /// Whether messages may be sent as mail.
    pub fn sends_mail(&self) -> bool {
        self.mailer.is_some()
    }

    /// Where it is noted who came and who was refused.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Those who are charged.
    pub fn visitors(&self) -> &Visitors {
        &self.visitors
    }

    /// What a principal has that comes from an address.
    pub fn admit(&self, principal: Principal<'_>, address: &Visitor) -> Admission<Access> {
        let admitted = match &self.judge {
            Judge::Open(grant) => Admission::Admitted(grant.clone()),
            Judge::File(authority) => authority.admit(principal),
        };
        match admitted {
            Admission::Admitted(grant) => Admission::Admitted(self.access(grant, address)),
            Admission::Refused(error) if error.code() == Code::Unauthorized => {
                let one_more = address.charge(&[(Bucket::Failures, 1)]);
                Admission::Refused(one_more.err().unwrap_or(error))
            }
            Admission::Refused(error) => Admission::Refused(error),
            // Whoever has guessed too often is told so before anything slow is done.
            Admission::Unverified(verification) => match address.check(Bucket::Failures) {
                Ok(()) => Admission::Unverified(verification),
                Err(refusal) => Admission::Refused(refusal),
            },
        }
    }

    /// Makes a ticket to read a filter once by an access.
    ///
    /// # Errors
    ///
    /// That the filter may not be read, that the access is nobody's, or that there are too many.
    pub fn ticket(&self, access: &Access, filter: Filter) -> Result<Ticket, Error> {
        access.readable(filter.clone())?;
        match &self.judge {
            // It will not be looked at: nobody is asked.
            Judge::Open(_) => Ok(Ticket::generate()),
            Judge::File(authority) => authority.ticket(&access.grant, Some(filter)),
        }
    }

    /// Makes a pass: it stands once for an access where a token would. For what the server begins
    /// for somebody over a socket of its own.
    ///
    /// # Errors
    ///
    /// That the access is nobody's, or that there are too many.
    pub(crate) fn pass(&self, access: &Access) -> Result<Ticket, Error> {
        match &self.judge {
            Judge::Open(_) => Ok(Ticket::generate()),
            Judge::File(authority) => authority.ticket(&access.grant, None),
        }
    }

    /// What whoever brings nothing has.
    pub fn anonymous(&self, address: &Visitor) -> Access {
        let grant = match &self.judge {
            Judge::Open(grant) => grant.clone(),
            Judge::File(authority) => authority.anonymous(),
        };
        self.access(grant, address)
    }

    /// Whose right an access is, for what is to outlive its connection.
    ///
    /// # Errors
    ///
    /// That the access file does not name its holder.
    pub fn holder(&self, access: &Access) -> Result<Holder, Error> {
        match &self.judge {
            Judge::Open(_) => Ok(Holder::anybody()),
            Judge::File(authority) => authority.holder(&access.grant),
        }
    }

    /// How it stands with a holder's right to read a topic, at this moment.
    pub fn standing(&self, holder: &Holder, topic: &Topic) -> Standing {
        match &self.judge {
            Judge::Open(grant) => holder::standing(Some(grant), topic),
            Judge::File(authority) => authority.standing(holder, topic),
        }
    }

    /// What the server has for itself, to tell others of what is published. Whether they may know
    /// of it is asked for each of them.
    pub(crate) fn own(&self) -> Access {
        let (grant, visitor) = (Grant::everything(), Visitor::default());
        Access { hub: self.hub.clone(), grant, visitor, mailer: None }
    }

    /// Whoever has a name is charged by that, wherever it comes from, unless nobody is charged
    /// there.
    fn access(&self, grant: Grant, address: &Visitor) -> Access {
        let named = if address.is_counted() { grant.visitor(&self.visitors) } else { None };
        let visitor = named.unwrap_or(address).clone();
        Access { hub: self.hub.clone(), grant, visitor, mailer: self.mailer.clone() }
    }

    /// Whether credentials mean anything here.
    pub fn has_access_file(&self) -> bool {
        matches!(self.judge, Judge::File(_))
    }

    /// How the access file fares, if there is one.
    pub fn file_state(&self) -> Option<FileState> {
        match &self.judge {
            Judge::Open(_) => None,
            Judge::File(authority) => {
                let (generation, fault) = (authority.generation(), authority.fault());
                Some(FileState { generation, fault })
            }
        }
    }

    /// Reads the access file again when it changes, and ends what has had its time, until the stop.
    /// Ready at once if there is none.
    pub async fn keep(self, stop: Stop) {
        let Judge::File(authority) = self.judge else { return };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(ACCESS_LOOK) => {}
            }
            look(&authority, false, &self.audit).await;
        }
    }

    /// Reads the access file again, if there is one.
    pub async fn reread(&self) {
        if let Judge::File(authority) = &self.judge {
            look(authority, true, &self.audit).await;
        }
    }
}

async fn look(authority: &Arc<Authority>, in_any_case: bool, audit: &Audit) {
    let (authority, audit) = (authority.clone(), audit.clone());
    let looking = tokio::task::spawn_blocking(move || authority.look(in_any_case, &audit));
    if let Err(error) = looking.await {
        tracing::error!(%error, "looking at the access file ended early");
    }
}

/// The hub as one principal may use it. Clones share it.
#[derive(Debug, Clone)]
pub struct Access {
    hub: Hub,
    grant: Grant,
    /// Whom it is charged to.
    visitor: Visitor,
    /// What sends mail, if anything does.
    mailer: Option<Mailer>,
}

/// A draft that may be published.
#[derive(Debug)]
pub struct Permitted(Draft);

impl Permitted {
    /// When it is to be published, in unix microseconds, if not at once.
    pub fn due_us(&self) -> Option<u64> {
        self.0.due_us()
    }

    /// The same with the file that has come for it.
    #[must_use]
    pub fn with_file(mut self, file: Attachment) -> Self {
        self.0.attach(file);
        self
    }
}

/// A filter that may be read, without what may not be read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readable(Filter);

impl Readable {
    /// All of a filter, for tests that are about something else.
    #[cfg(test)]
    pub(crate) fn everything(filter: Filter) -> Self {
        Self(filter)
    }

    /// The filter itself.
    pub fn into_filter(self) -> Filter {
        self.0
    }
}

impl Deref for Readable {
    type Target = Filter;

    fn deref(&self) -> &Filter {
        &self.0
    }
}

/// A reader's place among those that wait, for news and for the end of its right; dropping it
/// leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Watch {
    tail: Registration,
    _watching: Option<Watching>,
}

impl Watch {
    /// The wake-up of this reader.
    pub(crate) fn waiter(&self) -> &Waiter {
        self.tail.waiter()
    }
}

impl Access {
    /// What it is granted.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Whether an operation is allowed.
    ///
    /// # Errors
    ///
    /// What is not allowed.
    pub fn permits(&self, operation: Operation<'_>) -> Result<(), Error> {
        self.grant.permits(operation)
    }

    /// Whom it is charged to.
    pub fn visitor(&self) -> &Visitor {
        &self.visitor
    }

    /// The same, charged to another one.
    pub(crate) fn charge_to(&mut self, visitor: &Visitor) {
        self.visitor.clone_from(visitor);
    }

    /// A request, or a line that is one, which is charged.
    ///
    /// # Errors
    ///
    /// That there were too many.
    pub fn begin_request(&self) -> Result<(), Error> {
        self.visitor.charge(&[(Bucket::Requests, 1)])
    }

    /// A draft that may be published, if it may; it is charged.
    ///
    /// # Errors
    ///
    /// That its topic may not be published to, or that there were too many.
    pub fn permit(&self, mut draft: Draft) -> Result<Permitted, Error> {
        self.permits(Operation::Publish(&draft.topic))?;
        self.check_email(&draft)?;
        if let Some(delay) = &mut draft.delay {
            let now_us = self.hub.now().unix_us;
            delay.due_us = Some(moment::due(&delay.text, now_us, &TimeZone::system())?);
        }
        if self.visitor.is_counted() {
            let topics = u64::from(!self.hub.has_topic(&draft.topic));
            let bytes = draft.weight() as u64;
            self.check_share()?;
            self.visitor.charge(&[
                (Bucket::Messages, 1),
                (Bucket::Bytes, bytes),
                (Bucket::Topics, topics),
                (Bucket::Emails, u64::from(draft.email.is_some())),
            ])?;
        }
        Ok(Permitted(draft))
    }

    /// Whether a draft may be sent as mail, if it is to be.
    fn check_email(&self, draft: &Draft) -> Result<(), Error> {
        let Some(to) = &draft.email else { return Ok(()) };
        if self.mailer.is_none() {
            let text = "e-mail notifications are off: no mail server is named (--smtp)";
            return Err(Error::new(Code::EmailUnsupported, text));
        }
        if draft.delay.is_some() {
            let text = "a message with a delay cannot be sent as e-mail";
            return Err(Error::new(Code::DelayedEmail, text));
        }
        mail_address(to).map(drop)
    }

    /// Whether a draft may still be published that was permitted a while ago.
    ///
    /// # Errors
    ///
    /// That it may not.
    pub fn still_permits(&self, Permitted(draft): &Permitted) -> Result<(), Error> {
        self.permits(Operation::Publish(&draft.topic))
    }

    /// Messages that wait for a filter, as they are due.
    ///
    /// # Errors
    ///
    /// They are not at hand.
    pub(crate) async fn scheduled(&self, filter: &Readable) -> Result<Vec<Message>, Error> {
        self.hub.scheduled(filter).await
    }

    /// Whether the log has room for more of this visitor's messages.
    fn check_share(&self) -> Result<(), Error> {
        let Some(owner) = self.visitor.owner().map(Owner::of) else { return Ok(()) };
        let expiry = || self.hub.next_expiry().as_secs().max(1);
        self.visitor.check_held(self.hub.held_of(&owner), expiry)
    }

    /// What may be read of a filter, if all of its patterns may.
    ///
    /// # Errors
    ///
    /// The first of its patterns that may not be read.
    pub fn readable(&self, filter: Filter) -> Result<Readable, Error> {
        self.grant.check()?;
        match self.grant.rights() {
            None => Ok(Readable(filter)),
            Some(rights) => rights.read(&filter).map(Readable),
        }
    }

    /// Whether there is anything to publish or to read.
    pub fn is_nothing(&self) -> bool {
        self.grant.rights().is_some_and(Rights::is_nothing)
    }

    /// Whether the grant has not ended.
    pub(crate) fn is_current(&self) -> bool {
        self.grant.is_current()
    }

    /// Goes on with what came after a grant that has ended, if these filters mean the same by it.
    ///
    /// # Errors
    ///
    /// That they do not, or that nothing came after it.
    pub(crate) fn renew(&mut self, filters: &[Filter]) -> Result<(), Error> {
        let Some(successor) = self.grant.successor() else { return self.grant.check() };
        self.exchange(Self { grant: successor, ..self.clone() }, filters)
    }

    /// Goes on with another access, if these filters mean the same by it.
    ///
    /// # Errors
    ///
    /// That they do not.
    pub(crate) fn exchange(&mut self, other: Self, filters: &[Filter]) -> Result<(), Error> {
        for filter in filters {
            if *other.readable(filter.clone())? != *filter {
                let text =
                    format!("the right to read '{filter}' is another one now: subscribe again");
                return Err(Error::new(Code::Forbidden, text));
            }
        }
        *self = other;
        Ok(())
    }

    /// The first half of a publish: once this returns, the drafts have their turn, after those
    /// submitted before them. What it returns is the second half and resolves to the answer to
    /// each, in their order, once it is as durable as the log promises and visible to readers. If
    /// the caller goes away after the drafts were accepted, they are stored all the same.
    pub async fn submit(&self, drafts: Vec<Permitted>) -> Pending {
        let owner = self.visitor.owner().map_or_else(Owner::nobody, Owner::of);
        let letters: Vec<_> = drafts.iter().enumerate().filter_map(letter).collect();
        let entry = |Permitted(draft)| Entry { draft, owner: owner.clone() };
        let pending = self.hub.submit(drafts.into_iter().map(entry).collect()).await;
        match &self.mailer {
            Some(mailer) if !letters.is_empty() => {
                let mailer = mailer.clone();
                pending.after(move |answers| {
                    for (index, to) in letters {
                        if let Some(Ok(message)) = answers.get(index) {
                            mailer.send(to, message);
                        }
                    }
                })
            }
            _ => pending,
        }
    }

    /// The hub, for a cursor: its filters are [`Readable`].
    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Reads a page, as [`Hub::read`] does.
    pub(crate) fn read(
        &self,
        filters: &[Filter],
        places: (u64, u64),
        limit: PageLimit,
        waits: bool,
    ) -> PageRead {
        self.hub.read(filters, places, limit, waits, &self.visitor)
    }

    /// Registers a reader of these filters until the registration is dropped.
    pub(crate) fn register(&self, filters: &[Filter]) -> Watch {
        let tail = self.hub.register(filters);
        Watch { _watching: self.grant.watch(tail.waiter()), tail }
    }

    /// The newest message ever published for a filter, as far as readers may see it; 0 if none was.
    ///
    /// # Errors
    ///
    /// The server could not search among the topics.
    pub async fn newest(&self, filter: &Readable) -> Result<u64, Error> {
        self.hub.newest(filter).await
    }

    /// The newest seq that readers may see.
    pub fn visible(&self) -> u64 {
        self.hub.visible()
    }

    /// The place as readers name it.
    pub fn id(&self, place: u64) -> Id {
        self.hub.id(place)
    }

    /// The place that an id names, or the first one behind it that is held; `None` if the log does
    /// not know it.
    pub fn place(&self, id: Id) -> Option<u64> {
        match self.hub.locate(id) {
            Located::At(place) | Located::Lost(place) => Some(place),
            Located::Expired | Located::Foreign => None,
        }
    }

    /// The start of the server that is running.
    pub fn epoch(&self) -> Epoch {
        self.hub.epoch()
    }

    /// How it stands with the files of the log, if there are any.
    pub fn storage(&self) -> Option<Storage> {
        self.hub.storage()
    }

    /// What the log holds.
    pub fn bounds(&self) -> Bounds {
        self.hub.bounds()
    }

    /// The limits of the wire.
    pub fn limits(&self) -> WireLimits {
        self.hub.limits()
    }

    /// How many topics are known.
    pub fn topics(&self) -> usize {
        self.hub.topics()
    }

    /// Whether publishes can be stored.
    pub fn health(&self) -> Health {
        self.hub.health()
    }

    /// Why none can be stored any more, if that is so.
    pub fn failure(&self) -> Option<String> {
        self.hub.failure()
    }

    /// How it stands with the machines that have the log, if they are others.
    pub fn remote(&self) -> Option<Remote> {
        self.hub.remote()
    }

    /// Why nothing can be stored just now, if those are out of reach.
    pub fn outage(&self) -> Option<String> {
        self.hub.outage()
    }
}

/// To whom the draft of this number is sent as mail, if it is.
fn letter((index, Permitted(draft)): (usize, &Permitted)) -> Option<(usize, lettre::Address)> {
    Some((index, mail_address(draft.email.as_deref()?).ok()?))
}
