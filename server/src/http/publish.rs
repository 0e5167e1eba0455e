//! Publishing over HTTP: a body with parameters, or a JSON object; and what the publisher is told.

use std::borrow::Cow;

use axum::http::StatusCode;
use bytes::Bytes;
use doorbell_protocol::draft::{Act, JsonDraft, is_yes};
use doorbell_protocol::{Code, Draft, Error, Parameter};
use serde_json::json;

use super::App;
use super::bodies::{self, BodyLimit, Coding, Longer, pass_on};
use super::matrix::{self, Notification};
use super::params::Params;
use super::reply::Reply;
use super::request::{Request, decoded};
use super::templated::{self, is_templated};
use crate::limits::TEMPLATE_BODY_BYTES_MAX;
use crate::writer::Answer;

/// Bytes of a JSON publish beside its text: its other members, and their escapes.
const JSON_EXTRA_BYTES: usize = 16 << 10;

/// The ways to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Publish<'a> {
    /// `POST` or `PUT /TOPIC`, or `GET /TOPIC/publish`: the body is the text, if there is one. With
    /// `/SEQUENCE_ID` it is a new version of a notification.
    Body(&'a str, Option<&'a str>),
    /// `DELETE /TOPIC/SEQUENCE_ID` and the like: something is done to what was said by it.
    Act(&'a str, &'a str, Act),
    /// `POST` or `PUT /`: the body is a JSON object with a `topic`.
    Json,
    /// `POST /_matrix/push/v1/notify`: the body is a notification of Matrix.
    Matrix,
}

/// What has come of a body when its request is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent<'b> {
    /// All of it, or the beginning of a file.
    pub(super) begun: &'b [u8],
    /// Whether that is all.
    pub(super) is_whole: bool,
}

impl Publish<'_> {
    /// What its body may be, where a message may have so many bytes.
    pub(super) fn limit(self, app: &App, params: &Params<'_>, message_bytes: usize) -> BodyLimit {
        let (bytes, what, longer) = match self {
            Self::Body(..) if is_push(params) => (message_bytes, "message", Longer::Cut),
            Self::Body(..) if is_data(|wanted| params.parameter(wanted)) => {
                let bytes = message_bytes.max(TEMPLATE_BODY_BYTES_MAX);
                (bytes, "JSON body", Longer::Refused(Code::JsonTooLarge))
            }
            Self::Body(..) => {
                let refused = Longer::Refused(Code::MessageTooLarge);
                let parameter = |wanted| params.parameter(wanted);
                match app.takes_files().filter(|_| !says(parameter, Parameter::Attach)) {
                    Some(limits) if says(parameter, Parameter::Filename) => {
                        (0, "file", Longer::File(limits.bytes))
                    }
                    Some(limits) if coding(params) == Ok(Coding::Identity) => {
                        (message_bytes, "message", Longer::File(limits.bytes))
                    }
                    _ => (message_bytes, "message", refused),
                }
            }
            Self::Act(..) => (message_bytes, "message", Longer::Refused(Code::MessageTooLarge)),
            Self::Json => {
                let bytes = 2 * message_bytes + JSON_EXTRA_BYTES;
                (bytes, "JSON body", Longer::Refused(Code::JsonTooLarge))
            }
            Self::Matrix => {
                (message_bytes, "Matrix notification", Longer::Refused(Code::MatrixTooLarge))
            }
        };
        BodyLimit { bytes, what, longer }
    }
}

/// Whether a parameter is given. With the name of a file the body is one; with the address of a
/// file, which is somewhere else, it is the text.
fn says(parameter: impl Fn(Parameter) -> Option<String>, wanted: Parameter) -> bool {
    parameter(wanted).is_some_and(|value| !value.trim().is_empty())
}

/// Whether the body is JSON to fill in a template with, and no file.
fn is_data(parameter: impl Copy + Fn(Parameter) -> Option<String>) -> bool {
    is_templated(parameter) && !says(parameter, Parameter::Filename)
}

/// Whether a request is one of `UnifiedPush`: its body is for a program and is passed on as it is.
pub(super) fn is_push(params: &Params<'_>) -> bool {
    let says_so = params.get(&["x-unifiedpush", "unifiedpush", "up"]);
    says_so.is_some_and(|value| is_yes(&value)) || coding(params) == Ok(Coding::Encrypted)
}

/// What a program that looks for `UnifiedPush` at a topic is told.
pub(super) fn push_endpoint() -> Reply {
    Reply::json(StatusCode::OK, &json!({"unifiedpush": {"version": 1}}))
}

fn coding(params: &Params<'_>) -> Result<Coding, Error> {
    Coding::of(params.header("content-encoding").as_deref())
}

/// The body of a publish as it was before it was encoded to be sent.
///
/// # Errors
///
/// That it is too long, or malformed.
fn body<'b>(limit: BodyLimit, params: &Params<'_>, body: &'b [u8]) -> Result<Cow<'b, [u8]>, Error> {
    limit.check(body.len() as u64)?;
    let body = &body[..body.len().min(limit.bytes)];
    coding(params)?.undo(body, limit)
}

/// A body that is text.
fn text_of<'b>(body: &'b [u8], params: &Params<'_>) -> Result<Cow<'b, str>, Error> {
    let (text, is_text) = bodies::text(body, params.header("content-type").as_deref());
    if is_text {
        return Ok(text);
    }
    let text = "body is not text, in UTF-8 or the charset that it names, and can be no file here";
    Err(Error::new(Code::AttachmentsUnsupported, text))
}

/// Whether a body is a file: it has the name of one, or is no text that a message may have.
///
/// # Errors
///
/// That it is one and may not be.
fn is_file(limit: BodyLimit, params: &Params<'_>, sent: Sent<'_>) -> Result<bool, Error> {
    let Longer::File(_) = limit.longer else { return Ok(false) };
    let is_named = says(|wanted| params.parameter(wanted), Parameter::Filename);
    let is_text = || bodies::text(sent.begun, params.header("content-type").as_deref()).1;
    if is_named && coding(params)? != Coding::Identity {
        let text = "a file is kept as it is sent, and is to have no content-encoding";
        return Err(Error::new(Code::CodingUnsupported, text));
    }
    let is_long = !sent.is_whole || sent.begun.len() > limit.bytes;
    let is_file = is_named || is_long || !is_text();
    if is_file {
        limit.check(sent.begun.len() as u64)?;
    }
    Ok(is_file)
}

/// What a publish asks for.
pub(super) enum Prepared {
    /// To publish, and to be told of it so.
    Publish(Draft, Acknowledgement),
    /// To publish a file.
    File(Draft, FileBegun),
    /// Nothing more: this is the answer.
    Answered(Reply),
}

/// What there is of a file before it is read as it comes.
pub(super) struct FileBegun {
    pub(super) bytes: Bytes,
    /// Whether it has a name, or is to have the ending of what it is.
    pub(super) is_named: bool,
}

/// What is to be published.
///
/// # Errors
///
/// Why it cannot be.
pub(super) fn prepare(
    app: &App,
    publish: Publish<'_>,
    request: &Request<'_>,
    sent: Sent<'_>,
    message_bytes: usize,
) -> Result<Prepared, Error> {
    let params = Params::of(request);
    let limit = publish.limit(app, &params, message_bytes);
    let is_file = is_file(limit, &params, sent)?;
    let body = if is_file { Cow::default() } else { body(limit, &params, sent.begun)? };
    let draft = match publish {
        Publish::Body(topic, id) => {
            let topic = decoded(topic)?.parse()?;
            let id = id.map(decoded).transpose()?;
            let parameter = |wanted| match (wanted, &id) {
                (Parameter::SequenceId, Some(id)) => Some(id.clone().into_owned()),
                _ => params.parameter(wanted),
            };
            if is_file {
                let draft = Draft::with_file(topic, message_bytes, parameter)?;
                let bytes = Bytes::copy_from_slice(sent.begun);
                let is_named = says(|wanted| params.parameter(wanted), Parameter::Filename);
                return Ok(Prepared::File(draft, FileBegun { bytes, is_named }));
            }
            if is_push(&params) {
                let draft = Draft::new(topic, "", message_bytes, parameter);
                draft.map(|draft| pass_on(draft, &body))
            } else {
                let text = text_of(&body, &params)?;
                templated::draft(app, topic, text.trim(), message_bytes, parameter)
            }
        }
        Publish::Act(topic, id, act) => Draft::on(decoded(topic)?.parse()?, &decoded(id)?, act),
        Publish::Json => {
            let (text, _) = bodies::text(&body, params.header("content-type").as_deref());
            let mut json = JsonDraft::parse(text.as_bytes())?;
            json.message = json.message.map(|text| text.trim().to_owned());
            let fallback = |wanted| params.parameter(wanted);
            if let Some(begun) = json_file(app, &json, fallback, message_bytes) {
                let draft = json.into_draft_with_file(message_bytes, fallback)?;
                return Ok(Prepared::File(draft, begun));
            }
            let body = json.message.as_deref().unwrap_or_default();
            let parameter = |wanted| json.parameter(wanted).or_else(|| fallback(wanted));
            templated::draft(app, json.topic()?, body, message_bytes, parameter)
        }
        Publish::Matrix => {
            return Ok(match matrix::notification(app, &body, message_bytes)? {
                Notification::Here(draft) => Prepared::Publish(*draft, Acknowledgement::Matrix),
                Notification::Elsewhere(pushkey) => {
                    Prepared::Answered(matrix::rejected(Some(&pushkey)))
                }
            });
        }
    };
    Ok(Prepared::Publish(draft?, Acknowledgement::Event))
}

/// The text of a JSON publish where it is a file, as a body would be: it has the name of one, or is
/// longer than the text of a message may be.
fn json_file(
    app: &App,
    json: &JsonDraft,
    fallback: impl Fn(Parameter) -> Option<String>,
    message_bytes: usize,
) -> Option<FileBegun> {
    app.takes_files()?;
    let text = json.message.as_deref().filter(|text| !text.is_empty())?;
    let parameter = |wanted| json.parameter(wanted).or_else(|| fallback(wanted));
    let is_named = says(parameter, Parameter::Filename);
    let is_file = is_named || text.len() > message_bytes && !is_data(parameter);
    (is_file && !says(parameter, Parameter::Attach))
        .then(|| FileBegun { bytes: Bytes::copy_from_slice(text.as_bytes()), is_named })
}

/// How a publisher is told that its message is stored.
#[derive(Debug, Clone, Copy)]
pub(super) enum Acknowledgement {
    /// By its event.
    Event,
    /// As a server of Matrix expects it.
    Matrix,
}

/// What a publisher is told. There always is an answer.
pub(super) fn answer(app: &App, answer: Option<Answer>, told: Acknowledgement) -> Reply {
    let none = || Err(Error::new(Code::Internal, "there was no answer"));
    let answer = answer.unwrap_or_else(none);
    app.config.metrics.published(answer.is_ok());
    match (answer, told) {
        (Ok(message), Acknowledgement::Event) => {
            let json = message.frame().line();
            Reply::whole(StatusCode::OK, "application/json", json)
        }
        (Ok(_), Acknowledgement::Matrix) => matrix::rejected(None),
        (Err(error), _) => Reply::refusal(&error),
    }
}
