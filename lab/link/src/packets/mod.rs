//! A link that carries packets: between the two ends of a network of one's own, so that all of the
//! kernel's TCP sees it.
//!
//! - `packet`: what a packet says of itself; `flow`: what was sent on each connection
//! - `carrier`: the one thread that carries them

mod carrier;
mod flow;
mod packet;

use std::io::{self, PipeWriter};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, JoinHandle};

use doorbell_wire::Device;

use self::carrier::Carrier;
pub use self::flow::{Flow, Flows, Mishaps};
use crate::properties::Link;

/// What a link lets pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passing {
    /// What its properties say.
    AsSet,
    /// Nothing: all packets are lost that are sent meanwhile, and when something is sent again is
    /// TCP's own affair.
    Nothing,
    /// Everything and at once, as if it were not there.
    AtOnce,
}

/// The state of a link that its thread looks at with each packet.
#[derive(Debug)]
struct Switch(AtomicU8);

impl Switch {
    fn set(&self, passing: Passing) {
        self.0.store(passing as u8, Ordering::Relaxed);
    }

    fn get(&self) -> Passing {
        let all = [Passing::Nothing, Passing::AtOnce];
        let now = self.0.load(Ordering::Relaxed);
        all.into_iter().find(|passing| *passing as u8 == now).unwrap_or(Passing::AsSet)
    }
}

/// A running link between two devices. Dropped, it ends.
///
/// Each connection has a line of its own in each direction, as if every client sat behind one: what
/// is lost and how packets wait is drawn for it alone, from the seed and the order in which
/// connections came about. What is lost by chance or for want of room, the kernel at its end has
/// sent all the same, and it is counted as sent.
#[derive(Debug)]
pub struct PacketLink {
    flows: Flows,
    switch: Arc<Switch>,
    /// Closed, it ends the thread.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl PacketLink {
    /// Carries packets from now on.
    ///
    /// # Errors
    ///
    /// If there is no thread or no descriptor left.
    pub fn start(link: Link, client: Device, server: Device, seed: u64) -> io::Result<Self> {
        let flows = Flows::new(link, seed);
        let switch = Arc::new(Switch(AtomicU8::new(Passing::AsSet as u8)));
        let (stopped, stop) = io::pipe()?;
        let carrier = Carrier::new(client, server, flows.clone(), Arc::clone(&switch), stopped);
        let thread = thread::Builder::new().name("link".to_owned()).spawn(|| carrier.run())?;
        Ok(Self { flows, switch, stop: Some(stop), thread: Some(thread) })
    }

    /// What is sent over it.
    pub fn flows(&self) -> &Flows {
        &self.flows
    }

    /// Says what passes from now on.
    pub fn let_pass(&self, passing: Passing) {
        self.switch.set(passing);
    }
}

impl Drop for PacketLink {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}
