//! A client's network and a server's, with nothing between the two but what a program carries.
//!
//! Plain loopback has packets of up to 64 KiB and leaves the cutting to a card that is not there,
//! so it hides what long messages cost, and it loses nothing and takes no time. Here every packet
//! is one of at most [`ETHERNET_MTU`](crate::ETHERNET_MTU) bytes that somebody has to carry over.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::Ipv4Addr;

use crate::device::{DEVICES, Device};
use crate::namespace::{Namespace, checked, enter};

/// What to say to a person when [`SplitNetwork::enter`] is not permitted.
pub const MISSING_NAMESPACE: &str = "a network of its own needs root, or a machine that lets \
    everybody make user namespaces (sysctl user.max_user_namespaces above 0, and where they exist \
    kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0), and \
    /dev/net/tun (kernel module tun; in a container --cap-add NET_ADMIN, SYS_ADMIN and --device \
    /dev/net/tun)";

/// The two networks.
#[derive(Debug)]
pub struct SplitNetwork {
    /// The end of the client's side, which this process is in.
    pub client: Device,
    /// The end of the server's side.
    pub server: Device,
    /// The server's network.
    pub beyond: Namespace,
}

impl SplitNetwork {
    /// Where clients are.
    pub const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);
    /// Where servers are to listen.
    pub const SERVER: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 2);

    /// Moves this process, which must have one thread only, into a new network in which it is the
    /// client. Threads and children that it starts from then on are in it as well; servers are
    /// started [beyond](Namespace::run). Neither has an interface but its end of the link, so that
    /// this process cannot reach itself.
    ///
    /// It is tried in a child first: a process that may not have this stays where it was.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` if the machine does not allow it or has no such devices (see
    /// [`MISSING_NAMESPACE`]); `InvalidInput` if the process has more than one thread.
    pub fn enter() -> io::Result<Self> {
        let threads = fs::read_dir("/proc/self/task")?.count();
        if threads != 1 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a process of {threads} threads cannot move, only one of a single thread"),
            ));
        }
        try_in_a_child(|| Self::make().map(drop)).and_then(|()| Self::make()).map_err(|error| {
            match error.raw_os_error() {
                // What is forbidden looks different each time: a bound of 0, a filter of system
                // calls, a kernel without it, a namespace that may be made but gives no rights,
                // settings that nobody may write, no device.
                Some(
                    libc::EPERM
                    | libc::EACCES
                    | libc::ENOSPC
                    | libc::EUSERS
                    | libc::ENOSYS
                    | libc::EINVAL
                    | libc::EROFS
                    | libc::ENOENT
                    | libc::ENODEV
                    | libc::ENXIO,
                ) => io::Error::new(io::ErrorKind::PermissionDenied, error),
                _ => error,
            }
        })
    }

    fn make() -> io::Result<Self> {
        // Asked before anything is changed.
        OpenOptions::new().read(true).write(true).open(DEVICES)?;
        enter()?;
        let client = Device::make(Self::CLIENT, Self::SERVER)?;
        let beyond = Namespace::make()?;
        let server = beyond.run(|| Device::make(Self::SERVER, Self::CLIENT))??;
        Ok(Self { client, server, beyond })
    }
}

/// Does something in a child of this process, which has one thread, and says how it went.
fn try_in_a_child(work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    // SAFETY: with a single thread the child is a whole copy, in which no lock is held by another.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return Err(io::Error::last_os_error());
    }
    if child == 0 {
        let code = match work() {
            Ok(()) => 0,
            Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
        };
        // SAFETY: ends the child there and then, so that nothing of the parent's is done twice.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: `status` is writable, and the child is ours.
    while unsafe { libc::waitpid(child, &raw mut status, 0) } < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    match libc::WEXITSTATUS(status) {
        _ if !libc::WIFEXITED(status) => checked(-1),
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_several_threads_stays_where_it_is() {
        let before = fs::read_link("/proc/self/ns/net").unwrap();
        let error = std::thread::spawn(SplitNetwork::enter).join().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        assert_eq!(fs::read_link("/proc/self/ns/net").unwrap(), before);
    }
}
