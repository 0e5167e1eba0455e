//! The errors of the wire: one table of numbers, statuses and meanings.
//!
//! The numbers are those of the ntfy dialect where one fits, so that its clients understand them.
//! The text of an error names the value and the bound, in lower case, without a full stop.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $status:literal;)+) => {
        /// What went wrong, as clients tell errors apart.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Code] = &[$(Code::$name),+];

            /// The number on the wire; its first three digits are the HTTP status.
            pub const fn number(self) -> u32 {
                match self { $(Code::$name => $number,)+ }
            }

            /// The HTTP status that carries this error.
            pub const fn status(self) -> u16 {
                match self { $(Code::$name => $status,)+ }
            }

            /// Its line in the documentation.
            #[cfg(test)]
            const fn meaning(self) -> &'static str {
                match self { $(Code::$name => concat!($($doc),+),)+ }
            }
        }
    };
}

codes! {
    /// A request that cannot be understood or served, for a reason without a number of its own.
    BadRequest = 40000, 400;
    /// E-mail notifications are off, as they are unless the operator names a mail server.
    EmailUnsupported = 40001, 400;
    /// A message that is not kept cannot be delayed.
    DelayNotKept = 40002, 400;
    /// A message that is sent as e-mail cannot be delayed.
    DelayedEmail = 40003, 400;
    /// The delay is no time, duration or moment in words.
    DelayInvalid = 40004, 400;
    /// The delay is too short.
    DelayTooShort = 40005, 400;
    /// The delay is too long.
    DelayTooLong = 40006, 400;
    /// The priority is none of 1 to 5 or their names.
    PriorityInvalid = 40007, 400;
    /// `since` is no id, time, duration or keyword, or a time more than a day ahead.
    SinceInvalid = 40008, 400;
    /// The topic or filter is malformed.
    TopicInvalid = 40009, 400;
    /// The topic name is reserved for the server's own pages.
    TopicReserved = 40010, 400;
    /// The text is not UTF-8.
    NotUtf8 = 40011, 400;
    /// The address of an attachment is no web address.
    AttachmentUrlInvalid = 40013, 400;
    /// Files are not taken in here, or not in this way.
    AttachmentsUnsupported = 40014, 400;
    /// The file would be let go of before its message comes.
    AttachmentExpiresBefore = 40015, 400;
    /// A plain request to the WebSocket address.
    NotWebSocket = 40016, 400;
    /// The actions are malformed.
    ActionsInvalid = 40018, 400;
    /// The notification of Matrix is malformed.
    MatrixInvalid = 40019, 400;
    /// The icon or click address is no web address.
    IconInvalid = 40021, 400;
    /// The JSON is malformed, or a member has a wrong type.
    JsonInvalid = 40024, 400;
    /// Phone calls do not exist here.
    CallsUnsupported = 40032, 400;
    /// The Web Push subscription is malformed.
    PushInvalid = 40038, 400;
    /// The Web Push endpoint is no address that is called.
    PushEndpointUnknown = 40039, 400;
    /// The Web Push subscription has too many topics.
    PushTopicsTooMany = 40040, 400;
    /// What a template makes is longer than a message may be.
    TemplateTextTooLong = 40041, 400;
    /// The body is no JSON to fill in a template with.
    TemplateNotJson = 40042, 400;
    /// The template is malformed.
    TemplateInvalid = 40043, 400;
    /// The template uses `define`, `block`, `template` or `call`.
    TemplateDisallowed = 40044, 400;
    /// The template cannot be filled in with this body, or says so itself.
    TemplateFailed = 40045, 400;
    /// There is no template of that name.
    TemplateUnknown = 40047, 400;
    /// The file of the template is malformed, or cannot be read.
    TemplateFileInvalid = 40048, 400;
    /// The sequence id is malformed.
    SequenceIdInvalid = 40049, 400;
    /// The e-mail address is malformed.
    EmailInvalid = 40050, 400;
    /// Filling in the template takes too much work.
    TemplateExhausted = 40055, 400;
    /// The template is too long.
    TemplateTooLong = 40056, 400;
    /// The title is too long.
    TitleTooLong = 40057, 400;
    /// The tags are too long together.
    TagsTooLong = 40058, 400;
    /// The token is wrong, or there are none to be right.
    Unauthorized = 40101, 401;
    /// This is not for the client that asks.
    Forbidden = 40301, 403;
    /// There is nothing at this address.
    NotFound = 40401, 404;
    /// The address exists, the method does not.
    MethodNotAllowed = 40501, 405;
    /// A request or a line was begun and not finished in time.
    Timeout = 40801, 408;
    /// The request names a host that is not this server.
    Misdirected = 42101, 421;
    /// The message text, or a file, is too long.
    MessageTooLarge = 41301, 413;
    /// The notification of Matrix is too long.
    MatrixTooLarge = 41302, 413;
    /// The JSON body is too long.
    JsonTooLarge = 41303, 413;
    /// A line is longer than the limit.
    LineTooLong = 41304, 413;
    /// The body is encoded in a way that is not known here.
    CodingUnsupported = 41501, 415;
    /// The file ends before the range that is wanted of it.
    RangeNotSatisfiable = 41601, 416;
    /// What the client expects of the server is not 100-continue.
    ExpectationFailed = 41701, 417;
    /// Requests or publishes come faster than they are taken: try again shortly.
    Busy = 42901, 429;
    /// One client sends too many e-mails.
    TooManyEmails = 42902, 429;
    /// Too many subscriptions on one connection or of Web Push, or connections of one client.
    TooManySubscriptions = 42903, 429;
    /// The server holds as many topics as it may, or one client begins too many.
    TooManyTopics = 42904, 429;
    /// One client publishes or reads back too many bytes, or files fill all of their room.
    TooManyBytes = 42905, 429;
    /// One client publishes too many messages.
    TooManyMessages = 42908, 429;
    /// Too many wrong credentials came from one address.
    TooManyFailures = 42909, 429;
    /// The head of a request is longer than the limit, or has too many headers.
    HeadTooLong = 43101, 431;
    /// A fault of the server that its own log explains.
    Internal = 50001, 500;
    /// The server was not told its own address.
    BaseUrlMissing = 50003, 500;
    /// The Web Push subscription could not be kept.
    PushFailed = 50004, 500;
    /// The server is stopping, or as full of connections as it may be.
    Unavailable = 50301, 503;
    /// An earlier write failed and the log takes no more until it is reopened; readers go on.
    LogFailed = 50302, 503;
    /// The machines that have the log are out of reach: nothing can be stored now, and what is no
    /// longer in memory cannot be read.
    LogUnreachable = 50303, 503;
    /// There is no room left to store messages.
    StorageFull = 50701, 507;
}

impl Code {
    /// Whether the same request may succeed later without being changed.
    pub const fn is_retryable(self) -> bool {
        matches!(self.status(), 429 | 503 | 507)
    }
}

/// An error as it goes over the wire: a code and a sentence that names the value and the bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    code: Code,
    text: Cow<'static, str>,
    retry_after: Option<u32>,
}

impl Error {
    /// An error with its sentence: lower case, no full stop, nothing internal.
    pub fn new(code: Code, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into(), retry_after: None }
    }

    /// The same, where it is known after how many seconds it is worth while to ask again.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
        self
    }

    /// After how many seconds it is worth while to ask again, if that is known.
    pub fn retry_after(&self) -> Option<u32> {
        self.retry_after
    }

    /// What went wrong.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The sentence.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The members of an error answer, and no others: strict clients refuse what they don't know.
    pub fn body(&self) -> ErrorBody<'_> {
        ErrorBody {
            code: self.code.number(),
            http: self.code.status(),
            error: Cow::Borrowed(&self.text),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

/// The JSON of an error: `{"code":40009,"http":400,"error":"…"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody<'a> {
    /// See [`Code::number`].
    pub code: u32,
    /// See [`Code::status`].
    pub http: u16,
    /// The sentence.
    pub error: Cow<'a, str>,
}

/// Foreign text, made fit to be quoted in an error: at most 32 characters, control ones escaped.
pub fn quoted(text: &str) -> String {
    format!("'{}'", shown(text, 32))
}

/// What a library says of foreign text, of which it may quote all: at most 160 characters, control
/// ones escaped.
pub fn said(sentence: &str) -> String {
    shown(sentence, 160)
}

fn shown(text: &str, chars_max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(chars_max) + 2);
    for c in text.chars().take(chars_max) {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    if text.chars().nth(chars_max).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_begin_with_their_status() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.number()), "{code:?}");
            assert_eq!(code.number() / 100, u32::from(code.status()), "{code:?}");
        }
    }

    #[test]
    fn the_table_in_the_protocols_paper_is_this_one() {
        let paper = include_str!("../../docs/protocol.md");
        let is_row =
            |line: &&str| line.starts_with("| ") && line[2..].starts_with(char::is_numeric);
        let rows: Vec<&str> = paper.lines().filter(is_row).collect();
        let expected: Vec<String> = Code::ALL
            .iter()
            .map(|code| {
                let again = if code.is_retryable() { "yes" } else { "no" };
                let (number, status, meaning) = (code.number(), code.status(), code.meaning());
                format!("| {number} | {status} | {again} |{meaning} |")
            })
            .collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn quoting_cuts_long_text_and_escapes_control_characters() {
        assert_eq!(quoted("a\nb\u{7f}"), "'a\\nb\\u{7f}'");
        assert_eq!(quoted(&"é".repeat(33)), format!("'{}…'", "é".repeat(32)));
    }
}
