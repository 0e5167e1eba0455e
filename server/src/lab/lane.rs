//! Lanes: the names under which a page has requests charged, `lane=PAGE.NAME` in a query.

use std::sync::Arc;

use doorbell_protocol::code::quoted;
use doorbell_protocol::{Code, Error};

use crate::limits::{LANE_NAME_CHARS_MAX, PAGE_NAME_CHARS};

/// A page, by the name that it drew for itself: 4 to 16 of `a-z0-9`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PageName(Arc<str>);

/// What a page calls a lane of its own: 1 to 16 of `a-z`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name(Arc<str>);

/// A lane of a page.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Lane {
    pub(crate) page: PageName,
    pub(crate) name: Name,
}

impl PageName {
    /// The parameter by which a request names a lane of this page.
    pub(crate) fn lane(&self, name: &Name) -> String {
        format!("lane={}.{}", self.0, name.0)
    }

    /// Reads a name; the error says what one looks like.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let is_name = PAGE_NAME_CHARS.contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if is_name {
            return Ok(Self(text.into()));
        }
        let (least, most) = (PAGE_NAME_CHARS.start(), PAGE_NAME_CHARS.end());
        let text = format!("page {} is not {least} to {most} of a-z and 0-9", quoted(text));
        Err(Error::new(Code::BadRequest, text))
    }
}

impl Name {
    /// Reads a name; the error says what one looks like.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let is_name = (1..=LANE_NAME_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase());
        if is_name {
            return Ok(Self(text.into()));
        }
        let text = format!("lane {} is not 1 to {LANE_NAME_CHARS_MAX} of a-z", quoted(text));
        Err(Error::new(Code::BadRequest, text))
    }

    /// The lane of the subscriber over TCP.
    pub(crate) fn tcp() -> Self {
        Self("tcp".into())
    }

    /// The lane of the subscriber by datagrams.
    pub(crate) fn udp() -> Self {
        Self("udp".into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Lane {
    /// The lane that a query names. What is malformed is passed over: it changes nothing about the
    /// answer.
    pub(crate) fn in_query(query: &str) -> Option<Self> {
        let mut parameters = form_urlencoded::parse(query.as_bytes());
        let (_, value) = parameters.find(|(name, _)| name == "lane")?;
        let (page, name) = value.split_once('.')?;
        Some(Self { page: PageName::parse(page).ok()?, name: Name::parse(name).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_found_among_other_parameters() {
        let lane = Lane::in_query("poll=1&lane=ab12.longpoll&since=all").unwrap();
        assert_eq!((&*lane.page.0, lane.name.as_str()), ("ab12", "longpoll"));
    }

    #[test]
    fn what_is_malformed_is_passed_over() {
        for query in [
            "",
            "lane",
            "lane=",
            "lane=ab12",
            "lane=ab1.ws",
            "lane=ab12.",
            "lane=AB12.ws",
            "lane=ab12.w1",
            "lane=ab12.ws.ws",
            "lane=abcdefghijklmnopq.ws",
            "lane=ab12.abcdefghijklmnopq",
            "lanes=ab12.ws",
        ] {
            assert_eq!(Lane::in_query(query), None, "{query}");
        }
    }

    #[test]
    fn a_wrong_name_is_told_with_the_bound() {
        let told = PageName::parse("Ab").unwrap_err().to_string();
        assert!(told.contains("page 'Ab' is not 4 to 16 of a-z and 0-9"), "{told}");
        let told = Name::parse("w s").unwrap_err().to_string();
        assert!(told.contains("lane 'w s' is not 1 to 16 of a-z"), "{told}");
    }
}
