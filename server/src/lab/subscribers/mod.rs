//! Subscribers that the server runs for a page, which itself cannot open such sockets: real sockets
//! that connect to the server's own listeners and speak as any client would.
//!
//! - `tcp`: the line protocol; `udp`: datagrams with cookie, lease and chain

mod tcp;
mod udp;

use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::{Id, Topic};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Seat;
use super::frames::{Said, State, Way};
use crate::clock::unix_micros;

/// How long a subscriber that failed waits before it tries again.
const RETRY: Duration = Duration::from_secs(1);
/// How long the server's answer may take, while subscribing and while saying goodbye.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);

/// One subscriber of one session.
pub(super) struct Subscriber {
    pub(super) way: Way,
    pub(super) seat: Arc<Seat>,
    pub(super) topic: Topic,
    pub(super) voice: mpsc::Sender<Said>,
    pub(super) stop: CancellationToken,
}

/// Why a subscriber failed, in words for the page.
type Failure = String;

impl Subscriber {
    /// Receives until it is stopped, and comes back by itself.
    pub(super) async fn run(self) {
        let mut reached = None;
        loop {
            let received = match self.way {
                Way::Tcp => tcp::receive(&self, &mut reached).await,
                Way::Udp => udp::receive(&self, &mut reached).await,
            };
            // Stopped, and the goodbye is said.
            let Err(why) = received else { break };
            self.tell(State::Down, None, Some(why)).await;
            if self.stop.run_until_cancelled(tokio::time::sleep(RETRY)).await.is_none() {
                break;
            }
        }
        self.tell(State::Off, None, None).await;
    }

    /// A message has been read to its end.
    async fn arrived(&self, id: Id, accepted_us: u64) {
        // Both times are the server's own.
        let after_us = unix_micros().saturating_sub(accepted_us);
        self.say(Said::Arrival { via: self.way, id, after_us }).await;
    }

    async fn up(&self, ends: (std::net::SocketAddr, std::net::SocketAddr)) {
        self.tell(State::Up, Some(ends), None).await;
    }

    async fn tell(
        &self,
        state: State,
        ends: Option<(std::net::SocketAddr, std::net::SocketAddr)>,
        why: Option<Failure>,
    ) {
        let (local, peer) = ends.map(|(local, peer)| (local.to_string(), peer.to_string())).unzip();
        self.say(Said::Subscriber { via: self.way, state, local, peer, why }).await;
    }

    /// Waits until the page has taken what was said before. A session that is gone hears nothing.
    async fn say(&self, said: Said) {
        let _ = self.voice.send(said).await;
    }
}
