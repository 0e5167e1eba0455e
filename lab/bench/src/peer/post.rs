//! Publishing by `POST`, which several contenders take.

use crate::failure::Result;
use crate::generator::dialect::{Dialect, Effects, State, Target, push, topic_name};
use crate::generator::http;

/// Requests with a body, or, without a payload to send, without one.
pub(super) struct Post {
    /// What stands before the topic in the path.
    pub(super) folder: &'static str,
}

impl Dialect for Post {
    fn publish(&self, to: Target, payload: &[u8], out: &mut Vec<u8>) {
        push!(
            out,
            "POST /{}{} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
            self.folder,
            topic_name(to.topic),
            payload.len()
        );
        out.extend_from_slice(payload);
    }

    fn acknowledges(&self) -> bool {
        true
    }

    fn hear(&self, _state: &mut State, bytes: &[u8], effects: &mut Effects<'_>) -> Result<usize> {
        http::acknowledgements(bytes, effects)
    }
}
