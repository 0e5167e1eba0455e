//! A network interface whose cable is in the hands of a program: a TUN device, which gives out the
//! IP packets that its network sends and takes those that are to arrive there.

#![allow(
    clippy::cast_possible_truncation,
    reason = "the system's constants have wider types than its structs"
)]

use std::ffi::CStr;
use std::fs::{File, OpenOptions, read_to_string, write};
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr;

use libc::{Ioctl, c_int, c_short};
use socket2::{Domain, Socket, Type};

use crate::namespace::checked;

/// Bytes of the largest IP packet on an Ethernet, and of one on such a device.
pub const ETHERNET_MTU: u16 = 1500;

/// What it is called in its network.
pub(crate) const NAME: &CStr = c"link";
/// Where such devices are made.
pub(crate) const DEVICES: &str = "/dev/net/tun";
/// Packets that wait to be taken; what comes then the kernel drops, and [counts](Device::dropped).
/// In a user's own namespace it leaves it at 500.
const WAITING_MAX: c_int = 10_000;

/// A device. Reading and writing do not wait.
#[derive(Debug)]
pub struct Device(File);

impl Device {
    /// Makes the only interface of the network that this thread is in, from one address to another.
    ///
    /// They are addresses of loopback, which otherwise never leave a machine, so that a server
    /// treats whoever comes from there as what it is: somebody on the same machine.
    pub(crate) fn make(own: Ipv4Addr, other: Ipv4Addr) -> io::Result<Self> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(DEVICES)?;
        let mut named = request();
        named.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as c_short;
        ask(&device, libc::TUNSETIFF, &mut named)?;

        let name = NAME.to_string_lossy();
        write(format!("/proc/sys/net/ipv4/conf/{name}/route_localnet"), "1")?;
        // What TCP learns of the way to a host it keeps for the next connection; here each is to
        // begin as to a host of its own.
        write("/proc/sys/net/ipv4/tcp_no_metrics_save", "1")?;
        // Nobody asked for routers and neighbours. A kernel may be without IPv6.
        let ipv6 = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
        if Path::new(&ipv6).exists() {
            write(ipv6, "1")?;
        }

        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        let mut setting = request();
        setting.ifr_ifru.ifru_mtu = c_int::from(ETHERNET_MTU);
        ask(&socket, libc::SIOCSIFMTU as Ioctl, &mut setting)?;
        // All numbers of the union are at one place, and this one has no name in the crate.
        setting.ifr_ifru.ifru_mtu = WAITING_MAX;
        match ask(&socket, libc::SIOCSIFTXQLEN as Ioctl, &mut setting) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            outcome => outcome?,
        }
        setting.ifr_ifru.ifru_addr = address(own);
        ask(&socket, libc::SIOCSIFADDR as Ioctl, &mut setting)?;
        setting.ifr_ifru.ifru_addr = address(other);
        ask(&socket, libc::SIOCSIFDSTADDR as Ioctl, &mut setting)?;
        setting.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as c_short;
        ask(&socket, libc::SIOCSIFFLAGS as Ioctl, &mut setting)?;
        Ok(Self(device))
    }

    /// How many packets the kernel has dropped because nobody took them, at the end of the link
    /// that this thread's network has.
    ///
    /// # Errors
    ///
    /// What reading the kernel's counts says; `NotFound` where there is no such end.
    pub fn dropped() -> io::Result<u64> {
        let counts = read_to_string("/proc/thread-self/net/dev")?;
        let name = NAME.to_string_lossy();
        let of_it = counts.lines().find_map(|line| line.trim_start().strip_prefix(&*name));
        let of_it = of_it.and_then(|line| line.strip_prefix(':'));
        // Eight columns are of what came, then follow bytes, packets, errors and drops of what
        // went.
        let dropped = of_it.and_then(|line| line.split_whitespace().nth(11)?.parse().ok());
        dropped.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Takes the next packet that the network sends, from its IP header on. What is longer than the
    /// buffer is cut off.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none.
    pub fn take(&self, packet: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(packet)
    }

    /// Lets a packet arrive.
    ///
    /// # Errors
    ///
    /// What the kernel says of a packet that it does not want.
    pub fn give(&self, packet: &[u8]) -> io::Result<()> {
        (&self.0).write(packet).map(drop)
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A request about the device, with nothing asked yet.
fn request() -> libc::ifreq {
    // SAFETY: zeros are valid in every member: a name of no length, numbers, a null pointer.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(NAME.to_bytes()) {
        *to = (*from).cast_signed() as libc::c_char;
    }
    request
}

/// An address as the kernel has it: two bytes of a port, then the address.
fn address(address: Ipv4Addr) -> libc::sockaddr {
    let mut data = [0; 14];
    for (to, from) in data[2..].iter_mut().zip(address.octets()) {
        *to = from.cast_signed() as libc::c_char;
    }
    libc::sockaddr { sa_family: libc::AF_INET as libc::sa_family_t, sa_data: data }
}

fn ask(to: impl AsFd, number: Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: each of the requests reads an `ifreq`, and the member of its union that the callers
    // have set, in which there is no pointer.
    checked(unsafe { libc::ioctl(to.as_fd().as_raw_fd(), number, ptr::from_mut(request)) })
}
