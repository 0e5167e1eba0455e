//! A file that was published, or a part of it.
//!
//! What others have published runs nothing here: a browser shows what can do no harm, and stores
//! everything else.

use axum::http::StatusCode;
use bytes::Bytes;
use doorbell_protocol::{Code, Error};
use futures_util::StreamExt;
use futures_util::stream::{empty, try_unfold};

use super::reply::{Body, Head, Reply};
use super::request::Request;
use crate::access::Access;
use crate::clock::unix_seconds;
use crate::files::{Files, OpenFile};
use crate::visitors::{Bucket, Sharing};

/// As good as another origin, in which nothing runs and nothing is fetched.
const CONTENT_SECURITY_POLICY: &str = "sandbox; default-src 'none'";

/// A request for a file.
#[derive(Debug)]
pub(super) struct Download {
    files: Files,
    access: Access,
    name: String,
    range: Option<String>,
    if_range: Option<String>,
    if_none_match: Option<String>,
    only_head: bool,
    sharing: Sharing,
}

/// A part of a file: from its first byte to before its last.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    All,
    Some(u64, u64),
    /// It begins behind the end.
    Beyond,
}

impl Download {
    /// What a request asks for.
    pub(super) fn of(
        files: &Files,
        access: Access,
        name: &str,
        request: &Request<'_>,
        sharing: Sharing,
    ) -> Self {
        let header = |name| {
            let value = request.headers.get(name)?;
            std::str::from_utf8(value).ok().map(str::to_owned)
        };
        Self {
            files: files.clone(),
            access,
            name: name.to_owned(),
            range: header("range"),
            if_range: header("if-range"),
            if_none_match: header("if-none-match"),
            only_head: request.method == "HEAD",
            sharing,
        }
    }

    /// The file.
    ///
    /// # Errors
    ///
    /// That it is not there, or that its reader has had too much.
    pub(super) async fn answer(self) -> Result<Reply, Error> {
        let visitor = self.access.visitor();
        visitor.check(Bucket::Replay)?;
        let file = self.files.find(&self.name, visitor).await?;
        // Nothing of it ever changes.
        let tag = format!("\"{}\"", file.id);
        let is_known = self.if_none_match.is_some_and(|known| {
            known == "*" || known.split(',').any(|known| known.trim().ends_with(&tag))
        });
        let range = self.range.filter(|_| self.if_range.is_none_or(|wanted| wanted == tag));
        let part = range.map_or(Part::All, |range| part_of(&range, file.bytes));
        let (status, from, until) = match part {
            _ if is_known => (StatusCode::NOT_MODIFIED, 0, 0),
            Part::All => (StatusCode::OK, 0, file.bytes),
            Part::Some(from, until) => (StatusCode::PARTIAL_CONTENT, from, until),
            Part::Beyond => {
                let bytes = file.bytes;
                let text = format!("range is not within the file, which has {bytes} bytes");
                let error = Error::new(Code::RangeNotSatisfiable, text);
                let mut reply = Reply::refusal(&error);
                reply.head.add_text("content-range", format_args!("bytes */{bytes}"));
                return Ok(reply);
            }
        };
        let mut head = Head::new(status);
        if status != StatusCode::NOT_MODIFIED {
            head.add("content-type", file.kind.media_type.as_bytes());
            head.add("accept-ranges", b"bytes");
        }
        if status == StatusCode::PARTIAL_CONTENT {
            let last = until.saturating_sub(1);
            head.add_text("content-range", format_args!("bytes {from}-{last}/{}", file.bytes));
        }
        let shown: &[u8] = if file.kind.is_shown() { b"inline" } else { b"attachment" };
        head.add("content-disposition", shown);
        head.add("content-security-policy", CONTENT_SECURITY_POLICY.as_bytes());
        head.add("referrer-policy", b"no-referrer");
        head.add("etag", tag.as_bytes());
        let left = file.expires.saturating_sub(unix_seconds());
        head.add_text("cache-control", format_args!("private, max-age={left}, immutable"));
        let length = until - from;
        if !self.only_head {
            visitor.owe(Bucket::Replay, length);
        }
        let pieces = pieces(file, from, until, self.sharing).boxed();
        let pieces = if length == 0 { empty().boxed() } else { pieces };
        Ok(Reply::new(head, Body::Pieces(pieces, Some(length))))
    }
}

/// The pieces of a part of a file, as its reader takes them.
fn pieces(
    file: OpenFile,
    from: u64,
    until: u64,
    sharing: Sharing,
) -> impl futures_util::Stream<Item = Result<Bytes, Error>> + Send + 'static {
    try_unfold((file, from, sharing), move |(file, at, sharing)| async move {
        if at >= until {
            return Ok(None);
        }
        let piece = file.piece(at, until).await?;
        let next = at + piece.len() as u64;
        Ok(Some((piece, (file, next, sharing))))
    })
}

/// The part that a header `Range` asks for (RFC 9110, section 14). All of it, where it is none that
/// is understood, or where it asks for several.
fn part_of(range: &str, bytes: u64) -> Part {
    let numbers = range.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let Some((first, last)) = numbers else { return Part::All };
    let (first, last) = (first.trim(), last.trim());
    let is_number = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number(first) || !is_number(last) {
        return Part::All;
    }
    // More digits than a number has are a large one.
    let number = |text: &str| text.parse().unwrap_or(u64::MAX);
    let (from, until) = match (first, last) {
        ("", "") => return Part::All,
        ("", last) => (bytes.saturating_sub(number(last)), bytes),
        (first, "") => (number(first), bytes),
        (first, last) if number(last) < number(first) => return Part::All,
        (first, last) => (number(first), number(last).saturating_add(1).min(bytes)),
    };
    if from < until { Part::Some(from, until) } else { Part::Beyond }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_range_is_a_part_of_the_file_or_all_of_it_where_it_is_not_understood() {
        for (range, part) in [
            ("bytes=0-0", Part::Some(0, 1)),
            ("bytes=2-", Part::Some(2, 10)),
            ("bytes=2-99", Part::Some(2, 10)),
            ("bytes=-3", Part::Some(7, 10)),
            ("bytes=-99", Part::Some(0, 10)),
            ("bytes=9-9", Part::Some(9, 10)),
            ("bytes=10-", Part::Beyond),
            ("bytes=-0", Part::Beyond),
            ("bytes=99999999999999999999-", Part::Beyond),
            ("bytes=3-2", Part::All),
            ("bytes=0-1,3-4", Part::All),
            ("bytes=-", Part::All),
            ("lines=0-1", Part::All),
            ("bytes=a-b", Part::All),
        ] {
            assert_eq!(part_of(range, 10), part, "{range}");
        }
        assert_eq!(part_of("bytes=0-", 0), Part::Beyond);
    }

    proptest! {
        #[test]
        fn a_part_is_within_the_file(range in "bytes=[0-9]{0,22}-[0-9]{0,22}", bytes: u64) {
            if let Part::Some(from, until) = part_of(&range, bytes) {
                prop_assert!(from < until && until <= bytes);
            }
        }
    }
}
