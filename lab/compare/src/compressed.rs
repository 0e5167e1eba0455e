//! What push would cost if it were compressed, worked out: over WebSockets, which no server here
//! compresses, and over server-sent events, where that was not asked for. The messages of the run
//! go through a real compressor whose window is kept from one to the next.
//!
//! Over server-sent events that is `Content-Encoding: gzip`, over a WebSocket permessage-deflate
//! with its context taken over (RFC 7692), which leaves out the last four bytes of each message.

use bytes::Bytes;
use doorbell::Received;
use doorbell_protocol::Frame;
use flate2::{Compress, Compression, FlushCompress};
use serde::Serialize;

use crate::figure::float_of;

/// Bytes at the end of what is flushed that permessage-deflate leaves out.
const FLUSH_BYTES: usize = 4;
/// Room for what a compressor adds to what cannot be compressed.
const ROOM_BYTES: usize = 256;

/// Bytes of a message on average, packets' headers not counted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Saving {
    pub(crate) plain: f64,
    pub(crate) compressed: f64,
}

/// What both would save.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Compressed {
    pub(crate) sse: Saving,
    pub(crate) websocket: Saving,
}

impl Compressed {
    /// For these messages in their order. The first quarter only fills the window.
    pub(crate) fn of(messages: &[Received]) -> Option<Self> {
        let events = messages.iter().filter_map(|received| {
            Some(Frame::from_json(received.event.id?, &received.json).sse())
        });
        let events: Vec<Bytes> = events.collect();
        let texts: Vec<Bytes> = messages.iter().map(|received| received.json.clone()).collect();
        Some(Self { sse: saving(&events, 0)?, websocket: saving(&texts, FLUSH_BYTES)? })
    }
}

fn saving(messages: &[Bytes], left_out: usize) -> Option<Saving> {
    let mut compressor = Compress::new(Compression::default(), false);
    let (mut plain, mut compressed) = (0, 0);
    let first = messages.len() / 4;
    for (index, message) in messages.iter().enumerate() {
        let mut out = Vec::with_capacity(message.len() + ROOM_BYTES);
        compressor.compress_vec(message, &mut out, FlushCompress::Sync).ok()?;
        if index >= first {
            plain += message.len();
            compressed += out.len().saturating_sub(left_out);
        }
    }
    let count = messages.len() - first;
    (count > 0).then(|| Saving {
        plain: float_of(plain) / float_of(count),
        compressed: float_of(compressed) / float_of(count),
    })
}

#[cfg(test)]
mod tests {
    use doorbell_protocol::event::{Event, Kind};
    use doorbell_protocol::id::Epoch;

    use super::*;

    #[test]
    fn a_kept_window_leaves_little_of_an_envelope_that_repeats() {
        let messages: Vec<Received> = (0..40)
            .map(|seq| {
                let mut event = Event::new(Kind::Message, 1_700_000_000_000_000 + seq * 997_331);
                event = event.at(Epoch::from_bits(9).id(seq));
                event.topic = Some("compare-0123456789abcdef.0".into());
                event.message = Some(format!("ring {seq:7}").into());
                Received { json: event.to_json().into(), event: event.into_owned() }
            })
            .collect();
        let Compressed { sse, websocket } = Compressed::of(&messages).unwrap();
        assert!(sse.plain > websocket.plain && websocket.plain > 100.0, "{websocket:?}");
        assert!((5.0..60.0).contains(&websocket.compressed), "{websocket:?}");
        assert!(sse.compressed > websocket.compressed, "{sse:?} {websocket:?}");
        assert_eq!(Compressed::of(&[]), None);
    }
}
