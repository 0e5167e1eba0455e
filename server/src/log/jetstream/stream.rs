//! The stream as it has to be: its name and subjects, its settings, and what its metadata says of
//! the log's epochs.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Republish, RetentionPolicy, StorageType,
};
use doorbell_protocol::{Epoch, Topic};

use crate::log::{Epochs, Retention, Span};

/// What is stored, and how: a newer one is not touched.
const FORMAT: &str = "1";
const FORMAT_KEY: &str = "doorbell.format";
const EPOCHS_KEY: &str = "doorbell.epochs";
/// How long the stream knows a message again that is published once more.
pub(super) const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// The names of one log in the cluster.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// The stream.
    pub(super) stream: String,
}

impl Names {
    /// Where messages are stored.
    fn stored(&self) -> String {
        format!("{}.ev.", self.stream)
    }

    /// Where the stream tells of what was stored.
    fn live(&self) -> String {
        format!("{}.live.", self.stream)
    }

    /// The subject of a topic, or of a pattern: both have the same syntax in NATS, and no letter of
    /// a topic means anything there.
    pub(super) fn subject(&self, pattern: &str) -> String {
        self.stored() + pattern
    }

    /// All that is stored.
    pub(super) fn all_stored(&self) -> String {
        self.subject(">")
    }

    /// All that was stored, as it is told.
    pub(super) fn all_live(&self) -> String {
        self.live() + ">"
    }

    /// Where a front is asked by others.
    pub(super) fn front(&self, name: &str) -> String {
        format!("{}.front.{name}", self.stream)
    }

    /// The topic of a stored subject.
    pub(super) fn topic(&self, subject: &str) -> Option<Topic> {
        subject.strip_prefix(&self.stored())?.parse().ok()
    }
}

/// The stream for these settings.
pub(super) fn wanted(
    names: &Names,
    replicas: usize,
    retention: &Retention,
    epochs: &Epochs,
) -> Config {
    Config {
        name: names.stream.clone(),
        subjects: vec![names.all_stored()],
        num_replicas: replicas,
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_age: retention.age,
        max_bytes: i64::try_from(retention.bytes).unwrap_or(i64::MAX),
        deny_delete: true,
        allow_direct: true,
        allow_atomic_publish: true,
        // One that is not kept ends by itself.
        allow_message_ttl: true,
        duplicate_window: DUPLICATE_WINDOW.min(retention.age),
        republish: Some(Republish {
            source: names.all_stored(),
            destination: names.all_live(),
            headers_only: false,
        }),
        metadata: metadata(epochs),
        ..Config::default()
    }
}

/// What is kept in the stream's metadata.
pub(super) fn metadata(epochs: &Epochs) -> HashMap<String, String> {
    let spans = epochs.spans().iter().map(|span| {
        let torn = if span.torn { "!" } else { "" };
        format!("{}@{}{torn}", span.epoch.bits(), span.from)
    });
    let spans = spans.collect::<Vec<_>>().join(" ");
    let entries = [(FORMAT_KEY, FORMAT.to_owned()), (EPOCHS_KEY, spans)];
    entries.map(|(key, value)| (key.to_owned(), value)).into()
}

/// The epochs that a stream's metadata tells.
///
/// # Errors
///
/// Why it is no log of ours.
pub(super) fn epochs(config: &Config) -> Result<Epochs, String> {
    let stream = &config.name;
    match config.metadata.get(FORMAT_KEY).map(String::as_str) {
        Some(FORMAT) => {}
        Some(other) => {
            return Err(format!("the stream {stream} has format {other}, which is not known here"));
        }
        None => return Err(format!("the stream {stream} is there and holds no log of doorbell")),
    }
    let spans = config.metadata.get(EPOCHS_KEY).map_or("", String::as_str);
    let spans: Option<Vec<Span>> = spans.split(' ').map(span).collect();
    spans
        .and_then(Epochs::found)
        .ok_or_else(|| format!("the metadata of the stream {stream} tells no epochs"))
}

fn span(text: &str) -> Option<Span> {
    let (text, torn) = text.strip_suffix('!').map_or((text, false), |text| (text, true));
    let (epoch, from) = text.split_once('@')?;
    Some(Span { epoch: Epoch::from_bits(epoch.parse().ok()?), from: from.parse().ok()?, torn })
}

/// How the stream that is there differs from what is wanted, in what cannot be changed for it, or
/// had better not be: one sentence a difference.
pub(super) fn differences(wanted: &Config, found: &Config) -> Vec<String> {
    let mut told = Vec::new();
    let mut compare = |what: &str, wanted: String, found: String| {
        if wanted != found {
            told.push(format!("{what} is {found} instead of {wanted}"));
        }
    };
    compare("subjects", format!("{:?}", wanted.subjects), format!("{:?}", found.subjects));
    compare("replicas", wanted.num_replicas.to_string(), found.num_replicas.to_string());
    compare("storage", format!("{:?}", wanted.storage), format!("{:?}", found.storage));
    compare("retention", format!("{:?}", wanted.retention), format!("{:?}", found.retention));
    compare("discard", format!("{:?}", wanted.discard), format!("{:?}", found.discard));
    let of_republish = |config: &Config| match &config.republish {
        Some(republish) => format!("{} to {}", republish.source, republish.destination),
        None => "nothing".to_owned(),
    };
    compare("republish", of_republish(wanted), of_republish(found));
    for (what, wanted, found) in [
        ("deny_delete", wanted.deny_delete, found.deny_delete),
        ("allow_direct", wanted.allow_direct, found.allow_direct),
        ("allow_atomic", wanted.allow_atomic_publish, found.allow_atomic_publish),
        ("allow_msg_ttl", wanted.allow_message_ttl, found.allow_message_ttl),
    ] {
        compare(what, wanted.to_string(), found.to_string());
    }
    let most = |config: &Config| match config.max_messages_per_subject {
        most if most <= 0 => "unlimited".to_owned(),
        most => most.to_string(),
    };
    compare("max_msgs_per_subject", most(wanted), most(found));
    told
}

/// The stream that is there with the retention that is wanted, if it has another.
pub(super) fn with_retention(wanted: &Config, found: &Config) -> Option<Config> {
    let of = |config: &Config| (config.max_age, config.max_bytes, config.duplicate_window);
    (of(wanted) != of(found)).then(|| Config {
        max_age: wanted.max_age,
        max_bytes: wanted.max_bytes,
        duplicate_window: wanted.duplicate_window,
        ..found.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Retention = Retention { age: Duration::from_secs(3600), bytes: 1 << 30 };

    #[test]
    fn epochs_are_told_and_read_again() {
        let names = Names { stream: "doorbell".to_owned() };
        let mut epochs = Epochs::of_new_log(5);
        let next = Epoch::from_bits(epochs.current().bits() + 1);
        epochs.push(Span { epoch: next, from: 77, torn: true });
        let config = wanted(&names, 3, &KEEP, &epochs);
        assert_eq!(super::epochs(&config).unwrap(), epochs);
        let other = Config { metadata: HashMap::new(), ..config.clone() };
        assert!(super::epochs(&other).unwrap_err().contains("holds no log of doorbell"));
        let mut newer = config;
        newer.metadata.insert(FORMAT_KEY.to_owned(), "2".to_owned());
        assert!(super::epochs(&newer).unwrap_err().contains("format 2"));
    }

    #[test]
    fn every_difference_is_named_and_retention_is_changed() {
        let names = Names { stream: "doorbell".to_owned() };
        let wanted = wanted(&names, 3, &KEEP, &Epochs::of_new_log(5));
        assert_eq!(differences(&wanted, &wanted), Vec::<String>::new());
        assert_eq!(with_retention(&wanted, &wanted), None);
        let found = Config {
            num_replicas: 1,
            deny_delete: false,
            republish: None,
            max_messages_per_subject: 5,
            max_bytes: 7,
            ..wanted.clone()
        };
        let told = differences(&wanted, &found);
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(told.contains(&"replicas is 1 instead of 3".to_owned()), "{told:?}");
        assert_eq!(with_retention(&wanted, &found).unwrap().max_bytes, 1 << 30);
    }

    #[test]
    fn a_topic_is_a_subject_and_a_subject_a_topic() {
        let names = Names { stream: "x".to_owned() };
        assert_eq!(names.subject("a.*"), "x.ev.a.*");
        assert_eq!(names.topic("x.ev.a.B-_9").unwrap().as_str(), "a.B-_9");
        assert_eq!(names.topic("x.live.a"), None);
        assert_eq!(names.topic("x.ev.a b"), None);
    }
}
