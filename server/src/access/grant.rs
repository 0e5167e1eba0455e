//! A grant: what one identity may do, for as long as that lasts.
//!
//! Sessions live by their grant. It ends when its entry in the access file goes, when its secret or
//! its rules change, and when its time has passed; another may come after it. Whoever reads asks
//! for that after each page (`cursor`), and whoever waits is woken, so that nothing is handed out
//! that was published after a right had ended.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use doorbell_protocol::{Code, Error};
use slab::Slab;

use super::Operation;
use crate::audit::Audit;
use crate::rights::{Identity, Rights};
use crate::tail::Waiter;
use crate::visitors::{Visitor, Visitors};

/// What its holder may do. Clones are the same grant.
#[derive(Debug, Clone)]
pub struct Grant(Option<Arc<Granted>>);

#[derive(Debug)]
struct Granted {
    identity: Identity,
    rights: Rights,
    /// When it ends, in unix seconds.
    expires: Option<u64>,
    /// What its holder has had, once there is anything.
    visitor: OnceLock<Visitor>,
    /// Set when it has ended; what came after it, if anything did.
    ended: OnceLock<Option<Grant>>,
    /// Those that live by it and wait.
    waiters: Mutex<Slab<Arc<Waiter>>>,
}

impl Grant {
    /// Whatever there is to do, without an end: nobody was told who may what.
    pub fn everything() -> Self {
        Self(None)
    }

    /// These rights.
    pub fn new(identity: Identity, rights: Rights, expires: Option<u64>) -> Self {
        let (visitor, ended, waiters) = (OnceLock::new(), OnceLock::new(), Mutex::default());
        Self(Some(Arc::new(Granted { identity, rights, expires, visitor, ended, waiters })))
    }

    /// Whose it is; `None` if nobody was asked.
    pub fn identity(&self) -> Option<&Identity> {
        Some(&self.0.as_ref()?.identity)
    }

    /// The rights; `None` if they are everything.
    pub fn rights(&self) -> Option<&Rights> {
        Some(&self.0.as_ref()?.rights)
    }

    /// Whom its holder is charged as; `None` if it has no name.
    pub fn visitor(&self, visitors: &Visitors) -> Option<&Visitor> {
        let granted = self.0.as_ref().filter(|granted| granted.identity.kind != "anonymous")?;
        let Identity { kind, name } = &granted.identity;
        Some(granted.visitor.get_or_init(|| visitors.named(&format!("{kind}:{name}"))))
    }

    /// When it ends, in unix seconds.
    pub fn expires(&self) -> Option<u64> {
        self.0.as_ref()?.expires
    }

    /// Whether it is enough.
    ///
    /// # Errors
    ///
    /// What is not allowed, or that the grant has ended.
    pub fn permits(&self, operation: Operation<'_>) -> Result<(), Error> {
        let Some(granted) = &self.0 else { return Ok(()) };
        self.check()?;
        let rights = &granted.rights;
        let allowed = |is_allowed: bool, refusal: &'static str| {
            if is_allowed { Ok(()) } else { Err(Error::new(Code::Forbidden, refusal)) }
        };
        match operation {
            Operation::Publish(topic) => rights.publish(topic),
            Operation::Locate => allowed(rights.reads(), "reading is not allowed"),
            Operation::Observe => {
                allowed(rights.admin, "what the server counts is for administrators")
            }
            Operation::Watch => allowed(rights.admin, "who is connected is for administrators"),
            Operation::Capture => {
                allowed(rights.admin, "what is on the wire is for administrators")
            }
        }
    }

    /// Whether anything else has a clone of it.
    pub(super) fn is_shared(&self) -> bool {
        self.0.as_ref().is_some_and(|granted| Arc::strong_count(granted) > 1)
    }

    /// Whether it has not ended.
    pub fn is_current(&self) -> bool {
        self.0.as_ref().is_none_or(|granted| granted.ended.get().is_none())
    }

    /// That it has not ended.
    ///
    /// # Errors
    ///
    /// That it has.
    pub fn check(&self) -> Result<(), Error> {
        if self.is_current() {
            return Ok(());
        }
        Err(Error::new(Code::Forbidden, "the right to be here has ended"))
    }

    /// What came after it, if it has ended.
    pub fn successor(&self) -> Option<Self> {
        let mut newest = self.0.as_ref()?.ended.get()?.clone()?;
        while let Some(ended) = newest.0.as_ref().and_then(|granted| granted.ended.get()) {
            newest = ended.clone()?;
        }
        Some(newest)
    }

    /// Ends it, and notes why. Whoever waits by it looks again at once.
    pub fn end(&self, successor: Option<Self>, reason: &'static str, audit: &Audit) {
        let Some(granted) = &self.0 else { return };
        if granted.ended.set(successor).is_ok() {
            audit.ended(&granted.identity, reason);
            // Nobody comes to the list after this that does not see the mark.
            let waiters = std::mem::take(&mut *granted.waiters());
            waiters.iter().for_each(|(_, waiter)| waiter.wake());
        }
    }

    /// Wakes a waiter when the grant ends, until the place is dropped.
    pub(super) fn watch(&self, waiter: &Arc<Waiter>) -> Option<Watching> {
        let granted = self.0.clone()?;
        let key = granted.waiters().insert(waiter.clone());
        Some(Watching { granted, key })
    }
}

impl Granted {
    fn waiters(&self) -> MutexGuard<'_, Slab<Arc<Waiter>>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for Grant {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Eq for Grant {}

impl Hash for Grant {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_ref().map(Arc::as_ptr).hash(state);
    }
}

/// A waiter's place in the list of its grant.
#[derive(Debug)]
pub(super) struct Watching {
    granted: Arc<Granted>,
    key: usize,
}

impl Drop for Watching {
    fn drop(&mut self) {
        // The list is empty once the grant has ended.
        let _ = self.granted.waiters().try_remove(self.key);
    }
}
