//! Receiving texts alone, one a line, for experiments: they have no place, so that nothing of it
//! can be resumed, and a text of several lines is several.

use bytes::Bytes;
use doorbell_protocol::event::{Event, Kind};
use hyper::Request;

use crate::content::Content;
use crate::error::Error;
use crate::http::{ANSWER_DEADLINE, HttpClient, expect_type};
use crate::lines::Lines;
use crate::options::Options;
use crate::received::Received;
use crate::socket::Silence;
use crate::source::arrival::Arrival;

/// An HTTP answer that does not end.
pub(crate) struct Texts {
    body: Content,
    lines: Lines,
    /// Owns the connection on which the body comes.
    _client: HttpClient,
}

impl Texts {
    pub(crate) async fn open(options: &Options) -> Result<Self, Error> {
        let mut client = options.http()?;
        let path = format!("{}/raw?since={}", options.path(), options.since);
        let request = Request::get(path + &options.coalesce_query());
        let answer = client.send(request, Bytes::new(), ANSWER_DEADLINE).await?;
        expect_type(&answer, "text/plain")?;
        Ok(Self { body: Content::of(answer)?, lines: Lines::default(), _client: client })
    }

    /// The next text; an empty line is a sign of life, and the first thing that comes.
    pub(crate) async fn next(&mut self, silence: Silence) -> Result<Arrival, Error> {
        loop {
            match self.lines.next_line()? {
                Some(line) if line.is_empty() => return Ok(Arrival::default()),
                Some(line) => {
                    let mut event = Event::new(Kind::Message, 0);
                    event.message = Some(String::from_utf8_lossy(&line).into_owned().into());
                    let message = Some(Received { event, json: line });
                    return Ok(Arrival { message, ..Arrival::default() });
                }
                None => {
                    let bytes = self.body.piece(silence).await?.ok_or(Error::Closed)?;
                    self.lines.feed(&bytes);
                }
            }
        }
    }
}
