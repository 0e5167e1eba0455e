//! The gate: what asks, what it is granted, and whether that is enough.
//!
//! No transport holds a `Hub`. It brings what it knows of its peer, a [`Principal`], to the
//! [`Gate`], and gets an [`Access`]: the hub together with a [`Grant`]. Everything that a peer
//! wants goes through that, and every [`Operation`] is held against the grant here and nowhere
//! else. Whatever is kept between two requests, or shared by several readers, has the grant in its
//! key.
//!
//! There is one grant: everything.

use doorbell_protocol::{Draft, Epoch, Error, Filter, Topic};

use crate::hub::{Hub, WireLimits};
use crate::log::Bounds;
use crate::writer::{Health, Pending};

/// What asks, as far as its transport can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Principal {
    /// It has not said.
    Anonymous,
}

/// What a principal may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grant {
    /// Whatever there is to do.
    Everything,
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy)]
pub enum Operation<'a> {
    /// To publish to a topic.
    Publish(&'a Topic),
    /// To read what a filter selects.
    Read(&'a Filter),
    /// To see what the server says of itself: configuration, statistics, metrics.
    Observe,
    /// To see who is connected.
    Watch,
    /// To see the packets of connections.
    Capture,
}

impl Grant {
    /// Whether it is enough.
    ///
    /// # Errors
    ///
    /// What is not allowed.
    pub fn permits(self, operation: Operation<'_>) -> Result<(), Error> {
        match (self, operation) {
            (
                Self::Everything,
                Operation::Publish(_)
                | Operation::Read(_)
                | Operation::Observe
                | Operation::Watch
                | Operation::Capture,
            ) => Ok(()),
        }
    }
}

/// Where accesses are given.
#[derive(Debug, Clone)]
pub struct Gate {
    hub: Hub,
}

impl Gate {
    /// The gate before a hub.
    pub fn new(hub: Hub) -> Self {
        Self { hub }
    }

    /// What a principal has.
    pub fn admit(&self, principal: Principal) -> Access {
        let grant = match principal {
            Principal::Anonymous => Grant::Everything,
        };
        Access { hub: self.hub.clone(), grant }
    }
}

/// The hub as one principal may use it. Clones share it.
#[derive(Debug, Clone)]
pub struct Access {
    hub: Hub,
    grant: Grant,
}

/// A draft that may be published.
#[derive(Debug)]
pub struct Permitted(Draft);

impl Access {
    /// What it is granted.
    pub fn grant(&self) -> Grant {
        self.grant
    }

    /// Whether an operation is allowed.
    ///
    /// # Errors
    ///
    /// What is not allowed.
    pub fn permits(&self, operation: Operation<'_>) -> Result<(), Error> {
        self.grant.permits(operation)
    }

    /// A draft that may be published, if it may.
    ///
    /// # Errors
    ///
    /// That its topic may not be published to.
    pub fn permit(&self, draft: Draft) -> Result<Permitted, Error> {
        self.permits(Operation::Publish(&draft.topic))?;
        Ok(Permitted(draft))
    }

    /// The first half of a publish: once this returns, the drafts have their turn, after those
    /// submitted before them. What it returns is the second half and resolves to the answer to
    /// each, in their order, once it is as durable as the log promises and visible to readers. If
    /// the caller goes away after the drafts were accepted, they are stored all the same.
    pub async fn submit(&self, drafts: Vec<Permitted>) -> Pending {
        self.hub.submit(drafts.into_iter().map(|Permitted(draft)| draft).collect()).await
    }

    /// The hub, for a cursor, if the filter may be read.
    ///
    /// # Errors
    ///
    /// That the filter may not be read.
    pub(crate) fn reading(&self, filter: &Filter) -> Result<&Hub, Error> {
        self.permits(Operation::Read(filter))?;
        Ok(&self.hub)
    }

    /// The hub, for a cursor whose filters were held against the grant when it got them.
    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The newest message ever published for a filter, as far as readers may see it; 0 if none was.
    pub fn newest(&self, filter: &Filter) -> u64 {
        self.hub.newest(filter)
    }

    /// The newest seq that readers may see.
    pub fn visible(&self) -> u64 {
        self.hub.visible()
    }

    /// The epoch of the log.
    pub fn epoch(&self) -> Epoch {
        self.hub.epoch()
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
}
