//! Whether a link is dark: then nothing passes it.

use tokio::sync::watch;

/// A switch that all connections of a relay see.
#[derive(Debug, Clone)]
pub(crate) struct Darkness(watch::Sender<bool>);

impl Darkness {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn set(&self, is_dark: bool) {
        self.0.send_replace(is_dark);
    }

    pub(crate) fn is_on(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is light.
    pub(crate) async fn over(&self) {
        // The sender lives as long as this does.
        let _ = self.0.subscribe().wait_for(|is_dark| !is_dark).await;
    }
}
