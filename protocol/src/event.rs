//! The JSON objects that the server sends: one shape on every transport.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::attachment::Attachment;
use crate::code::{Code, Error};
use crate::draft::{Act, Draft};
use crate::id::{self, ID_CHARS, Id};
use crate::json::Object;

/// What an event is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The conversation begins; its id is the place where the reader stands.
    Open,
    /// Nothing new; its id is the place reached.
    Keepalive,
    /// A message.
    Message,
    /// What was said by a sequence id has been seen: whoever shows it need not any more.
    #[serde(rename = "message_clear")]
    MessageClear,
    /// What was said by a sequence id is taken back.
    #[serde(rename = "message_delete")]
    MessageDelete,
    /// Another server has a message of this id for whoever reads this.
    #[serde(rename = "poll_request")]
    PollRequest,
    /// Line protocol: the command was carried out.
    Ok,
    /// Line protocol: the command was refused.
    Error,
    /// Line protocol: the answer to `PING`.
    Pong,
    /// Line protocol: the server ends the conversation.
    Close,
    /// A kind that this version does not know, to be passed over.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Kind {
    /// What tells readers of an act.
    pub const fn of(act: Act) -> Self {
        match act {
            Act::Say => Self::Message,
            Act::Clear => Self::MessageClear,
            Act::Delete => Self::MessageDelete,
            Act::Poll => Self::PollRequest,
        }
    }

    /// What it tells of, if it was published.
    pub const fn act(self) -> Option<Act> {
        match self {
            Self::Message => Some(Act::Say),
            Self::MessageClear => Some(Act::Clear),
            Self::MessageDelete => Some(Act::Delete),
            Self::PollRequest => Some(Act::Poll),
            _ => None,
        }
    }

    /// Whether it was published, so that it stands in the log and has a place of its own.
    pub const fn is_published(self) -> bool {
        self.act().is_some()
    }
}

/// Messages that a cursor asked for and the log no longer holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The place asked for, as the reader named it.
    pub after: String,
    /// The first place that is still held; what is read goes on from there.
    pub before: Id,
    /// Why.
    pub reason: GapReason,
}

impl Gap {
    /// This gap and one right behind it, told as one.
    #[must_use]
    pub fn joined(self, next: &Self) -> Self {
        Self { before: self.before.max(next.before), ..self }
    }

    /// The gap as one line of JSON, for the header `Doorbell-Gap`.
    pub fn to_json(&self) -> String {
        // It holds nothing that JSON cannot write: no maps with odd keys, no floats.
        serde_json::to_string(self).expect("plain structs are always written")
    }
}

/// Why messages are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GapReason {
    /// They were older or more than retention keeps.
    Expired,
    /// The id belongs to another log, so nobody can say what came after it here.
    Foreign,
    /// Their stored bytes no longer match their checksum.
    Damaged,
    /// The machine died before they were synced, or the log was put back to an earlier state.
    Lost,
    /// A reason that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Makes [`Event`] of its members, so that each has one line for how it is read, written and
/// copied. A `text` may be absent, and so may any other `value`; a `list` may be empty; the rest is
/// `always` there. An `id` is the place of a message.
macro_rules! event {
    ($($(#[$attribute:meta])* $kind:ident $name:ident: $type:ty,)+) => {
        /// One JSON object of the wire. Members that are absent are not written.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
        pub struct Event<'a> {
            $($(#[$attribute])* pub $name: $type,)+
        }

        impl<'a> Event<'a> {
            /// Appends the event as JSON, without the end of a line. Members are in the order of
            /// the fields.
            pub fn write_json(&self, out: &mut Vec<u8>) {
                let mut object = Object::begin(out);
                $(event!(@write $kind object, stringify!($name), self.$name);)+
                object.end();
            }

            /// The same event, with nothing borrowed from the bytes that it was read from.
            pub fn into_owned(self) -> Event<'static> {
                Event { $($name: event!(@own $kind self.$name),)+ }
            }
        }
    };
    (@write id $object:ident, $name:expr, $value:expr) => {
        let id = $value.map(Id::encode);
        $object.text($name, id.as_ref().map(|id| id::text(id)));
    };
    (@write text $object:ident, $name:expr, $value:expr) => {
        $object.text($name, $value.as_deref());
    };
    (@write list $object:ident, $name:expr, $value:expr) => {
        $object.value($name, Some(&$value).filter(|list| !list.is_empty()));
    };
    (@write value $object:ident, $name:expr, $value:expr) => {
        $object.value($name, $value.as_ref());
    };
    (@write always $object:ident, $name:expr, $value:expr) => {
        $object.value($name, Some(&$value));
    };
    (@own text $value:expr) => { $value.map(|text| Cow::Owned(text.into_owned())) };
    (@own list $value:expr) => { Cow::Owned($value.into_owned()) };
    (@own $kind:ident $value:expr) => { $value };
}

event! {
    /// The place of the message, or the place reached.
    #[serde(default)]
    id id: Option<Id>,
    /// The same place as a number.
    #[serde(default)]
    value seq: Option<u64>,
    /// Unix seconds of the acceptance.
    always time: u64,
    /// Unix microseconds of the acceptance.
    #[serde(default)]
    always time_us: u64,
    /// What it is about.
    always event: Kind,
    /// The topic, or the filter that a subscription named.
    #[serde(default, borrow)]
    text topic: Option<Cow<'a, str>>,
    /// What the message is a version of.
    #[serde(default, borrow)]
    text sequence_id: Option<Cow<'a, str>>,
    /// The title.
    #[serde(default, borrow)]
    text title: Option<Cow<'a, str>>,
    /// The text.
    #[serde(default, borrow)]
    text message: Option<Cow<'a, str>>,
    /// 1 to 5; absent means 3.
    #[serde(default)]
    value priority: Option<u8>,
    /// The tags.
    #[serde(default)]
    list tags: Cow<'a, [String]>,
    /// What a click opens.
    #[serde(default, borrow)]
    text click: Option<Cow<'a, str>>,
    /// The address of a picture.
    #[serde(default, borrow)]
    text icon: Option<Cow<'a, str>>,
    /// The buttons.
    #[serde(default)]
    list actions: Cow<'a, [Action]>,
    /// A file.
    #[serde(default)]
    value attachment: Option<Attachment>,
    /// What is to be fetched from another server.
    #[serde(default, borrow)]
    text poll_id: Option<Cow<'a, str>>,
    /// `text/markdown`, or absent.
    #[serde(default, borrow)]
    text content_type: Option<Cow<'a, str>>,
    /// `base64` where the text is bytes, or absent.
    #[serde(default, borrow)]
    text encoding: Option<Cow<'a, str>>,
    /// Unix seconds when retention by age lets go of the message.
    #[serde(default)]
    value expires: Option<u64>,
    /// The number of an error.
    #[serde(default)]
    value code: Option<u32>,
    /// The HTTP status that an error would have.
    #[serde(default)]
    value http: Option<u16>,
    /// The sentence of an error.
    #[serde(default, borrow)]
    text error: Option<Cow<'a, str>>,
    /// Whole seconds, rounded up, after which a quiet connection gets a sign of life; in `open`,
    /// where it is longer than clients expect.
    #[serde(default)]
    value keepalive: Option<u64>,
    /// What was lost before this event.
    #[serde(default)]
    value gap: Option<Gap>,
}

impl<'a> Event<'a> {
    /// An event with its kind and time, and nothing else.
    pub fn new(event: Kind, time_us: u64) -> Self {
        Self { event, time: time_us / 1_000_000, time_us, ..Self::default() }
    }

    /// The same event with a place.
    #[must_use]
    pub fn at(mut self, id: Id) -> Self {
        self.id = Some(id);
        self.seq = Some(id.seq());
        self
    }

    /// The event of an error, as the line protocol and datagrams tell it.
    pub fn error(error: &Error, time_us: u64) -> Event<'static> {
        Event {
            code: Some(error.code().number()),
            http: Some(error.code().status()),
            error: Some(Cow::Owned(error.text().to_owned())),
            ..Event::new(Kind::Error, time_us)
        }
    }

    /// The event of an accepted message, or of what was done to one. `expires` is in unix seconds.
    pub fn message(draft: &'a Draft, id: Id, time_us: u64, expires: Option<u64>) -> Self {
        let text = |text: &'a Option<String>| text.as_deref().map(Cow::Borrowed);
        Self {
            topic: Some(Cow::Borrowed(draft.topic.as_str())),
            sequence_id: text(&draft.sequence_id),
            title: text(&draft.title),
            message: matches!(draft.act, Act::Say | Act::Poll)
                .then_some(Cow::Borrowed(&draft.message)),
            priority: draft.priority,
            tags: Cow::Borrowed(&draft.tags),
            click: text(&draft.click),
            icon: text(&draft.icon),
            actions: Cow::Borrowed(&draft.actions),
            attachment: draft.attachment.as_deref().cloned(),
            poll_id: draft.poll_id.as_deref().map(Cow::Borrowed),
            content_type: draft.markdown.then_some(Cow::Borrowed("text/markdown")),
            encoding: draft.is_base64.then_some(Cow::Borrowed("base64")),
            expires,
            ..Self::new(Kind::of(draft.act), time_us).at(id)
        }
    }

    /// What was published, as far as its event tells it.
    ///
    /// # Errors
    ///
    /// It was not published, or its topic is malformed.
    pub fn into_draft(self) -> Result<Draft, Error> {
        let text = |text: Option<Cow<'a, str>>| text.map(Cow::into_owned);
        let unpublished = || Error::new(Code::BadRequest, "the event is no message with a topic");
        let act = self.event.act().ok_or_else(unpublished)?;
        let topic = self.topic.ok_or_else(unpublished)?.parse()?;
        Ok(Draft {
            title: text(self.title),
            priority: self.priority,
            tags: self.tags.into_owned(),
            click: text(self.click),
            icon: text(self.icon),
            actions: self.actions.into_owned(),
            attachment: self.attachment.map(Box::new),
            markdown: self.content_type.is_some_and(|kind| kind == "text/markdown"),
            is_base64: self.encoding.is_some_and(|encoding| encoding == "base64"),
            sequence_id: text(self.sequence_id),
            poll_id: text(self.poll_id).map(Into::into),
            act,
            ..Draft::unchecked(topic, text(self.message).unwrap_or_default())
        })
    }

    /// Reads one JSON object.
    pub fn parse(json: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// The event as JSON, without the end of a line.
    pub fn to_json(&self) -> String {
        let mut json = Vec::with_capacity(192);
        self.write_json(&mut json);
        String::from_utf8(json).expect("JSON is UTF-8")
    }
}

/// A message event, encoded once for every transport.
///
/// The bytes are those of a server-sent event; the JSON line and the JSON alone are parts of them:
///
/// ```text
/// id: 00004ziepp2w\ndata: {"id":…}\n\n
///                         |- json -|
///                         |-- line --|
/// |-------------- sse ---------------|  (one \n more)
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame(Bytes);

const SSE_ID: &[u8] = b"id: ";
const SSE_DATA: &[u8] = b"\ndata: ";
const SSE_END: &[u8] = b"\n\n";
const JSON_START: usize = SSE_ID.len() + ID_CHARS + SSE_DATA.len();

impl Frame {
    /// Encodes an event that has a place.
    pub fn new(id: Id, event: &Event<'_>) -> Self {
        // Room for the text and all that nearly every message has beside it.
        let text = event.message.as_ref().map_or(0, |text| text.len());
        let mut bytes = Vec::with_capacity(JSON_START + 256 + text + SSE_END.len());
        begin(&mut bytes, id);
        event.write_json(&mut bytes);
        bytes.extend_from_slice(SSE_END);
        Self(bytes.into())
    }

    /// Wraps JSON that was encoded before, such as a stored message.
    pub fn from_json(id: Id, json: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(JSON_START + json.len() + SSE_END.len());
        begin(&mut bytes, id);
        bytes.extend_from_slice(json);
        bytes.extend_from_slice(SSE_END);
        Self(bytes.into())
    }

    /// The same message with a gap as its last member.
    #[must_use]
    pub fn with_gap(&self, id: Id, gap: &Gap) -> Self {
        let json = &self.0[self.json_range()];
        let object = json.strip_suffix(b"}").unwrap_or(json);
        let json = [object, b",\"gap\":", gap.to_json().as_bytes(), b"}"].concat();
        Self::from_json(id, &json)
    }

    /// A whole server-sent event: `id:` and `data:` fields and the empty line.
    pub fn sse(&self) -> Bytes {
        self.0.clone()
    }

    /// The JSON with the end of its line, for NDJSON and the line protocol.
    pub fn line(&self) -> Bytes {
        self.0.slice(JSON_START..self.0.len() - 1)
    }

    /// The JSON alone, for WebSocket text frames.
    pub fn json(&self) -> Bytes {
        self.0.slice(self.json_range())
    }

    /// Bytes held.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: a frame holds at least its framing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn json_range(&self) -> Range<usize> {
        JSON_START..self.0.len() - SSE_END.len()
    }
}

fn begin(bytes: &mut Vec<u8>, id: Id) {
    bytes.extend_from_slice(SSE_ID);
    bytes.extend_from_slice(&id.encode());
    bytes.extend_from_slice(SSE_DATA);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::Epoch;

    fn draft(message: &str) -> Draft {
        Draft::text("orders".parse().unwrap(), message, 4096).unwrap()
    }

    #[test]
    fn a_message_is_written_as_the_interface_shows_it() {
        let id = Epoch::from_bits(1).id(42);
        let draft = draft("hi");
        let event = Event::message(&draft, id, 1_763_850_000_123_456, None);
        assert_eq!(
            event.to_json(),
            "{\"id\":\"00004ziepp2w\",\"seq\":42,\"time\":1763850000,\
             \"time_us\":1763850000123456,\"event\":\"message\",\"topic\":\"orders\",\
             \"message\":\"hi\"}"
        );
    }

    #[test]
    fn what_is_done_to_a_message_names_it_and_says_nothing() {
        let id = Epoch::from_bits(1).id(42);
        for (act, name) in [(Act::Clear, "message_clear"), (Act::Delete, "message_delete")] {
            let draft = Draft::on("orders".parse().unwrap(), "s-1", act).unwrap();
            let json = Event::message(&draft, id, 7, None).to_json();
            let told =
                format!("\"event\":\"{name}\",\"topic\":\"orders\",\"sequence_id\":\"s-1\"}}");
            assert!(json.ends_with(&told), "{json}");
            assert!(Event::parse(json.as_bytes()).unwrap().event.is_published());
        }
    }

    #[test]
    fn every_framing_is_a_part_of_the_same_bytes() {
        let id = Epoch::from_bits(1).id(42);
        let draft = draft("hi");
        let frame = Frame::new(id, &Event::message(&draft, id, 7, None));
        let json = String::from_utf8(frame.json().to_vec()).unwrap();
        assert_eq!(frame.line(), format!("{json}\n"));
        assert_eq!(frame.sse(), format!("id: {id}\ndata: {json}\n\n"));
        assert_eq!(Frame::from_json(id, json.as_bytes()), frame);
    }

    #[test]
    fn a_gap_is_added_to_the_bytes_of_a_message() {
        let id = Epoch::from_bits(1).id(42);
        let draft = draft("hi");
        let mut event = Event::message(&draft, id, 7, None);
        let gap = Gap { after: "x".into(), before: id, reason: GapReason::Expired };
        let spliced = Frame::new(id, &event).with_gap(id, &gap);
        event.gap = Some(gap);
        assert_eq!(spliced, Frame::new(id, &event));
    }

    #[test]
    fn unknown_kinds_and_members_are_passed_over() {
        let event = Event::parse(br#"{"time":1,"event":"message_shrunk","new":[1]}"#).unwrap();
        assert_eq!(event.event, Kind::Unknown);
    }

    #[test]
    fn every_member_is_read_back_as_it_was_written() {
        let text = |text: &'static str| Some(Cow::Borrowed(text));
        let id = Epoch::from_bits(1).id(42);
        let action = r#"{"id":"x","action":"view","label":"Open","clear":true,"url":"https://a"}"#;
        let event = Event {
            topic: text("orders"),
            sequence_id: text("s1"),
            title: text("T\t\"quoted\""),
            message: text("two\nlines and a \\"),
            priority: Some(5),
            tags: vec!["a".to_owned(), "ü\u{1}".to_owned()].into(),
            click: text("https://c"),
            icon: text("https://i"),
            actions: vec![serde_json::from_str(action).unwrap()].into(),
            attachment: Some(Attachment {
                name: "a".to_owned(),
                url: "https://f".to_owned(),
                ..Attachment::default()
            }),
            poll_id: text("00004ziepp2w"),
            content_type: text("text/markdown"),
            encoding: text("base64"),
            expires: Some(7),
            code: Some(40000),
            http: Some(400),
            error: text("no"),
            gap: Some(Gap { after: "x".into(), before: id, reason: GapReason::Lost }),
            ..Event::new(Kind::Message, 1_763_850_000_123_456).at(id)
        };
        let json = event.to_json();
        assert_eq!(Event::parse(json.as_bytes()).unwrap(), event);
        let members = serde_json::from_str::<serde_json::Value>(&json).unwrap();
        assert_eq!(members.as_object().unwrap().len(), 23);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Event::parse(&bytes);
        }

        #[test]
        fn messages_round_trip_on_one_line(text in ".{1,80}", time_us in 0u64..1 << 52) {
            let id = Epoch::from_bits(3).id(9);
            let draft = draft(&text);
            let event = Event::message(&draft, id, time_us, Some(5));
            let frame = Frame::new(id, &event);
            let json = frame.json();
            prop_assert!(!json.contains(&b'\n'));
            prop_assert_eq!(&Event::parse(&json).unwrap(), &event);
            prop_assert_eq!(&Event::parse(&json).unwrap().into_owned(), &event);
        }
    }
}
