//! Publishing over HTTP: a body with parameters, or a JSON object; and what the publisher is told.

use doorbell_protocol::draft::JsonDraft;
use doorbell_protocol::{Code, Draft, Error, Parameter};

use super::App;
use super::params::Params;
use super::reply::Reply;
use super::request::{Request, decoded};
use crate::writer::Answer;

/// Bytes of a JSON publish beside its text: its other members, and their escapes.
const JSON_EXTRA_BYTES: usize = 16 << 10;

/// The ways to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Publish<'a> {
    /// `POST` or `PUT /TOPIC`, or `GET /TOPIC/publish`: the body is the text, if there is one.
    Body(&'a str),
    /// `POST` or `PUT /TOPIC/SEQUENCE_ID`: the text is a new version of a notification.
    Update(&'a str, &'a str),
    /// `POST` or `PUT /`: the body is a JSON object with a `topic`.
    Json,
}

/// The body that a way to publish takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimit {
    /// At most so many bytes.
    pub(super) bytes: usize,
    /// What it is called.
    pub(super) what: &'static str,
    /// How a longer one is refused.
    pub(super) code: Code,
}

impl Publish<'_> {
    /// What its body may be, where a message may have so many bytes.
    pub(super) fn limit(self, message_bytes: usize) -> BodyLimit {
        match self {
            Self::Body(_) | Self::Update(..) => {
                BodyLimit { bytes: message_bytes, what: "message", code: Code::MessageTooLarge }
            }
            Self::Json => BodyLimit {
                bytes: 2 * message_bytes + JSON_EXTRA_BYTES,
                what: "JSON body",
                code: Code::JsonTooLarge,
            },
        }
    }
}

impl BodyLimit {
    /// The refusal of a body of so many bytes, if they are too many.
    pub(super) fn check(self, bytes: u64) -> Result<(), Error> {
        let Self { bytes: limit, what, code } = self;
        if bytes <= limit as u64 {
            return Ok(());
        }
        Err(Error::new(code, format!("{what} is {bytes} bytes long, limit is {limit}")))
    }

    /// The refusal of a body that is too long, nobody knows how much.
    pub(super) fn passed(self) -> Error {
        let Self { bytes, what, code } = self;
        Error::new(code, format!("{what} is longer than {bytes} bytes, which is the limit"))
    }
}

/// What is to be published.
///
/// # Errors
///
/// Why it cannot be.
pub(super) fn draft(
    publish: Publish<'_>,
    request: &Request<'_>,
    body: &[u8],
    message_bytes: usize,
) -> Result<Draft, Error> {
    let params = Params::of(request);
    let parameter = |parameter| params.parameter(parameter);
    publish.limit(message_bytes).check(body.len() as u64)?;
    match publish {
        Publish::Body(topic) => {
            let text = text_of(body)?;
            Draft::new(decoded(topic)?.parse()?, text, message_bytes, parameter)
        }
        Publish::Update(topic, id) => {
            let (topic, id) = (decoded(topic)?.parse()?, decoded(id)?);
            Draft::new(topic, text_of(body)?, message_bytes, |wanted| match wanted {
                Parameter::SequenceId => Some(id.clone().into_owned()),
                other => parameter(other),
            })
        }
        Publish::Json => {
            let mut json = JsonDraft::parse(body)?;
            json.message = json.message.map(|text| text.trim().to_owned());
            json.into_draft(message_bytes, parameter)
        }
    }
}

fn text_of(body: &[u8]) -> Result<&str, Error> {
    match std::str::from_utf8(body) {
        Ok(text) => Ok(text.trim()),
        Err(_) => Err(Error::new(
            Code::AttachmentsUnsupported,
            "body is not UTF-8 text, and attachments are not supported",
        )),
    }
}

/// What a publisher is told. There always is an answer.
pub(super) fn answer(app: &App, answer: Option<Answer>) -> Reply {
    let none = || Err(Error::new(Code::Internal, "there was no answer"));
    let answer = answer.unwrap_or_else(none);
    app.config.metrics.published(answer.is_ok());
    match answer {
        Ok(message) => {
            let json = message.frame().line();
            Reply::whole(axum::http::StatusCode::OK, "application/json", json)
        }
        Err(error) => Reply::refusal(&error),
    }
}
