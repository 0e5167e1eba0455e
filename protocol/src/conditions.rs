//! What a reader asks of a message beyond its topic: the filters of the ntfy dialect. The server
//! holds messages to them, and so does a client whose connection cannot say them.

use std::borrow::Cow;
use std::fmt::Write as _;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::code::Error;
use crate::draft::priority_number;
use crate::event::Event;

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

    /// Whether the message of an event meets them.
    pub fn met_by(&self, event: &Event<'_>) -> bool {
        let same = |wanted: &Option<String>, text: &Option<Cow<'_, str>>| {
            wanted.as_deref().is_none_or(|wanted| text.as_deref() == Some(wanted))
        };
        let is_it = |wanted: &String| event.id.is_some_and(|id| id.to_string() == *wanted);
        let priority = event.priority.unwrap_or(PRIORITY_DEFAULT);
        self.id.as_ref().is_none_or(is_it)
            && same(&self.message, &event.message)
            && same(&self.title, &event.title)
            && (self.priorities.is_empty() || self.priorities.contains(&priority))
            && self.tags.iter().all(|tag| event.tags.contains(tag))
    }

    /// As the parameters of an address, each behind an `&`.
    pub fn query(&self) -> String {
        let mut query = String::new();
        let mut say = |name: &str, value: &str| {
            let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
            // Writing to a string does not fail.
            let _ = write!(query, "&{name}={value}");
        };
        for (name, text) in [("id", &self.id), ("message", &self.message), ("title", &self.title)] {
            if let Some(text) = text {
                say(name, text);
            }
        }
        let priorities: Vec<String> = self.priorities.iter().map(u8::to_string).collect();
        for (name, list) in [("priority", priorities.join(",")), ("tags", self.tags.join(","))] {
            if !list.is_empty() {
                say(name, &list);
            }
        }
        query
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(title: Option<&str>, priorities: Option<&str>, tags: Option<&str>) -> Conditions {
        Conditions::new(None, None, title.map(str::to_owned), priorities, tags).unwrap()
    }

    fn meets(conditions: &Conditions, members: &str) -> bool {
        let json = format!(r#"{{"id":"00004ziepp2I","time":1,"event":"message"{members}}}"#);
        conditions.met_by(&Event::parse(json.as_bytes()).unwrap())
    }

    #[test]
    fn any_of_the_priorities_and_all_of_the_tags_are_asked_for() {
        let urgent = conditions(None, Some("default, max"), None);
        assert!(meets(&urgent, "") && meets(&urgent, r#","priority":5"#));
        assert!(!meets(&urgent, r#","priority":4"#));
        let tagged = conditions(Some("T"), None, Some("a,b"));
        assert!(meets(&tagged, r#","title":"T","tags":["b","c","a"]"#));
        assert!(!meets(&tagged, r#","title":"T","tags":["a"]"#));
        assert!(!meets(&tagged, r#","tags":["a","b"]"#));
        assert!(conditions(Some(""), Some(","), Some("")).is_empty());
        assert!(Conditions::new(None, None, None, Some("9"), None).is_err());
    }

    #[test]
    fn as_a_query_they_are_escaped() {
        let query = conditions(Some("a&b ü"), Some("high,max"), Some("x,y")).query();
        assert_eq!(query, "&title=a%26b%20%C3%BC&priority=4%2C5&tags=x%2Cy");
    }
}
