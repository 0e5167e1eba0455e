//! Counts in both directions.

use serde::Serialize;

/// Counts as the client sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Both {
    pub(crate) r#in: u64,
    pub(crate) out: u64,
}

impl Both {
    pub(crate) fn sum(self) -> u64 {
        self.r#in + self.out
    }
}
