//! From bytes to lines, and from lines to what they ask for.

use std::borrow::Cow;
use std::time::Duration;

use doorbell_protocol::draft::JsonDraft;
use doorbell_protocol::{CoalesceWindow, Code, Draft, Error, Filter, Format, Since, command};
use tokio::time::Instant;

/// What a peer sent that was not obeyed yet.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    /// Where the first line begins that was not taken yet.
    start: usize,
    /// Where the line before that begins.
    before: usize,
    /// How far the unfinished line was searched for its end: a long one comes in many pieces.
    searched: usize,
    /// When the unfinished line at the end must be finished.
    deadline: Option<Instant>,
}

impl Input {
    /// Where more is to be appended.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// When the unfinished line at the end must be finished.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Takes the next whole line, without its `\n` or `\r\n`, of `limit` bytes at most. One that
    /// was begun is to be finished within `unfinished`.
    ///
    /// # Errors
    ///
    /// That the line, whole or not, is longer than the limit.
    pub(super) fn take_line(
        &mut self,
        limit: usize,
        unfinished: Duration,
    ) -> Result<Option<&[u8]>, Error> {
        let waiting = &self.bytes[self.start..];
        let unsearched = &waiting[self.searched..];
        let end = memchr::memchr(b'\n', unsearched).map(|end| self.searched + end);
        let line = &waiting[..end.unwrap_or(waiting.len())];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > limit {
            let text = format!("line is longer than {limit} bytes, which is the limit");
            return Err(Error::new(Code::LineTooLong, text));
        }
        if let Some(end) = end {
            let line = self.start..self.start + line.len();
            self.before = self.start;
            self.start += end + 1;
            self.searched = 0;
            self.deadline = None;
            return Ok(Some(&self.bytes[line]));
        }
        self.bytes.drain(..self.start);
        (self.start, self.before, self.searched) = (0, 0, self.bytes.len());
        if self.bytes.is_empty() {
            // A connection that says nothing keeps no buffer.
            self.bytes = Vec::new();
            self.deadline = None;
        } else {
            self.deadline.get_or_insert_with(|| Instant::now() + unfinished);
        }
        Ok(None)
    }

    /// The line that was taken last was not taken.
    pub(super) fn put_back(&mut self) {
        self.start = self.before;
        self.searched = 0;
    }
}

/// What a line asks for.
#[derive(Debug)]
pub(super) enum Line {
    /// Nothing.
    Blank,
    /// To publish.
    Publish(Draft),
    /// To publish what cannot be published.
    Refused(Error),
    /// Something else.
    Command(Command),
    /// It cannot be understood.
    Bad(Error),
    /// It is one of an HTTP request: what speaks may be a web page, which must not be obeyed here.
    Http,
}

/// A token, shown nowhere.
pub(super) struct Secret(pub(super) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// A command that needs an answer of its own.
#[derive(Debug)]
pub(super) enum Command {
    /// `SUB`
    Subscribe { filter: Filter, since: Option<Since>, format: Format, coalesce: CoalesceWindow },
    /// `UNSUB`
    Unsubscribe(Filter),
    /// `PING`
    Ping(Option<String>),
    /// `AUTH`
    Authenticate(Secret),
    /// `QUIT`
    Quit,
}

impl Line {
    /// Reads a line without its end. A message may have so many bytes.
    pub(super) fn parse(line: &[u8], message_bytes: usize) -> Self {
        let nuls = line.iter().take_while(|byte| **byte == 0).count();
        let text = String::from_utf8_lossy(&line[nuls..]);
        let is_damaged = matches!(text, Cow::Owned(_));
        let command = match command::Command::parse(&text) {
            // JSON is read here as it is over HTTP.
            Ok(Some(command @ command::Command::PublishJson(_))) => command,
            _ if is_damaged => return Self::Bad(Error::new(Code::NotUtf8, "line is not UTF-8")),
            Ok(Some(command)) => command,
            Ok(None) => return Self::Blank,
            Err(_) if is_of_http(&text) => return Self::Http,
            Err(error) => return Self::Bad(error),
        };
        Self::Command(match command {
            command::Command::Publish { topic, message } => {
                return Self::draft(Draft::text(topic, message, message_bytes));
            }
            command::Command::PublishJson(json) => {
                let json = JsonDraft::parse(json.as_bytes());
                return Self::draft(json.and_then(|json| json.into_draft(message_bytes, |_| None)));
            }
            command::Command::Subscribe { filter, since, format, coalesce } => {
                Command::Subscribe { filter, since, format, coalesce }
            }
            command::Command::Unsubscribe(filter) => Command::Unsubscribe(filter),
            command::Command::Ping(word) => Command::Ping(word.map(str::to_owned)),
            command::Command::Authenticate(token) => {
                Command::Authenticate(Secret(token.to_owned()))
            }
            command::Command::Quit => Command::Quit,
        })
    }

    /// After how long it is worth while to ask for it again, if it is refused until then.
    pub(super) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Refused(error) | Self::Bad(error) => {
                error.retry_after().map(|seconds| Duration::from_secs(seconds.into()))
            }
            Self::Blank | Self::Publish(_) | Self::Command(_) | Self::Http => None,
        }
    }

    fn draft(draft: Result<Draft, Error>) -> Self {
        match draft {
            Ok(draft) => Self::Publish(draft),
            Err(error) => Self::Refused(error),
        }
    }
}

/// Whether what is no command begins an HTTP request, or is the header that each must have.
fn is_of_http(line: &str) -> bool {
    let begins = |text: &str, with: &str| {
        text.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with))
    };
    let version = line.rsplit(' ').next().unwrap_or_default();
    begins(line, "host:") || begins(version, "http/")
}
