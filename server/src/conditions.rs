//! What a reader asks of a message beyond its topic: the filters of the ntfy dialect.

use doorbell_protocol::Error;
use doorbell_protocol::draft::priority_number;

use crate::message::Message;

/// Conditions that a message must meet, all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    id: Option<String>,
    message: Option<String>,
    title: Option<String>,
    /// Any of these; a message without a priority has 3.
    priorities: Vec<u8>,
    /// All of these.
    tags: Vec<String>,
}

/// The priority of a message that has none.
const PRIORITY_DEFAULT: u8 = 3;

impl Conditions {
    /// Conditions from their texts; empty ones ask for nothing.
    pub fn new(
        id: Option<String>,
        message: Option<String>,
        title: Option<String>,
        priorities: Option<&str>,
        tags: Option<&str>,
    ) -> Result<Self, Error> {
        let list = |text: Option<&str>| -> Vec<String> {
            let parts = text.unwrap_or_default().split(',').map(str::trim);
            parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let mut numbers = Vec::new();
        for text in list(priorities) {
            numbers.extend(priority_number(&text)?);
        }
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Self {
            id: given(id),
            message: given(message),
            title: given(title),
            priorities: numbers,
            tags: list(tags),
        })
    }

    /// Whether every message meets them.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the message meets them.
    pub fn met_by(&self, message: &Message) -> bool {
        if self.id.as_ref().is_some_and(|id| *id != message.id().to_string()) {
            return false;
        }
        message.with_event(|event| {
            let Some(event) = event else { return false };
            let same = |wanted: &Option<String>, text: &Option<std::borrow::Cow<'_, str>>| {
                wanted.as_deref().is_none_or(|wanted| text.as_deref() == Some(wanted))
            };
            let priority = event.priority.unwrap_or(PRIORITY_DEFAULT);
            same(&self.message, &event.message)
                && same(&self.title, &event.title)
                && (self.priorities.is_empty() || self.priorities.contains(&priority))
                && self.tags.iter().all(|tag| event.tags.contains(tag))
        })
    }
}
