//! Network namespaces of this process's own. The machine's own network is not touched, and they end
//! with the process and its children.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use libc::c_int;

/// The network of the thread that opens it.
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace, for as long as a copy of this is there or something is in it.
#[derive(Debug, Clone)]
pub struct Namespace(Arc<OwnedFd>);

impl Namespace {
    /// A new one, which its maker stays out of.
    pub(crate) fn make() -> io::Result<Self> {
        on_a_thread(|| {
            unshare(libc::CLONE_NEWNET)?;
            Ok(Self(Arc::new(File::open(OWN)?.into())))
        })
    }

    /// Does something in it: sockets that are opened and children that are started meanwhile are of
    /// this network, and stay so.
    ///
    /// # Errors
    ///
    /// What the system says if it cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        on_a_thread(|| {
            // SAFETY: a system call on numbers; the descriptor is owned, so it is open.
            checked(unsafe { libc::setns(self.0.as_raw_fd(), libc::CLONE_NEWNET) })?;
            Ok(work())
        })
    }
}

/// Networks are a thread's own, so a thread that ends afterwards need not find its way back.
fn on_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| scope.spawn(work).join().unwrap_or_else(|panic| resume_unwind(panic)))
}

/// Moves this process, which must have one thread only, into a new network namespace in which
/// nothing is. Threads and children that it starts from then on are in it as well.
///
/// Without root this takes a new user namespace, in which the user's number stays what it was.
pub(crate) fn enter() -> io::Result<()> {
    match unshare(libc::CLONE_NEWNET) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {}
        outcome => return outcome,
    }
    // SAFETY: neither can fail nor touches memory.
    let user = unsafe { libc::geteuid() };
    // SAFETY: as above.
    let group = unsafe { libc::getegid() };
    unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)?;
    // Groups may be mapped only by a process that cannot drop one which forbids something.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}

fn unshare(flags: c_int) -> io::Result<()> {
    // SAFETY: neither files nor memory are unshared.
    checked(unsafe { libc::unshare(flags) })
}

/// The outcome of a system call.
pub(crate) fn checked(outcome: c_int) -> io::Result<()> {
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
