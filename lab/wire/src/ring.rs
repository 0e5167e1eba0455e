//! A ring of memory into which the kernel copies packets: `AF_PACKET` with `TPACKET_V3`.
//!
//! The kernel fills one block after the other and hands each over by a bit in its head; it is given
//! back by clearing the bit. All that is unsafe about a capture is here. What comes out are copies
//! of frames with the kernel's times.

#![allow(
    clippy::cast_possible_truncation,
    reason = "the system's constants and sizes have wider types than its structs"
)]

use std::ffi::CString;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use libc::{c_int, c_void};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, SockFilter, Socket, Type};

const BLOCK_BYTES: usize = 256 << 10;
const BLOCKS: usize = 32;
const FRAME_BYTES: u32 = 2048;
/// A block that is not full is handed over after so many milliseconds.
const BLOCK_AGE_MS: u32 = 5;
/// Before each frame: what the kernel says about offloaded work (`struct virtio_net_hdr`), with the
/// payload bytes of each real segment at 4.
const OFFLOAD_BYTES: usize = 10;
const OFFLOAD_SIZE_AT: usize = 4;
/// `struct tpacket_block_desc`: its status, the number of packets, where the first one is.
const BLOCK_STATUS_AT: usize = 8;
const BLOCK_PACKETS_AT: usize = 12;
const BLOCK_FIRST_AT: usize = 16;

/// A captured frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Since the beginning of 1970, by the kernel's clock.
    pub(crate) time: Duration,
    /// From its first header on: of Ethernet, or of IP where there is none.
    pub(crate) bytes: Vec<u8>,
    /// If one frame stands for many segments, payload bytes of each; else 0.
    pub(crate) segment_bytes: u16,
}

/// The ring and its socket.
#[derive(Debug)]
pub(crate) struct Ring {
    socket: Socket,
    memory: NonNull<u8>,
    /// The block to be handed over next.
    block: usize,
}

// SAFETY: the mapping belongs to this value alone, and `&Ring` only gives the descriptor out.
unsafe impl Send for Ring {}
// SAFETY: as above.
unsafe impl Sync for Ring {}

impl Ring {
    /// Captures what an interface receives, or receives and sends, and the filter accepts. On
    /// loopback all that is sent is received.
    pub(crate) fn open(
        interface: &str,
        with_sent: bool,
        filter: &[SockFilter],
    ) -> io::Result<Self> {
        let index = interface_index(interface)?;
        // Without a protocol nothing comes before the filter is there.
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        socket.attach_filter(filter)?;
        set(&socket, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as c_int))?;
        set(&socket, libc::PACKET_IGNORE_OUTGOING, &c_int::from(!with_sent))?;
        set::<c_int>(&socket, libc::PACKET_VNET_HDR, &1)?;
        let frames = BLOCK_BYTES * BLOCKS / FRAME_BYTES as usize;
        let request = libc::tpacket_req3 {
            tp_block_size: BLOCK_BYTES as u32,
            tp_block_nr: BLOCKS as u32,
            tp_frame_size: FRAME_BYTES,
            tp_frame_nr: u32::try_from(frames).unwrap_or(u32::MAX),
            tp_retire_blk_tov: BLOCK_AGE_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set(&socket, libc::PACKET_RX_RING, &request)?;
        socket.set_nonblocking(true)?;
        let memory = map(&socket)?;
        let ring = Self { socket, memory, block: 0 };
        ring.socket.bind(&link_address(index))?;
        Ok(ring)
    }

    /// Takes the frames of the blocks that the kernel has handed over, and returns the blocks.
    pub(crate) fn take(&mut self, mut frame: impl FnMut(Frame)) {
        // A kernel that is faster than this loop must not keep it for ever.
        for _ in 0..BLOCKS {
            // SAFETY: the status is inside the mapping and aligned; the kernel writes it, hence
            // the atomic.
            let status = unsafe { AtomicU32::from_ptr(self.at(BLOCK_STATUS_AT).as_ptr().cast()) };
            if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
                return;
            }
            // SAFETY: the bit says that the kernel leaves this block alone until it is cleared, and
            // the slice is gone by then.
            let block = unsafe { std::slice::from_raw_parts(self.at(0).as_ptr(), BLOCK_BYTES) };
            frames(block, &mut frame);
            status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.block = (self.block + 1) % BLOCKS;
        }
    }

    /// How many packets the kernel had no room for since the last call.
    pub(crate) fn dropped(&self) -> io::Result<u64> {
        let mut statistics =
            libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        let mut length = size_of::<libc::tpacket_stats_v3>() as libc::socklen_t;
        // SAFETY: `statistics` is writable for `length` bytes and any bytes are valid in it.
        let outcome = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &raw mut length,
            )
        };
        if outcome != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(statistics.tp_drops.into())
    }

    /// A place in the present block.
    fn at(&self, offset: usize) -> NonNull<u8> {
        // SAFETY: block is below BLOCKS and the offset below BLOCK_BYTES, so it is in the mapping.
        unsafe { self.memory.add(self.block * BLOCK_BYTES + offset) }
    }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nothing borrows from it any more.
        let _ = unsafe { libc::munmap(self.memory.as_ptr().cast(), BLOCK_BYTES * BLOCKS) };
    }
}

/// Copies the frames out of a block. What does not fit in it is not there.
fn frames(block: &[u8], frame: &mut impl FnMut(Frame)) {
    let packets = number(block, BLOCK_PACKETS_AT).unwrap_or_default();
    let mut at = number(block, BLOCK_FIRST_AT).unwrap_or_default() as usize;
    for _ in 0..packets {
        let Some((next, found)) = packet(block, at) else {
            return;
        };
        frame(found);
        at += next;
    }
}

/// A packet whose `struct tpacket3_hdr` is at a place in its block, and how far it is to the next.
fn packet(block: &[u8], at: usize) -> Option<(usize, Frame)> {
    let head = block.get(at..)?;
    let (next, seconds, nanoseconds) = (number(head, 0)?, number(head, 4)?, number(head, 8)?);
    let length = number(head, 12)? as usize;
    let begin = usize::from(short(head, 24)?);
    let bytes = head.get(begin..begin + length)?.to_vec();
    let offload = begin.checked_sub(OFFLOAD_BYTES)?;
    let segment_bytes = short(head, offload + OFFLOAD_SIZE_AT)?;
    let time = Duration::new(seconds.into(), 0) + Duration::from_nanos(nanoseconds.into());
    Some((next as usize, Frame { time, bytes, segment_bytes }))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn interface_index(name: &str) -> io::Result<u32> {
    let text = CString::new(name)?;
    // SAFETY: `text` is a string that ends with a zero byte.
    match unsafe { libc::if_nametoindex(text.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

fn set<T>(socket: &Socket, option: c_int, value: &T) -> io::Result<()> {
    // SAFETY: `value` is readable for its size, and the option's type is up to the callers, who
    // pass what packet(7) says; a wrong size is refused by the kernel.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn map(socket: &Socket) -> io::Result<NonNull<u8>> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at a place of the kernel's choice.
    let memory: *mut c_void = unsafe {
        libc::mmap(
            ptr::null_mut(),
            BLOCK_BYTES * BLOCKS,
            access,
            libc::MAP_SHARED,
            socket.as_raw_fd(),
            0,
        )
    };
    if memory == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(memory.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

/// All protocols on one interface.
fn link_address(interface: u32) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is one of the system's socket addresses.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = c_int::try_from(interface).unwrap_or_default();
    // SAFETY: the storage holds such an address of this length.
    unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as libc::socklen_t) }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_layout_is_the_one_that_the_c_library_knows() {
        let head = offset_of!(libc::tpacket_block_desc, hdr);
        let status = head + offset_of!(libc::tpacket_hdr_v1, block_status);
        let packets = head + offset_of!(libc::tpacket_hdr_v1, num_pkts);
        let first = head + offset_of!(libc::tpacket_hdr_v1, offset_to_first_pkt);
        assert_eq!((status, packets, first), (BLOCK_STATUS_AT, BLOCK_PACKETS_AT, BLOCK_FIRST_AT));
        assert_eq!(offset_of!(libc::tpacket3_hdr, tp_next_offset), 0);
        assert_eq!(offset_of!(libc::tpacket3_hdr, tp_sec), 4);
        assert_eq!(offset_of!(libc::tpacket3_hdr, tp_nsec), 8);
        assert_eq!(offset_of!(libc::tpacket3_hdr, tp_snaplen), 12);
        assert_eq!(offset_of!(libc::tpacket3_hdr, tp_mac), 24);
    }

    proptest! {
        #[test]
        fn any_block_can_be_walked(block in proptest::collection::vec(any::<u8>(), 0..400)) {
            frames(&block, &mut |_| {});
        }

        #[test]
        fn a_block_of_zeros_and_small_numbers_can_be_walked(
            block in proptest::collection::vec(prop_oneof![Just(0_u8), 0..64_u8], 0..400),
        ) {
            frames(&block, &mut |_| {});
        }
    }
}
