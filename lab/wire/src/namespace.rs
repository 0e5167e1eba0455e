//! A network of this process's own, whose loopback interface has the packets of an Ethernet.
//!
//! Plain loopback has packets of up to 64 KiB and leaves the cutting to a card that is not there,
//! so it hides what long messages cost. What is changed here is a network namespace that ends with
//! the process and its children; the machine's own network is not touched.

#![allow(
    clippy::cast_possible_truncation,
    reason = "the system's constants have wider types than its structs"
)]

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use libc::{Ioctl, c_int, c_short};
use socket2::{Domain, Socket, Type};

/// Bytes of the largest IP packet on an Ethernet.
pub const ETHERNET_MTU: u16 = 1500;

/// What to say to a person when [`enter_ethernet`] is not permitted.
pub const MISSING_NAMESPACE: &str = "a network of its own needs root, or a machine that lets \
    everybody make user namespaces (sysctl user.max_user_namespaces above 0, and where they exist \
    kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0)";

const LOOPBACK: &CStr = c"lo";
/// Offloads that make one packet of many, by their commands to a driver: segmentation by the card
/// (`ETHTOOL_STSO`) and by the kernel just before it (`ETHTOOL_SGSO`), and putting received
/// segments together (`ETHTOOL_SGRO`).
const OFFLOADS: [u32; 3] = [0x1f, 0x24, 0x2c];

/// `struct ethtool_value`.
#[repr(C)]
struct Setting {
    command: u32,
    value: u32,
}

/// Moves this process, which must have one thread only, into a new network namespace, in which
/// nothing is but a loopback interface with packets of 1500 bytes at most. Threads and children
/// that it starts from then on are in it as well.
///
/// Without root this takes a new user namespace, in which the user's number stays what it was.
///
/// # Errors
///
/// `PermissionDenied` if the machine does not allow it (see [`MISSING_NAMESPACE`]); `InvalidInput`
/// if the process has more than one thread.
pub fn enter_ethernet() -> io::Result<()> {
    let threads = fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a process of {threads} threads cannot move, only one of a single thread"),
        ));
    }
    enter().and_then(|()| make_ethernet()).map_err(|error| match error.raw_os_error() {
        // What a forbidden namespace looks like differs: a bound of 0, a filter of system calls, a
        // kernel without them, a namespace that may be made but gives no rights.
        Some(
            libc::EPERM | libc::EACCES | libc::ENOSPC | libc::EUSERS | libc::ENOSYS | libc::EINVAL,
        ) => io::Error::new(io::ErrorKind::PermissionDenied, error),
        _ => error,
    })
}

fn enter() -> io::Result<()> {
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
    // SAFETY: neither files nor memory are unshared, and there is no other thread to notice.
    checked(unsafe { libc::unshare(flags) })
}

fn make_ethernet() -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    let mut request = request();
    request.ifr_ifru.ifru_mtu = c_int::from(ETHERNET_MTU);
    ask(&socket, libc::SIOCSIFMTU as Ioctl, &mut request)?;
    for command in OFFLOADS {
        let mut setting = Setting { command, value: 0 };
        request.ifr_ifru.ifru_data = (&raw mut setting).cast();
        ask(&socket, libc::SIOCETHTOOL as Ioctl, &mut request)?;
    }
    request.ifr_ifru.ifru_flags =
        (libc::IFF_UP | libc::IFF_RUNNING | libc::IFF_LOOPBACK) as c_short;
    ask(&socket, libc::SIOCSIFFLAGS as Ioctl, &mut request)
}

/// A request about the loopback interface, with nothing asked yet.
fn request() -> libc::ifreq {
    // SAFETY: zeros are valid in every member: a name of no length, numbers, a null pointer.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(LOOPBACK.to_bytes()) {
        *to = (*from).cast_signed() as libc::c_char;
    }
    request
}

fn ask(socket: impl AsFd, number: Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: each of the three requests reads an `ifreq`, and the member of its union that the
    // callers have set; a pointer in it is to a `Setting` that outlives the call.
    checked(unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), number, ptr::from_mut(request)) })
}

fn checked(outcome: c_int) -> io::Result<()> {
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_several_threads_stays_where_it_is() {
        let before = fs::read_link("/proc/self/ns/net").unwrap();
        let error = std::thread::spawn(enter_ethernet).join().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        assert_eq!(fs::read_link("/proc/self/ns/net").unwrap(), before);
    }
}
