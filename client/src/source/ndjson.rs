//! Receiving by a stream of JSON objects, one a line.

use bytes::Bytes;
use hyper::Request;

use crate::content::Content;
use crate::error::Error;
use crate::http::{ANSWER_DEADLINE, HttpClient, expect_type};
use crate::lines::Lines;
use crate::options::Options;
use crate::received::Received;
use crate::socket::Silence;

/// An HTTP answer that does not end.
pub(crate) struct Objects {
    body: Content,
    lines: Lines,
    /// Owns the connection on which the body comes.
    _client: HttpClient,
}

impl Objects {
    pub(crate) async fn open(options: &Options) -> Result<Self, Error> {
        let mut client = options.http()?;
        let request = Request::get(format!("{}/json?{}", options.path(), options.query()));
        let answer = client.send(request, Bytes::new(), ANSWER_DEADLINE).await?;
        expect_type(&answer, "application/x-ndjson")?;
        Ok(Self { body: Content::of(answer)?, lines: Lines::default(), _client: client })
    }

    pub(crate) async fn next(&mut self, silence: Silence) -> Result<Received, Error> {
        loop {
            match self.lines.next_line()? {
                Some(line) if line.is_empty() => {}
                Some(line) => return Received::parse(line),
                None => {
                    let bytes = self.body.piece(silence).await?.ok_or(Error::Closed)?;
                    self.lines.feed(&bytes);
                }
            }
        }
    }
}
