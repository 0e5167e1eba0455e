//! Receiving by server-sent events.
//!
//! Read as the HTML standard says (section 9.2), but of the fields only `data` and `retry` are
//! kept: the JSON of the data says what `id` and `event` say.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use hyper::Request;
use hyper::header::ACCEPT;

use crate::content::Content;
use crate::error::Error;
use crate::http::{ANSWER_DEADLINE, HttpClient, expect_type};
use crate::lines::{LINE_BYTES_MAX, Lines};
use crate::options::Options;
use crate::received::Received;
use crate::socket::Silence;

/// An HTTP answer that does not end.
pub(crate) struct Events {
    body: Content,
    parser: Parser,
    /// Owns the connection on which the body comes.
    _client: HttpClient,
}

impl Events {
    pub(crate) async fn open(options: &Options) -> Result<Self, Error> {
        let mut client = options.http()?;
        let request = Request::get(format!("{}/sse?{}", options.path(), options.query()))
            .header(ACCEPT, "text/event-stream");
        let answer = client.send(request, Bytes::new(), ANSWER_DEADLINE).await?;
        expect_type(&answer, "text/event-stream")?;
        Ok(Self { body: Content::of(answer)?, parser: Parser::default(), _client: client })
    }

    /// How long the server wants to be left alone once the connection is lost, if it has said so.
    pub(crate) fn retry(&self) -> Option<Duration> {
        self.parser.retry
    }

    pub(crate) async fn next(&mut self, silence: Silence) -> Result<Received, Error> {
        loop {
            if let Some(data) = self.parser.next_data()? {
                return Received::parse(data);
            }
            let bytes = self.body.piece(silence).await?.ok_or(Error::Closed)?;
            self.parser.feed(&bytes);
        }
    }
}

/// The longest that a `retry` is followed.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// It may stand before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Takes the data out of server-sent events.
#[derive(Debug)]
struct Parser {
    lines: Lines,
    /// Whether no line was taken.
    is_new: bool,
    retry: Option<Duration>,
    data: BytesMut,
    has_data: bool,
}

impl Default for Parser {
    fn default() -> Self {
        Self {
            lines: Lines::with_returns(),
            is_new: true,
            retry: None,
            data: BytesMut::new(),
            has_data: false,
        }
    }
}

impl Parser {
    fn feed(&mut self, bytes: &[u8]) {
        self.lines.feed(bytes);
    }

    /// The data of the next whole event that has any; many `data` fields are joined by `\n`.
    fn next_data(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(mut line) = self.lines.next_line()? {
            if std::mem::take(&mut self.is_new) && line.starts_with(BYTE_ORDER_MARK) {
                line.advance(BYTE_ORDER_MARK.len());
            }
            if line.is_empty() {
                if std::mem::take(&mut self.has_data) {
                    return Ok(Some(self.data.split().freeze()));
                }
                continue;
            }
            if let Some(millis) = value_of(b"retry", &line) {
                self.note_retry(millis);
            }
            let Some(value) = value_of(b"data", &line) else {
                continue;
            };
            if self.data.len() + value.len() > LINE_BYTES_MAX {
                return Err(Error::Unexpected(format!(
                    "an event is longer than {LINE_BYTES_MAX} bytes"
                )));
            }
            if std::mem::replace(&mut self.has_data, true) {
                self.data.extend_from_slice(b"\n");
            }
            self.data.extend_from_slice(value);
        }
        Ok(None)
    }

    /// Digits and nothing else are a time.
    fn note_retry(&mut self, millis: &[u8]) {
        if millis.iter().all(u8::is_ascii_digit)
            && let Ok(text) = std::str::from_utf8(millis)
            && !text.is_empty()
        {
            let retry = text.parse().map_or(RETRY_MAX, Duration::from_millis);
            self.retry = Some(retry.min(RETRY_MAX));
        }
    }
}

/// The value of a field: what follows the colon and one space, if there is one.
fn value_of<'l>(field: &[u8], line: &'l [u8]) -> Option<&'l [u8]> {
    match line.strip_prefix(field)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(pieces: &[&[u8]]) -> Vec<Bytes> {
        let mut parser = Parser::default();
        let mut out = Vec::new();
        for piece in pieces {
            parser.feed(piece);
            while let Some(data) = parser.next_data().unwrap() {
                out.push(data);
            }
        }
        out
    }

    #[test]
    fn data_is_taken_and_everything_else_passed_over() {
        let text = b"data: a\n\n: comment\nid: 1\nevent: open\ndata:b\r\n\r\n\
            retry: 5\n\ndata\ndata:  c\n\ndatum: x\n\ndata: half";
        assert_eq!(parse(&[text]), ["a", "b", "\n c"]);
    }

    #[test]
    fn the_standards_ends_of_lines_marks_and_comments_are_taken() {
        let mark = "\u{feff}";
        for end in ["\n", "\r", "\r\n"] {
            let text = format!("{mark}data: a{end}{end}:{end}: still there{end}data{end}{end}")
                + &format!(
                    "{mark}data: not at the beginning{end}{end}data:b{end}data: c{end}{end}"
                );
            assert_eq!(parse(&[text.as_bytes()]), ["a", "", "b\nc"], "{end:?}");
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(parse(&bytes), ["a", "", "b\nc"], "{end:?}, a byte at a time");
        }
    }

    #[test]
    fn retry_is_digits_and_bounded() {
        let retry = |text: &str| {
            let mut parser = Parser::default();
            parser.feed(text.as_bytes());
            while parser.next_data().unwrap().is_some() {}
            parser.retry.map(|retry| retry.as_millis())
        };
        assert_eq!(retry("retry: 2500\n\n"), Some(2500));
        assert_eq!(retry("retry:7\n"), Some(7));
        assert_eq!(retry("retry: 2500\nretry: soon\nretry:\nretry: -1\n"), Some(2500));
        for long in ["3600000", "99999999999999999999999"] {
            assert_eq!(retry(&format!("retry: {long}\n")), Some(60_000));
        }
        assert_eq!(retry("data: x\n\n"), None);
    }

    #[test]
    fn an_event_without_end_is_refused_at_the_bound() {
        let mut parser = Parser::default();
        let line = [b"data: ".as_slice(), &vec![b'x'; LINE_BYTES_MAX / 2], b"\n"].concat();
        parser.feed(&line);
        parser.feed(&line);
        assert!(parser.next_data().unwrap().is_none());
        parser.feed(&line);
        assert!(parser.next_data().is_err());
    }

    proptest! {
        #[test]
        fn the_pieces_do_not_matter(
            text in "((data|id|event|)(: ?[xy:]{0,4})?\r?\n|\r?\n){0,12}",
            cuts in proptest::collection::vec(0usize..80, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> =
                cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            prop_assert_eq!(parse(&pieces), parse(&[text.as_bytes()]));
        }

        #[test]
        fn what_is_written_is_read(texts in proptest::collection::vec("[a-z :]{0,20}", 0..5)) {
            let events = texts.iter().map(|text| format!("id: 1\ndata: {text}\n\n"));
            let stream: String = events.collect();
            prop_assert_eq!(parse(&[stream.as_bytes()]), texts);
        }
    }
}
