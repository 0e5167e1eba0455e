//! Mosquitto: MQTT 3.1.1 at its lowest quality of service, which is what it is fastest at. Queues
//! are unbounded, so that it throws nothing away where it need not.

use std::ops::Range;
use std::process::Command;
use std::rc::Rc;

use super::running::Running;
use crate::failure::{Failure, Result};
use crate::generator::dialect::{Dialect, Effects, Heard, State, Target, topic_name};
use crate::launch::{Program, find, folder, free_address, write};

/// Debian's packages.
pub(super) const PACKAGES: &str = "mosquitto";

/// Starts it.
pub(super) fn start() -> Result<Running> {
    let folder = folder()?;
    let address = free_address()?;
    let configuration = write(
        &folder,
        "mosquitto.conf",
        &format!(
            "listener {} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest none\n\
             set_tcp_nodelay true\nmax_queued_messages 0\nmax_inflight_messages 0\n\
             max_connections -1\nuser root\n",
            address.port()
        ),
    )?;
    let program = find("mosquitto").ok_or_else(|| Failure("mosquitto is gone".into()))?;
    let command = &mut Command::new(program);
    let program = Program::listening(folder, command.arg("-c").arg(configuration), address)?;
    let dialect = Rc::new(Mqtt);
    Ok(Running::at(address, program, dialect.clone(), dialect))
}

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;

/// MQTT 3.1.1: <https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/mqtt-v3.1.1.html>.
struct Mqtt;

impl Dialect for Mqtt {
    fn subscribe(&self, topics: Range<usize>, _state: &mut State, out: &mut Vec<u8>) -> u32 {
        self.introduce(0, out);
        // Packet 1, each topic at quality of service 0.
        let mut body = vec![0, 1];
        for topic in topics {
            string(topic_name(topic).as_bytes(), &mut body);
            body.push(0);
        }
        packet(SUBSCRIBE, &[&body], out);
        1
    }

    fn introduce(&self, _publisher: usize, out: &mut Vec<u8>) {
        // Level 4, clean session, no keepalive, a client without a name.
        packet(CONNECT, &[b"\x00\x04MQTT\x04\x02\x00\x00\x00\x00"], out);
    }

    fn publish(&self, to: Target, payload: &[u8], out: &mut Vec<u8>) {
        let name = topic_name(to.topic);
        packet(PUBLISH, &[&[0, name.len() as u8], name.as_bytes(), payload], out);
    }

    fn hear(&self, _state: &mut State, bytes: &[u8], effects: &mut Effects<'_>) -> Result<usize> {
        let mut used = 0;
        while let Some((kind, head, length)) = packet_head(&bytes[used..])? {
            let Some(body) = bytes.get(used + head..used + head + length) else { break };
            match (kind & 0xf0, body) {
                (PUBLISH, [high, low, rest @ ..]) => {
                    let topic = usize::from(u16::from_be_bytes([*high, *low]));
                    effects.heard(Heard::Message(rest.get(topic..).unwrap_or_default()));
                }
                (SUBACK, _) => effects.heard(Heard::Ready),
                (CONNACK, [_, 0]) => {}
                (CONNACK, _) => effects.heard(Heard::Refused(b"the connection")),
                _ => return Err(Failure(format!("mosquitto sends a packet of kind {kind:#x}"))),
            }
            used += head + length;
        }
        Ok(used)
    }
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text);
}

fn packet(kind: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    out.push(kind);
    let mut left: usize = parts.iter().map(|part| part.len()).sum();
    loop {
        let more = if left > 127 { 0x80 } else { 0 };
        out.push((left & 127) as u8 | more);
        left >>= 7;
        if left == 0 {
            break;
        }
    }
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// First byte, bytes of the head, bytes of the body.
fn packet_head(bytes: &[u8]) -> Result<Option<(u8, usize, usize)>> {
    let Some(kind) = bytes.first() else { return Ok(None) };
    let mut length = 0;
    for place in 0..4 {
        let Some(byte) = bytes.get(1 + place) else { return Ok(None) };
        length |= usize::from(byte & 127) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(Some((*kind, 2 + place, length)));
        }
    }
    Err(Failure("mosquitto sends a length without an end".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_every_length_are_taken_wherever_they_are_cut() {
        let texts = [vec![b'a'; 32], vec![b'b'; 200], vec![b'c'; 20_000]];
        let to = Target { publisher: 0, topic: 7 };
        let mut stream = Vec::new();
        packet(CONNACK, &[&[0, 0]], &mut stream);
        for text in &texts {
            Mqtt.publish(to, text, &mut stream);
        }
        for cut in [1, 3, 5, 40, 48, 60, 300, stream.len() - 1] {
            let (mut held, mut seen) = (Vec::new(), Vec::new());
            for part in [&stream[..cut], &stream[cut..]] {
                held.extend_from_slice(part);
                let mut listener = |heard: Heard<'_>| {
                    if let Heard::Message(text) = heard {
                        seen.push(text.to_vec());
                    }
                };
                let mut out = Vec::new();
                let effects = &mut Effects::new(&mut out, &mut listener);
                let used = Mqtt.hear(&mut State::default(), &held, effects).unwrap();
                held.drain(..used);
            }
            assert!(seen == texts, "cut at {cut}");
        }
    }
}
