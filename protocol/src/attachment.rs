//! A file that belongs to a message: a message has its name and its address, never its bytes, which
//! its server keeps for a while, or somebody else.

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::code::{Code, Error, quoted};
use crate::limits::{ATTACHMENT_NAME_BYTES_MAX, URL_BYTES_MAX};

/// The name of a file whose address has none.
const NAMELESS: &str = "attachment";

/// Where a file is, and what it is called; and what its server knows of one that it keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// What it is called.
    pub name: String,
    /// Its media type.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Unix seconds when it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// Where it is.
    pub url: String,
}

impl Attachment {
    /// The file at an address; called as the end of its path, unless it has a name.
    pub fn at(url: String, name: Option<String>) -> Result<Self, Error> {
        let invalid = |text| Error::new(Code::AttachmentUrlInvalid, text);
        if url.len() > URL_BYTES_MAX {
            let bytes = url.len();
            let text = format!("attach is {bytes} bytes long, limit is {URL_BYTES_MAX}");
            return Err(invalid(text));
        }
        let Some((_, rest)) = url.split_once("://").filter(|(scheme, _)| is_web(scheme)) else {
            let text = format!("attach {} is no http or https address", quoted(&url));
            return Err(invalid(text));
        };
        let name = shown_name(name.unwrap_or_else(|| name_in(rest)));
        Ok(Self { name, url, ..Self::default() })
    }

    /// A file that is still to come. A path before its name, and what is no character to be shown,
    /// are left out: others store it under that name.
    pub(crate) fn to_come(name: Option<&str>) -> Self {
        let name = name.and_then(|name| name.rsplit(['/', '\\']).next()).unwrap_or_default();
        let name = name.chars().filter(|c| !c.is_control()).collect();
        Self { name: shown_name(name), ..Self::default() }
    }

    /// The text of a message that has none of its own.
    pub(crate) fn announcement(&self) -> String {
        format!("You received a file: {}", self.name)
    }
}

/// A name that fits. What is only shown is cut rather than refused.
fn shown_name(mut name: String) -> String {
    let mut ends = (0..=ATTACHMENT_NAME_BYTES_MAX).rev();
    let end = ends.find(|end| name.is_char_boundary(*end)).unwrap_or_default();
    name.truncate(end);
    match name.trim() {
        "" | "." | ".." => NAMELESS.to_owned(),
        name => name.to_owned(),
    }
}

fn is_web(scheme: &str) -> bool {
    ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web))
}

/// The last segment of an address, given without its scheme.
fn name_in(address: &str) -> String {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once('/').map_or("", |(_, path)| path).trim_end_matches('/');
    let name = path.rsplit('/').next().unwrap_or_default();
    percent_decode_str(name).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_is_called_as_the_end_of_its_path_unless_it_has_a_name() {
        for (url, name) in [
            ("https://x.example/a.jpg", "a.jpg"),
            ("HTTP://x.example/a/b%20c.jpg?w=1/2#top", "b c.jpg"),
            ("https://x.example/a/", "a"),
            ("https://x.example/", "attachment"),
            ("https://x.example", "attachment"),
            ("https://x.example?q=/a", "attachment"),
            ("https://x.example/%ff", "\u{fffd}"),
            ("https://x.example/%20a%20", "a"),
            ("https://x.example/a/%2e%2e", "attachment"),
        ] {
            assert_eq!(Attachment::at(url.to_owned(), None).unwrap().name, name, "{url}");
        }
        let named = Attachment::at("https://x.example/a".to_owned(), Some("b".to_owned()));
        assert_eq!(named.unwrap().name, "b");
    }

    #[test]
    fn a_file_to_come_has_a_name_without_a_path() {
        for (given, name) in [
            (Some("a.jpg"), "a.jpg"),
            (Some("../../etc/a b"), "a b"),
            (Some("C:\\temp\\a\r\n.txt"), "a.txt"),
            (Some(".."), "attachment"),
            (Some("a/"), "attachment"),
            (None, "attachment"),
        ] {
            assert_eq!(Attachment::to_come(given).name, name, "{given:?}");
        }
    }

    #[test]
    fn what_is_no_address_of_the_web_is_refused() {
        let long = format!("https://x.example/{}", "x".repeat(URL_BYTES_MAX));
        for url in ["", "a.jpg", "ftp://x.example/a", "file:///a", "https:/x", &long] {
            let error = Attachment::at(url.to_owned(), None).unwrap_err();
            assert_eq!(error.code(), Code::AttachmentUrlInvalid, "{url}");
        }
    }

    proptest! {
        #[test]
        fn a_name_has_a_bound(url in "https?://[a-z]{0,3}[/?#é%a-f]{0,400}", name in "é{0,999}") {
            for name in [None, Some(name)] {
                let attachment = Attachment::at(url.clone(), name).unwrap();
                prop_assert!(attachment.name.len() <= ATTACHMENT_NAME_BYTES_MAX);
            }
        }
    }
}
