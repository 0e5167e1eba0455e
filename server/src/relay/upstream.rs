//! Phones that sleep: another server of the dialect wakes them, which is in touch with their maker.
//! For each message it is sent one request, to a topic whose name is a hash of the topic's address
//! here, with the message's id. What the message says stays here; a phone that wakes fetches it.

use std::fmt::Write;
use std::path::Path;

use bytes::Bytes;
use doorbell_protocol::{Event, Kind};
use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use url::Url;

use super::progress::RelayProgress;
use crate::message::Message;
use crate::outbound::{Errand, Outbound, OutboundRequest, accepted};

/// What is to be fetched, as the ntfy dialect has it.
const POLL_ID: HeaderName = HeaderName::from_static("x-poll-id");

/// The server that wakes phones.
#[derive(Debug)]
pub struct Upstream {
    url: String,
    /// The address of this server.
    base_url: String,
    /// As whom that server knows this one.
    token: Option<HeaderValue>,
}

impl Upstream {
    /// The one at an address, both addresses without a slash at their ends. The file has a token.
    ///
    /// # Errors
    ///
    /// What is wrong with the file.
    pub fn new(url: &str, base_url: &str, token_file: Option<&Path>) -> Result<Self, String> {
        let token = token_file.map(read_token).transpose()?;
        Ok(Self { url: url.to_owned(), base_url: base_url.to_owned(), token })
    }

    /// Tells it that there is a message.
    pub(super) fn tell(&self, message: &Message, outbound: &Outbound, progress: &RelayProgress) {
        if !message.with_event(|event| event.is_some_and(wakes)) {
            return;
        }
        let id = message.id().to_string();
        let request = self.request(message.topic().as_str(), &id);
        let sender = outbound.clone();
        let telling = progress.begin(message.seq());
        outbound.begin(Errand::Upstream, async move {
            let request = request.ok_or("the address of the upstream is malformed")?;
            let answered = accepted(sender.send(Errand::Upstream, request).await);
            telling.end();
            answered
        });
    }

    fn request(&self, topic: &str, id: &str) -> Option<OutboundRequest> {
        let mut url = format!("{}/", self.url);
        for byte in Sha256::digest(format!("{}/{topic}", self.base_url)) {
            write!(url, "{byte:02x}").ok()?;
        }
        let url = Url::parse(&url).ok()?;
        let mut headers = HeaderMap::new();
        headers.insert(POLL_ID, HeaderValue::from_str(id).ok()?);
        headers.extend(self.token.iter().map(|token| (AUTHORIZATION, token.clone())));
        Some(OutboundRequest { method: Method::POST, url, headers, body: Bytes::new() })
    }
}

/// Whether it is a message for a person, and not for a program that has registered with
/// `UnifiedPush`.
fn wakes(event: &Event<'_>) -> bool {
    event.event == Kind::Message && event.encoding.is_none()
}

fn read_token(file: &Path) -> Result<HeaderValue, String> {
    let wrong = |why: &str| format!("--upstream-token-file {}: {why}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error.to_string()))?;
    let token = HeaderValue::try_from(format!("Bearer {}", text.trim()));
    let mut token = token.map_err(|_| wrong("it has no token on one line"))?;
    token.set_sensitive(true);
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_there_is_the_hash_of_the_address_of_the_topic_here() {
        let upstream =
            Upstream::new("https://up.example/x", "https://push.example.com", None).unwrap();
        let request = upstream.request("orders", "00004ziepp2w").unwrap();
        // printf https://push.example.com/orders | sha256sum
        let hash = "7ac1bd53b161f98c6c91c938aadd55670f3fe4e4e70508e6026936703b65431a";
        assert_eq!(request.url.as_str(), format!("https://up.example/x/{hash}"));
        assert_eq!(request.headers.get("x-poll-id").unwrap(), "00004ziepp2w");
        assert!(request.body.is_empty());
    }
}
