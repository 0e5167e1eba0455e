//! What a browser is pushed: a message in the form of the dialect, cut to what fits.

use std::borrow::Cow;

use doorbell_protocol::Event;

use super::encryption::TEXT_BYTES_MAX;

/// Bytes of a link that is worth as much as the text.
const LINK_BYTES_MAX: usize = 512;
/// What stands behind a text that was cut.
const CUT: &str = "…";

/// The JSON of a push that tells a browser that its subscription ends unless its page is opened.
pub(super) const EXPIRING: &str = "{\"event\":\"subscription_expiring\"}";

/// The JSON of a push of a message to whoever knows its topic by this address.
pub(super) fn payload(event: &Event<'_>, subscription_id: &str) -> Vec<u8> {
    let mut event = event.clone();
    // A notification is its text first of all; a short link goes with it.
    let shorten: [fn(&mut Event<'_>, usize); 5] = [
        |event, _| event.actions = Cow::default(),
        |event, _| event.icon = None,
        |event, _| {
            event.click.take_if(|url| url.len() > LINK_BYTES_MAX);
            event.attachment.take_if(|file| file.url.len() > LINK_BYTES_MAX);
        },
        cut,
        |event, _| {
            (event.title, event.tags) = (None, Cow::default());
            (event.click, event.attachment) = (None, None);
        },
    ];
    let mut json = written(&event, subscription_id);
    for step in shorten {
        if json.len() <= TEXT_BYTES_MAX {
            break;
        }
        step(&mut event, json.len() - TEXT_BYTES_MAX);
        json = written(&event, subscription_id);
    }
    json
}

fn written(event: &Event<'_>, subscription_id: &str) -> Vec<u8> {
    let id = serde_json::Value::from(subscription_id);
    let mut json = format!("{{\"event\":\"message\",\"subscription_id\":{id},\"message\":");
    json.push_str(&event.to_json());
    json.push('}');
    json.into_bytes()
}

/// Takes so many bytes of JSON away from the text, or all of it.
fn cut(event: &mut Event<'_>, excess: usize) {
    let Some(text) = event.message.take() else { return };
    // A character takes six bytes of JSON at most for each of its own.
    let mut taken = 0;
    let mut end = text.len();
    for (begin, c) in text.char_indices().rev() {
        if taken >= excess + CUT.len() {
            break;
        }
        taken += match c {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            c if c < ' ' => 6,
            c => c.len_utf8(),
        };
        end = begin;
    }
    event.message = Some(Cow::Owned(format!("{}{CUT}", &text[..end])));
}

#[cfg(test)]
mod tests {
    use doorbell_protocol::{Draft, Kind};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn event(text: &str) -> Event<'_> {
        Event {
            topic: Some("orders".into()),
            message: Some(text.into()),
            ..Event::new(Kind::Message, 7)
        }
    }

    fn pushed(event: &Event<'_>) -> Value {
        let json = payload(event, "https://push.example.com/orders");
        assert!(json.len() <= TEXT_BYTES_MAX, "{} bytes", json.len());
        serde_json::from_slice(&json).unwrap()
    }

    #[test]
    fn a_message_is_pushed_as_its_event_with_the_address_of_its_topic() {
        let json = pushed(&event("hi"));
        assert_eq!(json["event"], "message");
        assert_eq!(json["subscription_id"], "https://push.example.com/orders");
        assert_eq!(json["message"], serde_json::from_str::<Value>(&event("hi").to_json()).unwrap());
    }

    #[test]
    fn what_does_not_fit_is_cut_least_of_all_the_text() {
        let long = "x".repeat(5000);
        let actions = Draft::new("t".parse().unwrap(), "x", 9, |parameter| {
            let url = format!("view, Open, https://a.example/{long}");
            (parameter == doorbell_protocol::Parameter::Actions).then_some(url)
        });
        let actions = actions.unwrap().actions;
        let with_actions = Event { actions: actions.clone().into(), ..event("hi") };
        assert_eq!(pushed(&with_actions)["message"]["message"], "hi");
        assert!(pushed(&with_actions)["message"]["actions"].is_null());
        let text = pushed(&event(&long))["message"]["message"].as_str().unwrap().to_owned();
        assert!(text.len() > 3500 && text.ends_with(CUT), "{} bytes", text.len());
        let click = Event { click: Some(long.clone().into()), ..event("hi") };
        assert_eq!(pushed(&click)["message"]["message"], "hi");
        assert!(pushed(&click)["message"]["click"].is_null());
    }

    proptest! {
        #[test]
        fn any_text_fits(text in "[\u{0}-\u{1f}\"\\\\aé😀]{0,6000}") {
            pushed(&event(&text));
        }
    }
}
