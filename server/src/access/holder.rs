//! Whose right it is that something has which outlives its connection and the process: kept by
//! name, with a proof of the secret that it came with, and looked up anew each time. No secret is
//! in it.

use doorbell_protocol::{Code, Error, Filter, Topic};
use serde::{Deserialize, Serialize};

use super::grant::Grant;

/// Somebody whom the access file names, or anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub(super) kind: Box<str>,
    pub(super) name: Box<str>,
    /// Of the secret, if there is one: whoever comes under the same name with another is not meant.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub(super) proof: Box<str>,
}

/// How it stands with the right of a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// What is asked for may be read.
    Reads,
    /// It may not.
    ReadsNot,
    /// There is no such holder any more.
    Ended,
}

impl Holder {
    /// Anybody.
    pub(super) fn anybody() -> Self {
        Self { kind: "anonymous".into(), name: "".into(), proof: "".into() }
    }

    pub(super) fn is_anybody(&self) -> bool {
        &*self.kind == "anonymous"
    }
}

/// What one may read by a grant of a topic.
pub(super) fn standing(grant: Option<&Grant>, topic: &Topic) -> Standing {
    let Some(grant) = grant.filter(|grant| grant.is_current()) else { return Standing::Ended };
    let reads = match grant.rights() {
        None => true,
        Some(rights) => {
            let filter = Filter::from(topic.clone());
            rights.read(&filter).is_ok_and(|read| read.matches(topic.as_str()))
        }
    };
    if reads { Standing::Reads } else { Standing::ReadsNot }
}

/// That somebody is in no access file.
pub(super) fn unnamed() -> Error {
    let text =
        "this lasts longer than the credential, so it is for those whom the access file names";
    Error::new(Code::Forbidden, text)
}
