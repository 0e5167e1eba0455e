//! What is left that filling in a template may cost.

use crate::Error;
use crate::limits::{STEP_BYTES, STEPS_MAX};

/// Steps that are left. They bound time and memory: what makes text or lists pays for them.
#[derive(Debug)]
pub(crate) struct Work {
    left: u64,
}

impl Work {
    pub(crate) fn new() -> Self {
        Self { left: STEPS_MAX }
    }

    /// Does so many steps.
    pub(crate) fn steps(&mut self, steps: usize) -> Result<(), Error> {
        self.left = self.left.checked_sub(steps as u64).ok_or(Error::Exhausted)?;
        Ok(())
    }

    /// Reads or makes so many bytes.
    pub(crate) fn bytes(&mut self, bytes: usize) -> Result<(), Error> {
        self.steps(bytes / STEP_BYTES)
    }
}
