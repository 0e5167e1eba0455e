//! What may serve the other ends of the streams.

use crate::peer::Named;

/// What serves the other ends of the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// One loop that copies the bytes of each message into each stream.
    Copy,
    /// A task for each stream, all of them woken by one channel, which copies the bytes.
    Tasks,
    /// doorbell's sessions of the line protocol.
    Sessions,
}

impl By {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Copy, Self::Tasks, Self::Sessions];

    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|by| by.name() == name);
        named.ok_or_else(|| format!("nobody is called {name}"))
    }
}

impl Named for By {
    fn name(self) -> &'static str {
        match self {
            Self::Copy => "floor-copy",
            Self::Tasks => "floor-tasks",
            Self::Sessions => "doorbell",
        }
    }
}
