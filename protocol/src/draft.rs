//! A message before it has a place in the log, and the parameters that make one.
//!
//! The ntfy dialect gives each parameter several names, in headers, in the query or as members of a
//! JSON object. [`Parameter`] is the table of those names; [`Draft::new`] asks for each parameter
//! once and checks it, so every way to publish obeys the same rules.

use serde::{Serialize, Serializer};

use crate::action::{Action, parse_actions, refused_scheme};
use crate::attachment::Attachment;
use crate::code::{Code, Error, quoted, said};
use crate::lenient::{self, members};
use crate::limits::{
    DELAY_BYTES_MAX, EMAIL_BYTES_MAX, MESSAGE_BYTES_MAX, MESSAGE_PARAMETER_BYTES_MAX,
    SEQUENCE_ID_BYTES_MAX, TAGS_BYTES_MAX, TITLE_BYTES_MAX, URL_BYTES_MAX,
};
use crate::topic::Topic;

/// The text of a message that was published without one, as in the ntfy dialect.
const EMPTY_MESSAGE: &str = "triggered";
/// The text of a request to fetch one from elsewhere, as in the ntfy dialect.
const POLL_MESSAGE: &str = "New message";

/// Makes [`Parameter`] and [`JsonDraft`] of one line a parameter: its names, and the member of a
/// JSON object that holds it, if one does.
macro_rules! parameters {
    ($($parameter:ident: $names:expr $(, $member:ident: $type:ty)?;)+) => {
        /// A parameter of a publish.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each is the parameter of that name")]
        pub enum Parameter {
            $($parameter,)+
        }

        impl Parameter {
            /// Its names in headers (any case) and in the query (lower case), the preferred one
            /// first.
            pub const fn names(self) -> &'static [&'static str] {
                match self { $(Self::$parameter => &$names,)+ }
            }
        }

        members! {
            /// The JSON form of a publish: the body of `POST /` and the rest of a `PUBJ` line.
            #[derive(Debug, Default)]
            #[allow(missing_docs, reason = "each is the parameter of that name")]
            pub struct JsonDraft {
                pub topic: String,
                pub message: String,
                $($(pub $member: $type,)?)+
            }
        }

        impl JsonDraft {
            /// What a member says, as the parameter that it stands for.
            pub fn parameter(&self, parameter: Parameter) -> Option<String> {
                let text = match parameter {
                    $($(Parameter::$parameter => self.$member.as_ref().and_then(Member::text),)?)+
                    _ => None,
                };
                text.filter(|text| !text.is_empty())
            }
        }
    };
}

parameters! {
    Message: ["x-message", "message", "m"];
    Title: ["x-title", "title", "t"], title: String;
    Priority: ["x-priority", "priority", "prio", "p"], priority: i64;
    Tags: ["x-tags", "tags", "tag", "ta"], tags: Vec<Option<String>>;
    Click: ["x-click", "click"], click: String;
    Icon: ["x-icon", "icon"], icon: String;
    Actions: ["x-actions", "actions", "action"], actions: serde_json::Value;
    Markdown: ["x-markdown", "markdown", "md"], markdown: bool;
    SequenceId: ["x-sequence-id", "sequence-id", "sid"], sequence_id: String;
    Attach: ["x-attach", "attach", "a"], attach: String;
    Filename: ["x-filename", "filename", "file", "f"], filename: String;
    Email: ["x-email", "x-e-mail", "email", "e-mail", "mail", "e"], email: String;
    Call: ["x-call", "call"], call: String;
    Delay: ["x-delay", "delay", "x-at", "at", "x-in", "in"], delay: String;
    Cache: ["x-cache", "cache"], cache: String;
    Template: ["x-template", "template", "tpl"];
    PollId: ["x-poll-id", "poll-id"];
}

/// A member of the JSON form as the text that its parameter would be.
trait Member {
    fn text(&self) -> Option<String>;
}

impl Member for String {
    fn text(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl Member for bool {
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// A priority, where 0 stands for none.
impl Member for i64 {
    fn text(&self) -> Option<String> {
        (*self != 0).then(|| self.to_string())
    }
}

impl Member for Vec<Option<String>> {
    fn text(&self) -> Option<String> {
        let texts: Vec<&str> = self.iter().flatten().map(String::as_str).collect();
        Some(texts.join(","))
    }
}

/// Actions, in either of their forms.
impl Member for serde_json::Value {
    fn text(&self) -> Option<String> {
        Some(self.as_str().map_or_else(|| self.to_string(), str::to_owned))
    }
}

/// What a draft does to the messages of its sequence id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Act {
    /// It is one of them: the newest version.
    #[default]
    Say,
    /// They have been seen.
    Clear,
    /// They are taken back.
    Delete,
    /// Nothing: it asks to fetch a message from another server.
    Poll,
}

/// A message without a place. Written as JSON, it is what [`JsonDraft`] reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Draft {
    /// Where it goes.
    #[serde(serialize_with = "serialize_topic")]
    pub topic: Topic,
    /// Its text; once it is checked, never empty if it says something.
    pub message: String,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// 1 (lowest) to 5 (highest); absent means 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// Its tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What a click on it opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub click: Option<String>,
    /// The address of its picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// Its buttons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
    /// A file that belongs to it; hardly any has one.
    #[serde(flatten, serialize_with = "serialize_attachment")]
    pub attachment: Option<Box<Attachment>>,
    /// Whether the text is Markdown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub markdown: bool,
    /// Whether those get it too who come later.
    #[serde(
        rename = "cache",
        serialize_with = "serialize_cache",
        skip_serializing_if = "Clone::clone"
    )]
    pub is_kept: bool,
    /// Whether the text is bytes in base64, which only those make who are sent bytes.
    #[serde(skip)]
    pub is_base64: bool,
    /// What it updates: messages with one sequence id are versions of one notification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence_id: Option<String>,
    /// What it does to them.
    #[serde(skip)]
    pub act: Act,
    /// What is to be fetched, if that is all that it asks for.
    #[serde(skip)]
    pub poll_id: Option<Box<str>>,
    /// When it is to be published, if not at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Box<Delay>>,
    /// To whom it is sent as mail, too. That is not told to its readers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Box<str>>,
}

/// When a message is to be published. Written as JSON, it is its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Delay {
    /// In the words of whoever publishes it.
    pub text: String,
    /// In unix microseconds, once the server has understood it.
    pub due_us: Option<u64>,
}

impl Delay {
    /// One that is not understood yet.
    pub fn said(text: impl Into<String>) -> Box<Self> {
        Box::new(Self { text: text.into(), due_us: None })
    }
}

impl From<Delay> for String {
    fn from(delay: Delay) -> Self {
        delay.text
    }
}

fn serialize_topic<S: Serializer>(topic: &Topic, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(topic.as_str())
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives the field as it is")]
fn serialize_cache<S: Serializer>(is_kept: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if *is_kept { "yes" } else { "no" })
}

/// As the two parameters that make one.
#[allow(clippy::ref_option, reason = "serde gives the field as it is")]
fn serialize_attachment<S: Serializer>(
    attachment: &Option<Box<Attachment>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let members = attachment.iter();
    let members = members.flat_map(|file| [("attach", &file.url), ("filename", &file.name)]);
    serializer.collect_map(members)
}

impl Draft {
    /// A draft that has a text and nothing else.
    pub fn text(topic: Topic, message: &str, message_bytes_max: usize) -> Result<Self, Error> {
        Self::new(topic, message, message_bytes_max, |_| None)
    }

    /// A draft that has a text and nothing else, and is not checked: for a client, whose server
    /// judges.
    pub fn unchecked(topic: Topic, message: impl Into<String>) -> Self {
        Self {
            topic,
            message: message.into(),
            title: None,
            priority: None,
            tags: Vec::new(),
            click: None,
            icon: None,
            actions: Vec::new(),
            attachment: None,
            markdown: false,
            is_kept: true,
            is_base64: false,
            sequence_id: None,
            act: Act::Say,
            poll_id: None,
            delay: None,
            email: None,
        }
    }

    /// A draft that asks to fetch a message from another server, as that server has somebody
    /// publish it. It passes, and has nothing else of what was sent.
    ///
    /// # Errors
    ///
    /// That the id is malformed.
    pub fn poll_request(topic: Topic, id: &str) -> Result<Self, Error> {
        if !is_plain_id(id) {
            let text = format!(
                "poll id {} is not 1 to {SEQUENCE_ID_BYTES_MAX} letters, digits, _ and -",
                quoted(id)
            );
            return Err(Error::new(Code::BadRequest, text));
        }
        let draft = Self::unchecked(topic, POLL_MESSAGE);
        Ok(Self { act: Act::Poll, poll_id: Some(id.into()), is_kept: false, ..draft })
    }

    /// A draft that does something to the messages of a sequence id, and says nothing.
    ///
    /// # Errors
    ///
    /// That the sequence id is malformed.
    pub fn on(topic: Topic, sequence_id: &str, act: Act) -> Result<Self, Error> {
        let sequence_id = Some(check_sequence_id(sequence_id.to_owned())?);
        Ok(Self { sequence_id, act, ..Self::unchecked(topic, "") })
    }

    /// A draft from a body and the parameters that `parameter` finds.
    ///
    /// A body wins over a message given as a parameter; in that one the two characters `\n` stand
    /// for the end of a line. `message_bytes_max` is the server's limit for the body.
    pub fn new(
        topic: Topic,
        body: &str,
        message_bytes_max: usize,
        mut parameter: impl FnMut(Parameter) -> Option<String>,
    ) -> Result<Self, Error> {
        debug_assert!(message_bytes_max <= MESSAGE_BYTES_MAX);
        let mut parameter = said_by(&mut parameter);
        if let Some(id) = parameter(Parameter::PollId) {
            return Self::poll_request(topic, &id);
        }
        refuse_unsupported(&mut parameter)?;
        let attachment = parse_attachment(&mut parameter)?;
        Self::checked(topic, body, message_bytes_max, attachment, parameter)
    }

    /// A draft of a message with a file that is still to come, called `filename` if that is given.
    pub fn with_file(
        topic: Topic,
        message_bytes_max: usize,
        mut parameter: impl FnMut(Parameter) -> Option<String>,
    ) -> Result<Self, Error> {
        let mut parameter = said_by(&mut parameter);
        if parameter(Parameter::PollId).is_some() {
            return Err(Error::new(Code::BadRequest, "a poll request has no file"));
        }
        refuse_unsupported(&mut parameter)?;
        let name = parameter(Parameter::Filename);
        let attachment = Some(Attachment::to_come(name.as_deref()));
        Self::checked(topic, "", message_bytes_max, attachment, parameter)
    }

    /// Gives the message the file that has come.
    pub fn attach(&mut self, file: Attachment) {
        let announced = self.attachment.as_deref().map(Attachment::announcement);
        if announced.as_ref() == Some(&self.message) {
            self.message = file.announcement();
        }
        self.attachment = Some(Box::new(file));
    }

    fn checked(
        topic: Topic,
        body: &str,
        message_bytes_max: usize,
        attachment: Option<Attachment>,
        mut parameter: impl FnMut(Parameter) -> Option<String>,
    ) -> Result<Self, Error> {
        let unsaid =
            || attachment.as_ref().map_or(EMPTY_MESSAGE.to_owned(), Attachment::announcement);
        let (message, limit) = if body.trim().is_empty() {
            let text = parameter(Parameter::Message);
            let text = text.map(|text| trimmed(text.replace("\\n", "\n")));
            let text = text.filter(|text| !text.is_empty());
            let limit = message_bytes_max.max(MESSAGE_PARAMETER_BYTES_MAX);
            (text.unwrap_or_else(unsaid), limit)
        } else {
            (body.to_owned(), message_bytes_max)
        };
        check_message(&message, limit)?;
        let is_kept = parameter(Parameter::Cache).is_none_or(|text| is_yes(&text));
        let delay = parameter(Parameter::Delay).map(check_delay).transpose()?;
        if delay.is_some() && !is_kept {
            let text = "a message with a delay is kept, so it cannot have cache=no";
            return Err(Error::new(Code::DelayNotKept, text));
        }
        Ok(Self {
            topic,
            message,
            title: parameter(Parameter::Title).map(check_title).transpose()?,
            priority: match parameter(Parameter::Priority) {
                Some(text) => parse_priority(&text)?,
                None => None,
            },
            tags: match parameter(Parameter::Tags) {
                Some(text) => parse_tags(&text)?,
                None => Vec::new(),
            },
            click: parameter(Parameter::Click).map(check_click).transpose()?,
            icon: parameter(Parameter::Icon).map(check_icon).transpose()?,
            actions: match parameter(Parameter::Actions) {
                Some(text) => parse_actions(&text)?,
                None => Vec::new(),
            },
            attachment: attachment.map(Box::new),
            markdown: parameter(Parameter::Markdown).is_some_and(|text| is_yes(&text)),
            is_kept,
            is_base64: false,
            sequence_id: parameter(Parameter::SequenceId).map(check_sequence_id).transpose()?,
            act: Act::Say,
            poll_id: None,
            delay,
            email: parameter(Parameter::Email)
                .filter(|to| !is_no(to))
                .map(check_email)
                .transpose()?,
        })
    }

    /// When it is to be published in unix microseconds, if not at once, once that is understood.
    pub fn due_us(&self) -> Option<u64> {
        self.delay.as_ref()?.due_us
    }

    /// The draft as one line of JSON without its end: the body of `POST /`, the rest of `PUBJ`.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain structs are always written")
    }

    /// Bytes that the draft holds, for the bound on publishes in flight.
    pub fn weight(&self) -> usize {
        let texts = [&self.title, &self.click, &self.icon, &self.sequence_id];
        self.topic.as_str().len()
            + self.message.len()
            + self.delay.as_ref().map_or(0, |delay| delay.text.len())
            + self.email.as_ref().map_or(0, |address| address.len())
            + texts.into_iter().flatten().map(String::len).sum::<usize>()
            + self.tags.iter().map(String::len).sum::<usize>()
            + self.actions.iter().map(Action::bytes).sum::<usize>()
            + self.attachment.iter().map(|file| file.name.len() + file.url.len()).sum::<usize>()
            + 256
    }
}

impl JsonDraft {
    /// Reads the JSON object.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        lenient::read(text).map_err(|error| {
            Error::new(
                Code::JsonInvalid,
                format!("message JSON is invalid: {}", said(&error.to_string())),
            )
        })
    }

    /// Where it goes.
    ///
    /// # Errors
    ///
    /// That it does not say so, or that the topic is malformed.
    pub fn topic(&self) -> Result<Topic, Error> {
        let none = || Error::new(Code::TopicInvalid, "message JSON has no topic");
        self.topic.as_deref().ok_or_else(none)?.parse()
    }

    /// The draft; `fallback` finds the parameters that the JSON lacks, such as those of headers.
    pub fn into_draft(
        self,
        message_bytes_max: usize,
        mut fallback: impl FnMut(Parameter) -> Option<String>,
    ) -> Result<Draft, Error> {
        let topic = self.topic()?;
        // A body keeps its two characters `\n`; a parameter would turn them into a line's end.
        let body = self.message.as_deref().unwrap_or_default();
        Draft::new(topic, body, message_bytes_max, |parameter| {
            self.parameter(parameter).or_else(|| fallback(parameter))
        })
    }

    /// As [`Self::into_draft`], with a file that is still to come in the place of its text.
    pub fn into_draft_with_file(
        self,
        message_bytes_max: usize,
        mut fallback: impl FnMut(Parameter) -> Option<String>,
    ) -> Result<Draft, Error> {
        Draft::with_file(self.topic()?, message_bytes_max, |parameter| {
            self.parameter(parameter).or_else(|| fallback(parameter))
        })
    }
}

/// The parameters as they are meant: blanks around one mean nothing, and one that is empty is none,
/// as in the JSON form.
fn said_by(
    parameter: &mut impl FnMut(Parameter) -> Option<String>,
) -> impl FnMut(Parameter) -> Option<String> {
    |which| parameter(which).map(trimmed).filter(|text| !text.is_empty())
}

/// What other servers of the dialect can do and this one can't is refused, never ignored.
fn refuse_unsupported(
    parameter: &mut impl FnMut(Parameter) -> Option<String>,
) -> Result<(), Error> {
    if parameter(Parameter::Call).is_some_and(|value| !is_no(&value)) {
        return Err(Error::new(Code::CallsUnsupported, "phone calls are not supported"));
    }
    Ok(())
}

/// A file that is somewhere else already.
fn parse_attachment(
    parameter: &mut impl FnMut(Parameter) -> Option<String>,
) -> Result<Option<Attachment>, Error> {
    let name = parameter(Parameter::Filename);
    match parameter(Parameter::Attach) {
        Some(url) => Attachment::at(url, name).map(Some),
        None if name.is_some() => {
            let text = "a file is the body of a publish over HTTP where files are kept, or attach names it";
            Err(Error::new(Code::AttachmentsUnsupported, text))
        }
        None => Ok(None),
    }
}

/// Whether a parameter says yes: `1`, `yes` or `true` in any case.
pub fn is_yes(text: &str) -> bool {
    ["1", "yes", "true"].iter().any(|yes| text.trim().eq_ignore_ascii_case(yes))
}

/// Whether a parameter that is no choice says no.
fn is_no(text: &str) -> bool {
    matches!(text, "no" | "0")
}

/// The text without blanks around it.
fn trimmed(text: String) -> String {
    if text.trim().len() == text.len() { text } else { text.trim().to_owned() }
}

fn check_message(message: &str, limit: usize) -> Result<(), Error> {
    if message.len() > limit {
        return Err(Error::new(
            Code::MessageTooLarge,
            format!("message is {} bytes long, limit is {limit}", message.len()),
        ));
    }
    Ok(())
}

fn check_title(title: String) -> Result<String, Error> {
    if title.len() > TITLE_BYTES_MAX {
        return Err(Error::new(
            Code::TitleTooLong,
            format!("title is {} bytes long, limit is {TITLE_BYTES_MAX}", title.len()),
        ));
    }
    Ok(title)
}

/// A priority, or none where the text is not meant as one.
///
/// Browsers send the standard header `Priority: u=3, i` of RFC 9218, which says how urgent the
/// answer is and nothing about the message.
fn parse_priority(text: &str) -> Result<Option<u8>, Error> {
    let text = text.trim();
    if text.starts_with("u=") || text == "i" {
        return Ok(None);
    }
    match text.to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "1" | "min" => Ok(Some(1)),
        "2" | "low" => Ok(Some(2)),
        "3" | "default" => Ok(Some(3)),
        "4" | "high" => Ok(Some(4)),
        "5" | "max" | "urgent" => Ok(Some(5)),
        _ => Err(Error::new(
            Code::PriorityInvalid,
            format!("priority {} is none of 1 to 5, min, low, default, high, max", quoted(text)),
        )),
    }
}

/// The number of a priority, for filters: `high` and `4` are one.
pub fn priority_number(text: &str) -> Result<Option<u8>, Error> {
    parse_priority(text)
}

fn parse_tags(text: &str) -> Result<Vec<String>, Error> {
    let tags = text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
    let bytes = tags.clone().map(str::len).sum::<usize>();
    if bytes > TAGS_BYTES_MAX {
        return Err(Error::new(
            Code::TagsTooLong,
            format!("tags are {bytes} bytes long together, limit is {TAGS_BYTES_MAX}"),
        ));
    }
    Ok(tags.map(str::to_owned).collect())
}

fn check_click(url: String) -> Result<String, Error> {
    let url = check_url("click", url)?;
    match refused_scheme(&url) {
        None => Ok(url),
        Some(scheme) => {
            let text = format!("click {} is a {scheme} address, which is refused", quoted(&url));
            Err(Error::new(Code::IconInvalid, text))
        }
    }
}

fn check_url(what: &str, url: String) -> Result<String, Error> {
    if url.len() > URL_BYTES_MAX {
        return Err(Error::new(
            Code::IconInvalid,
            format!("{what} is {} bytes long, limit is {URL_BYTES_MAX}", url.len()),
        ));
    }
    Ok(url)
}

fn check_icon(url: String) -> Result<String, Error> {
    let url = check_url("icon", url)?;
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(url);
    }
    Err(Error::new(Code::IconInvalid, format!("icon {} is no http or https address", quoted(&url))))
}

fn check_delay(delay: String) -> Result<Box<Delay>, Error> {
    if delay.len() > DELAY_BYTES_MAX {
        let text = format!("delay is {} bytes long, limit is {DELAY_BYTES_MAX}", delay.len());
        return Err(Error::new(Code::DelayInvalid, text));
    }
    Ok(Delay::said(delay))
}

fn check_email(address: String) -> Result<Box<str>, Error> {
    if address.len() > EMAIL_BYTES_MAX {
        let bytes = address.len();
        let text = format!("e-mail address is {bytes} bytes long, limit is {EMAIL_BYTES_MAX}");
        return Err(Error::new(Code::EmailInvalid, text));
    }
    Ok(address.into())
}

fn is_plain_id(id: &str) -> bool {
    let fits = (1..=SEQUENCE_ID_BYTES_MAX).contains(&id.len());
    fits && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn check_sequence_id(id: String) -> Result<String, Error> {
    if is_plain_id(&id) {
        return Ok(id);
    }
    Err(Error::new(
        Code::SequenceIdInvalid,
        format!(
            "sequence id {} is not 1 to {SEQUENCE_ID_BYTES_MAX} letters, digits, _ and -",
            quoted(&id)
        ),
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn draft(parameters: &[(Parameter, &str)], body: &str) -> Result<Draft, Error> {
        Draft::new("t".parse().unwrap(), body, 4096, |wanted| {
            let found = parameters.iter().find(|(parameter, _)| *parameter == wanted);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn parameters_are_read_and_checked() {
        let draft = draft(
            &[
                (Parameter::Title, " T "),
                (Parameter::Priority, "urgent"),
                (Parameter::Tags, "a, b,,c"),
                (Parameter::Icon, "https://i.example"),
                (Parameter::Markdown, "Yes"),
                (Parameter::Message, "one\\ntwo"),
            ],
            " \n",
        )
        .unwrap();
        assert_eq!(draft.message, "one\ntwo");
        assert_eq!((draft.title.as_deref(), draft.priority), (Some("T"), Some(5)));
        assert_eq!(draft.tags, ["a", "b", "c"]);
        assert!(draft.markdown);
    }

    #[test]
    fn an_empty_message_is_triggered_and_a_body_is_kept_as_it_is() {
        assert_eq!(draft(&[], " \n").unwrap().message, "triggered");
        assert_eq!(draft(&[], " a\\n ").unwrap().message, " a\\n ");
    }

    #[test]
    fn a_body_wins_over_a_message_in_a_parameter_which_may_be_longer() {
        assert_eq!(draft(&[(Parameter::Message, "parameter")], "body").unwrap().message, "body");
        let long = "x".repeat(MESSAGE_PARAMETER_BYTES_MAX);
        assert_eq!(draft(&[(Parameter::Message, &long)], "").unwrap().message, long);
        assert_eq!(draft(&[], &long).unwrap_err().code(), Code::MessageTooLarge);
    }

    #[test]
    fn commas_and_blanks_between_tags_do_not_count() {
        let tag = "x".repeat(TAGS_BYTES_MAX / 2);
        let tags = draft(&[(Parameter::Tags, &format!("{tag} , ,{tag}"))], "x").unwrap().tags;
        assert_eq!(tags, [tag.clone(), tag.clone()]);
        let error = draft(&[(Parameter::Tags, &format!("{tag},{tag},x"))], "x").unwrap_err();
        assert_eq!(error.code(), Code::TagsTooLong);
    }

    #[test]
    fn a_poll_request_has_its_id_and_passes_and_nothing_else_is_looked_at() {
        let id = (Parameter::PollId, "00004ziepp2w");
        let request = draft(&[id, (Parameter::Title, "T"), (Parameter::Priority, "9")], "body");
        let request = request.unwrap();
        assert_eq!((request.act, request.poll_id.as_deref()), (Act::Poll, Some(id.1)));
        assert_eq!((&*request.message, request.title), ("New message", None));
        assert!(!request.is_kept);
        let long = "x".repeat(SEQUENCE_ID_BYTES_MAX + 1);
        for wrong in ["a b", "a\nb", &long] {
            let error = draft(&[(Parameter::PollId, wrong)], "").unwrap_err();
            assert_eq!(error.code(), Code::BadRequest, "{wrong:?}");
        }
    }

    #[test]
    fn a_file_without_a_text_is_announced() {
        let file = (Parameter::Attach, "https://f.example/a.jpg");
        assert_eq!(draft(&[file], " ").unwrap().message, "You received a file: a.jpg");
        assert_eq!(draft(&[file], "text").unwrap().message, "text");
    }

    #[test]
    fn a_file_that_comes_is_announced_by_the_name_that_it_has_then() {
        let file = |parameters: &[(Parameter, &str)]| {
            let mut draft = Draft::with_file("t".parse().unwrap(), 4096, |wanted| {
                let found = parameters.iter().find(|(parameter, _)| *parameter == wanted);
                found.map(|(_, value)| (*value).to_owned())
            });
            draft.as_mut().unwrap().attach(Attachment::to_come(Some("attachment.txt")));
            draft.unwrap().message
        };
        assert_eq!(file(&[]), "You received a file: attachment.txt");
        assert_eq!(file(&[(Parameter::Filename, "a")]), "You received a file: attachment.txt");
        assert_eq!(file(&[(Parameter::Message, "text")]), "text");
    }

    #[test]
    fn an_empty_parameter_is_none() {
        use Parameter as P;
        let all = [P::Title, P::Priority, P::Tags, P::Click, P::Icon, P::Actions, P::SequenceId];
        let empty = draft(&all.map(|parameter| (parameter, "")), "x").unwrap();
        assert_eq!(empty, draft(&[], "x").unwrap());
    }

    #[test]
    fn the_standard_priority_header_of_browsers_is_ignored() {
        assert_eq!(draft(&[(Parameter::Priority, "u=3, i")], "x").unwrap().priority, None);
    }

    #[test]
    fn each_fault_has_its_number() {
        let long = "x".repeat(MESSAGE_PARAMETER_BYTES_MAX + 1);
        let cases: [(Parameter, &str, u32); 13] = [
            (Parameter::Message, &long, 41301),
            (Parameter::Title, &long, 40057),
            (Parameter::Tags, &long, 40058),
            (Parameter::Priority, "9", 40007),
            (Parameter::Icon, "ftp://x", 40021),
            (Parameter::Click, "javascript:alert(1)", 40021),
            (Parameter::Actions, "fly", 40018),
            (Parameter::SequenceId, "a b", 40049),
            (Parameter::Attach, "x", 40013),
            (Parameter::Filename, "x", 40014),
            (Parameter::Email, &long, 40050),
            (Parameter::Delay, &long, 40004),
            (Parameter::Call, "yes", 40032),
        ];
        for (parameter, value, number) in cases {
            let error = draft(&[(parameter, value)], "").unwrap_err();
            assert_eq!(error.code().number(), number, "{parameter:?}: {error}");
        }
    }

    #[test]
    fn json_members_win_over_headers_and_headers_fill_in() {
        let json = JsonDraft::parse(br#"{"topic":"t","message":"m","tags":["a","b"],"title":""}"#);
        let draft = json
            .unwrap()
            .into_draft(4096, |parameter| match parameter {
                Parameter::Title => Some("from a header".into()),
                Parameter::Tags => Some("z".into()),
                _ => None,
            })
            .unwrap();
        assert_eq!((draft.tags.len(), draft.title.as_deref()), (2, Some("from a header")));
        assert_eq!(JsonDraft::parse(b"[]").unwrap_err().code(), Code::JsonInvalid);
        let no_topic = JsonDraft::parse(b"{}").unwrap().into_draft(4096, |_| None);
        assert_eq!(no_topic.unwrap_err().code(), Code::TopicInvalid);
    }

    #[test]
    fn a_draft_is_read_back_from_its_json() {
        let plain = draft(&[], "two\nlines and \\n as it stands").unwrap();
        let full = draft(
            &[
                (Parameter::Title, "T"),
                (Parameter::Priority, "high"),
                (Parameter::Tags, "a,b"),
                (Parameter::Click, "https://c.example"),
                (Parameter::Icon, "https://i.example"),
                (Parameter::Actions, "view, Open, https://a.example"),
                (Parameter::Attach, "https://f.example/a"),
                (Parameter::Filename, "b"),
                (Parameter::Markdown, "yes"),
                (Parameter::SequenceId, "s1"),
                (Parameter::Delay, "10m"),
                (Parameter::Email, "a@b.example"),
            ],
            "body",
        )
        .unwrap();
        let passing = draft(&[(Parameter::Cache, "no")], "body").unwrap();
        for draft in [plain, full, passing] {
            let json = draft.to_json();
            assert!(!json.contains('\n'));
            let read = JsonDraft::parse(json.as_bytes()).unwrap();
            assert_eq!(read.into_draft(4096, |_| None).unwrap(), draft);
        }
    }

    #[test]
    fn what_json_is_refused_for_is_shown_in_one_short_line() {
        let odd = r"\u0000\r\n".repeat(100);
        let draft = JsonDraft::parse(format!(r#"{{"markdown":"{odd}"}}"#).as_bytes());
        let actions = parse_actions(&format!(r#"[{{"action":"{odd}"}}]"#));
        for error in [draft.map(drop).unwrap_err(), actions.map(drop).unwrap_err()] {
            let text = error.text();
            assert!(!text.contains(char::is_control), "{text:?}");
            assert!(text.len() < 600, "{} bytes", text.len());
        }
    }

    proptest! {
        #[test]
        fn any_json_is_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = JsonDraft::parse(&bytes);
        }

        #[test]
        fn any_parameter_is_parsed_or_refused(text in ".{0,80}", which in 0usize..17) {
            use Parameter as P;
            let all = [
                P::Message, P::Title, P::Priority, P::Tags, P::Click, P::Icon, P::Actions,
                P::Markdown, P::SequenceId, P::Attach, P::Filename, P::Email, P::Call, P::Delay,
                P::Cache, P::Template, P::PollId,
            ];
            let _ = draft(&[(all[which], &text)], &text);
        }
    }
}
