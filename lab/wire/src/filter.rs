//! The filter that the kernel applies before it copies a packet: TCP from or to some ports.
//!
//! Classic BPF, assembled here because a few ports are all that is asked. Frames have an Ethernet
//! header, or none on a link of one's own; IPv6 packets with extension headers and later fragments
//! are passed over.

#![allow(
    clippy::cast_possible_truncation,
    reason = "the system's constants have wider types than its instructions"
)]

use std::collections::HashMap;
use std::io;

use socket2::SockFilter;

/// More ports than a trace can need; jumps reach 255 instructions.
const PORTS_MAX: usize = 16;

const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const LOAD_HALF: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
const LOAD_HALF_BEHIND: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_IND) as u16;
const LOAD_HEADER_LENGTH: u16 = (libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

const ETHERNET_BYTES: u32 = 14;
const TYPE_AT: u32 = 12;
const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
const TCP: u32 = 6;
/// Where the kernel says which way a packet goes, and the word for out.
const DIRECTION_AT: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned();
const OUT: u32 = libc::PACKET_OUTGOING as u32;
/// All of a packet, however large.
const WHOLE: u32 = 0x4_0000;

/// Where a jump goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Label {
    Next,
    Ipv6,
    Accept,
    Drop,
}

struct Step {
    code: u16,
    value: u32,
    /// If the test of a jump holds, and if it does not.
    jumps: (Label, Label),
}

/// A filter for TCP packets from or to any of the ports.
///
/// # Errors
///
/// `InvalidInput` with no port or more than 16.
pub(crate) fn tcp_ports(ports: &[u16]) -> io::Result<Vec<SockFilter>> {
    check(ports)?;
    let mut program = Program::default();
    program.load(LOAD_HALF, TYPE_AT);
    program.jump(EQUAL, IPV4, (Label::Next, Label::Ipv6));
    program.ipv4(ETHERNET_BYTES, ports);
    program.label(Label::Ipv6);
    program.load(LOAD_HALF, TYPE_AT);
    program.jump(EQUAL, IPV6, (Label::Next, Label::Drop));
    program.load(LOAD_BYTE, ETHERNET_BYTES + 6);
    program.jump(EQUAL, TCP, (Label::Next, Label::Drop));
    program.either_port(LOAD_HALF, ETHERNET_BYTES + 40, ports);
    Ok(program.assemble())
}

/// The same for what is sent on a link of one's own, which has IPv4 alone and no other header.
///
/// # Errors
///
/// As of [`tcp_ports`].
pub(crate) fn tcp_ports_sent(ports: &[u16]) -> io::Result<Vec<SockFilter>> {
    check(ports)?;
    let mut program = Program::default();
    program.load(LOAD_WORD, DIRECTION_AT);
    program.jump(EQUAL, OUT, (Label::Next, Label::Drop));
    program.ipv4(0, ports);
    Ok(program.assemble())
}

fn check(ports: &[u16]) -> io::Result<()> {
    if ports.is_empty() || ports.len() > PORTS_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} ports to capture, 1 to {PORTS_MAX} are possible", ports.len()),
        ));
    }
    Ok(())
}

#[derive(Default)]
struct Program {
    steps: Vec<Step>,
    labels: HashMap<Label, usize>,
}

impl Program {
    fn load(&mut self, code: u16, value: u32) {
        self.jump(code, value, (Label::Next, Label::Next));
    }

    fn jump(&mut self, code: u16, value: u32, jumps: (Label, Label)) {
        self.steps.push(Step { code, value, jumps });
    }

    /// The header of IPv4 begins at `at`: what it carries decides.
    fn ipv4(&mut self, at: u32, ports: &[u16]) {
        self.load(LOAD_BYTE, at + 9);
        self.jump(EQUAL, TCP, (Label::Next, Label::Drop));
        self.load(LOAD_HALF, at + 6);
        self.jump(ANY_BIT, 0x1fff, (Label::Drop, Label::Next));
        self.load(LOAD_HEADER_LENGTH, at);
        self.either_port(LOAD_HALF_BEHIND, at, ports);
    }

    /// The TCP header begins at `at`: its ports decide.
    fn either_port(&mut self, load: u16, at: u32, ports: &[u16]) {
        for place in [at, at + 2] {
            self.load(load, place);
            for (index, port) in ports.iter().enumerate() {
                let is_last = place != at && index + 1 == ports.len();
                let otherwise = if is_last { Label::Drop } else { Label::Next };
                self.jump(EQUAL, u32::from(*port), (Label::Accept, otherwise));
            }
        }
    }

    fn label(&mut self, label: Label) {
        self.labels.insert(label, self.steps.len());
    }

    fn assemble(mut self) -> Vec<SockFilter> {
        self.label(Label::Drop);
        self.load(RETURN, 0);
        self.label(Label::Accept);
        self.load(RETURN, WHOLE);
        let distance = |from: usize, label: Label| {
            // A label stands behind every jump to it, and the longest program is 80 steps.
            let to = self.labels.get(&label).map_or(0, |to| to - from - 1);
            u8::try_from(to).unwrap_or(u8::MAX)
        };
        let step = |(from, step): (usize, &Step)| {
            let (holds, fails) = step.jumps;
            SockFilter::new(step.code, distance(from, holds), distance(from, fails), step.value)
        };
        self.steps.iter().enumerate().map(step).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use etherparse::PacketBuilder;
    use socket2::SockRef;

    use super::*;

    /// Whether the kernel lets a frame through. A datagram between two Unix sockets will do.
    fn passes(filter: &[SockFilter], frame: &[u8]) -> bool {
        let (near, far) = UnixDatagram::pair().unwrap();
        SockRef::from(&far).attach_filter(filter).unwrap();
        far.set_nonblocking(true).unwrap();
        let _ = near.send(frame);
        far.recv(&mut vec![0; 2048]).is_ok()
    }

    fn frame(from: u16, to: u16, is_v6: bool, is_udp: bool) -> Vec<u8> {
        let ethernet = PacketBuilder::ethernet2([0; 6], [0; 6]);
        let ip = if is_v6 {
            ethernet.ipv6([1; 16], [2; 16], 64)
        } else {
            ethernet.ipv4([127, 0, 0, 1], [127, 0, 0, 1], 64)
        };
        let mut bytes = Vec::new();
        if is_udp {
            ip.udp(from, to).write(&mut bytes, b"hi").unwrap();
        } else {
            ip.tcp(from, to, 1, 1024).write(&mut bytes, b"hi").unwrap();
        }
        bytes
    }

    #[test]
    fn tcp_of_the_ports_passes_and_nothing_else() {
        for ports in [&[80_u16][..], &[443, 80], &(65..=80).collect::<Vec<_>>()] {
            let filter = tcp_ports(ports).unwrap();
            for is_v6 in [false, true] {
                assert!(passes(&filter, &frame(80, 5000, is_v6, false)));
                assert!(passes(&filter, &frame(5000, 80, is_v6, false)));
                assert!(!passes(&filter, &frame(5000, 5001, is_v6, false)));
                assert!(!passes(&filter, &frame(80, 80, is_v6, true)));
            }
            // An ARP frame, and one that is cut short.
            assert!(!passes(&filter, &[[0; 12].as_slice(), &[8, 6], &[80; 60]].concat()));
            assert!(!passes(&filter, &frame(80, 80, false, false)[..30]));
        }
    }

    #[test]
    fn later_fragments_have_no_ports() {
        let filter = tcp_ports(&[80]).unwrap();
        let mut fragment = frame(80, 80, false, false);
        fragment[14 + 7] = 9;
        assert!(!passes(&filter, &fragment));
    }

    #[test]
    fn the_number_of_ports_is_bounded() {
        assert!(tcp_ports(&[]).is_err());
        assert!(tcp_ports(&[1; PORTS_MAX + 1]).is_err());
    }
}
