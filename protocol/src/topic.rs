//! Topics and the filters that select them.
//!
//! ```text
//! topic   = segment *("." segment)          at most 128 bytes
//! segment = 1*(ALPHA / DIGIT / "_" / "-")
//! filter  = pattern *("," pattern)          at most 1,024 topics and 64 patterns with wildcards
//! pattern = topic, in which a segment may be "*" (any one segment)
//!           and the last one ">" (one or more segments)
//! ```

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::code::{Code, Error, quoted};
use crate::limits::{FILTER_PATTERNS_MAX, FILTER_TOPICS_MAX, TOPIC_BYTES_MAX};

/// Names that stand for pages and assets of the server, refused as topics by the whole dialect.
pub const RESERVED: &[&str] =
    &["docs", "static", "file", "app", "metrics", "account", "settings", "signup", "login", "v1"];

/// The name of a stream of messages. Clones share one allocation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

impl Topic {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Topic {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        check_length(text)?;
        if !text.split('.').all(is_segment) {
            return Err(Error::new(
                Code::TopicInvalid,
                format!("topic {} is not letters, digits, _ and - joined by dots", quoted(text)),
            ));
        }
        check_reserved(text)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

fn is_segment(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn check_length(text: &str) -> Result<(), Error> {
    if text.len() > TOPIC_BYTES_MAX {
        return Err(Error::new(
            Code::TopicInvalid,
            format!("topic is {} bytes long, limit is {TOPIC_BYTES_MAX}", text.len()),
        ));
    }
    Ok(())
}

fn check_reserved(text: &str) -> Result<(), Error> {
    if RESERVED.contains(&text) {
        return Err(Error::new(Code::TopicReserved, format!("topic {} is reserved", quoted(text))));
    }
    Ok(())
}

/// One member of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Just this topic.
    Exact(Topic),
    /// Every topic of this shape; the text holds at least one `*` or a last `>`.
    Wild(Arc<str>),
}

impl Pattern {
    /// Whether the topic is selected.
    pub fn matches(&self, topic: &str) -> bool {
        match self {
            Self::Exact(name) => name.as_str() == topic,
            Self::Wild(pattern) => wild_matches(pattern, topic),
        }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Exact(topic) => topic.as_str(),
            Self::Wild(pattern) => pattern,
        }
    }

    /// Whether it selects every topic that the other one selects.
    ///
    /// Decided segment by segment: `>` holds any rest, `*` holds one segment whatever it is, a name
    /// holds itself.
    pub fn contains(&self, other: &Self) -> bool {
        let mut segments = other.as_str().split('.');
        for own in self.as_str().split('.') {
            let Some(segment) = segments.next() else { return false };
            match own {
                ">" => return true,
                "*" if segment != ">" => {}
                name if name == segment => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }

    /// Whether there is a topic that both select.
    pub fn overlaps(&self, other: &Self) -> bool {
        let mut segments = other.as_str().split('.');
        for own in self.as_str().split('.') {
            let Some(segment) = segments.next() else { return false };
            match (own, segment) {
                (">", _) | (_, ">") => return true,
                ("*", _) | (_, "*") => {}
                (name, segment) if name == segment => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn wild_matches(pattern: &str, topic: &str) -> bool {
    let mut segments = topic.split('.');
    for wanted in pattern.split('.') {
        let Some(segment) = segments.next() else {
            return false;
        };
        if wanted == ">" {
            return true;
        }
        if wanted != "*" && wanted != segment {
            return false;
        }
    }
    segments.next().is_none()
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if !text.contains(['*', '>']) {
            return text.parse().map(Self::Exact);
        }
        check_length(text)?;
        let mut segments = text.split('.').peekable();
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            if !(segment == "*" || (segment == ">" && last) || is_segment(segment)) {
                return Err(Error::new(
                    Code::TopicInvalid,
                    format!(
                        "pattern {} is not a topic whose segments may be * and the last one >",
                        quoted(text)
                    ),
                ));
            }
        }
        Ok(Self::Wild(text.into()))
    }
}

/// What a reader wants to hear: one or more patterns, without repeats, and what is taken away from
/// them. Clones share it.
///
/// What is taken away is not in its text: nobody asks for it. It is part of its value all the same,
/// so that two readers with equal filters are to hear the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Filter {
    patterns: Arc<[Pattern]>,
    /// `None` if nothing is, as with nearly all.
    excluded: Option<Arc<[Pattern]>>,
}

impl Filter {
    /// The patterns, at least one.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// The patterns whose topics are taken away.
    pub fn excluded(&self) -> &[Pattern] {
        self.excluded.as_deref().unwrap_or_default()
    }

    /// The same patterns, with those topics taken away that these select as well. What was taken
    /// away before is given back.
    #[must_use]
    pub fn without(&self, excluded: &[Pattern]) -> Self {
        let overlapping =
            |pattern: &&Pattern| self.patterns.iter().any(|own| own.overlaps(pattern));
        let excluded: Vec<Pattern> = excluded.iter().filter(overlapping).cloned().collect();
        let excluded = (!excluded.is_empty()).then(|| excluded.into());
        Self { patterns: self.patterns.clone(), excluded }
    }

    /// Whether the topic is selected by any pattern, and not taken away.
    pub fn matches(&self, topic: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(topic)) && !self.excludes(topic)
    }

    /// The topics that are not taken away, if no pattern is wild: a reader of these need not look
    /// at any others.
    pub fn exact(&self) -> Option<impl Iterator<Item = &Topic>> {
        let all_exact = self.patterns.iter().all(|p| matches!(p, Pattern::Exact(_)));
        all_exact.then(|| {
            self.patterns.iter().filter_map(|pattern| match pattern {
                Pattern::Exact(topic) if !self.excludes(topic.as_str()) => Some(topic),
                _ => None,
            })
        })
    }

    fn excludes(&self, topic: &str) -> bool {
        self.excluded().iter().any(|pattern| pattern.matches(topic))
    }
}

impl From<Topic> for Filter {
    fn from(topic: Topic) -> Self {
        Self { patterns: Arc::new([Pattern::Exact(topic)]), excluded: None }
    }
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if !text.contains(',') {
            return Ok(Self { patterns: Arc::new([text.parse()?]), excluded: None });
        }
        let mut seen = HashSet::new();
        let mut patterns: Vec<Pattern> = Vec::new();
        let mut wild = 0;
        for part in text.split(',').filter(|part| seen.insert(*part)) {
            let pattern: Pattern = part.parse()?;
            wild += usize::from(matches!(pattern, Pattern::Wild(_)));
            patterns.push(pattern);
            let too_many = |bound, what| {
                let text = format!("{} is one too many: a filter has {bound} {what}", quoted(part));
                Error::new(Code::TopicInvalid, text)
            };
            if wild > FILTER_PATTERNS_MAX {
                return Err(too_many(FILTER_PATTERNS_MAX, "patterns with * or >"));
            }
            if patterns.len() - wild > FILTER_TOPICS_MAX {
                return Err(too_many(FILTER_TOPICS_MAX, "topics"));
            }
        }
        Ok(Self { patterns: patterns.into(), excluded: None })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.patterns.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            pattern.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> Filter {
        text.parse().unwrap()
    }

    #[test]
    fn a_star_stands_for_one_segment_and_a_last_arrow_for_one_or_more() {
        let cases = [
            ("a", "a", true),
            ("a", "a.b", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("*.b", "a.b", true),
            ("a.>", "a.b", true),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a", true),
            (">", "a.b", true),
            ("*", "a.b", false),
            ("x,a.*", "a.b", true),
        ];
        for (pattern, topic, expected) in cases {
            assert_eq!(filter(pattern).matches(topic), expected, "{pattern} on {topic}");
        }
    }

    #[test]
    fn one_pattern_contains_another_or_overlaps_with_it_segment_by_segment() {
        // Whether the first contains the second, and whether there is a topic that both select.
        let cases = [
            ("a", "a", true, true),
            ("a", "b", false, false),
            ("*", "a", true, true),
            ("a", "*", false, true),
            ("*", "a.b", false, false),
            (">", "*", true, true),
            (">", ">", true, true),
            (">", "a.*.>", true, true),
            ("*", ">", false, true),
            ("a.>", "a", false, false),
            ("a.>", "a.>", true, true),
            ("a.>", "a.*", true, true),
            ("a.*", "a.>", false, true),
            ("a.*.c", "a.b.*", false, true),
            ("*.b", "a.>", false, true),
            ("*.>", ">", false, true),
            ("*.*", "a", false, false),
        ];
        for (one, other, contains, overlaps) in cases {
            let [one, other]: [Pattern; 2] = [one.parse().unwrap(), other.parse().unwrap()];
            assert_eq!(one.contains(&other), contains, "{one} contains {other}");
            assert_eq!(one.overlaps(&other), overlaps, "{one} overlaps {other}");
            assert_eq!(other.overlaps(&one), overlaps, "{other} overlaps {one}");
        }
    }

    #[test]
    fn what_is_taken_away_from_a_filter_is_part_of_its_value_and_not_of_its_text() {
        let whole = filter("a.>,b");
        let secrets = ["*.secret.>", "c"].map(|text| text.parse::<Pattern>().unwrap());
        let less = whole.without(&secrets);
        assert_eq!(less.excluded(), &secrets[..1]);
        assert!(less.matches("a.open") && !less.matches("a.secret.x") && less.matches("b"));
        assert_eq!((less.to_string(), less == whole), (whole.to_string(), false));
        assert_eq!(less.without(&secrets[1..]), whole);
        let named = filter("a,b").without(&["b".parse().unwrap()]);
        let topics: Vec<&str> = named.exact().unwrap().map(Topic::as_str).collect();
        assert_eq!(topics, ["a"]);
    }

    #[test]
    fn malformed_names_are_refused_with_the_value_or_the_bound() {
        let long = "a".repeat(129);
        for text in ["", ".", "a.", ".a", "a..b", "a b", "ä", "a,b", "a*", "a.>", &long] {
            let error = text.parse::<Topic>().unwrap_err();
            assert_eq!(error.code(), Code::TopicInvalid, "{text}");
        }
        assert!("a".repeat(128).parse::<Topic>().is_ok());
        assert_eq!("v1".parse::<Topic>().unwrap_err().code(), Code::TopicReserved);
        assert!("v1.x".parse::<Topic>().is_ok());
        for text in ["", ",", "a,", "a.>.b", "a.b*", "a,v1", &long] {
            assert!(text.parse::<Filter>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_filter_holds_1024_topics_and_64_patterns_and_no_more() {
        for (shape, bound) in [("t", FILTER_TOPICS_MAX), ("*.", FILTER_PATTERNS_MAX)] {
            let names: Vec<String> = (0..=bound).map(|n| format!("{shape}{n}")).collect();
            assert!(format!("{},other", names[2..].join(",")).parse::<Filter>().is_ok());
            assert!(names[1..].join(",").parse::<Filter>().is_ok());
            let error = names.join(",").parse::<Filter>().unwrap_err();
            assert_eq!(error.code(), Code::TopicInvalid);
            let text = format!("'{shape}{bound}' is one too many: a filter has {bound} ");
            assert!(error.to_string().starts_with(&text), "{error}");
        }
        assert_eq!(filter("a,a,a").patterns().len(), 1);
    }

    /// As many names as one filter may have, and then one of them until a line is full.
    #[test]
    fn a_repeat_costs_the_same_whichever_name_it_repeats() {
        let names: Vec<String> = (0..FILTER_TOPICS_MAX).map(|n| format!("{n:03x}")).collect();
        let fastest = |repeated: &str| {
            let text = format!("{}{}", names.join(","), format!(",{repeated}").repeat(15_000));
            let took = |_| {
                let begun = std::time::Instant::now();
                assert_eq!(filter(&text).patterns().len(), FILTER_TOPICS_MAX);
                begun.elapsed()
            };
            (0..5).map(took).min().unwrap()
        };
        let (first, last) = (fastest(&names[0]), fastest(&names[FILTER_TOPICS_MAX - 1]));
        assert!(last < 5 * first, "{last:?} for the last, {first:?} for the first");
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_and_round_trips(text in ".{0,200}") {
            if let Ok(filter) = text.parse::<Filter>() {
                prop_assert_eq!(filter.to_string().parse::<Filter>().unwrap(), filter);
            }
            if let Ok(topic) = text.parse::<Topic>() {
                prop_assert!(Filter::from(topic.clone()).matches(topic.as_str()));
            }
        }

        /// Few names in short topics, so that all topics there are can be tried.
        #[test]
        fn containing_and_overlapping_are_what_the_topics_say(
            one in "[ab*](\\.[ab*]){0,2}(\\.>)?", other in "[ab*](\\.[ab*]){0,2}(\\.>)?"
        ) {
            let mut topics = vec![String::new()];
            let mut all = Vec::new();
            for _ in 0..5 {
                let longer = |topic: &String| ["a", "b", "c"].map(|name| match topic.as_str() {
                    "" => name.to_owned(),
                    topic => format!("{topic}.{name}"),
                });
                topics = topics.iter().flat_map(longer).collect();
                all.extend(topics.iter().cloned());
            }
            let [one, other]: [Pattern; 2] = [one.parse().unwrap(), other.parse().unwrap()];
            let both = |topic: &&String| one.matches(topic) && other.matches(topic);
            prop_assert_eq!(one.overlaps(&other), all.iter().any(|topic| both(&topic)));
            let held = all.iter().filter(|topic| other.matches(topic)).all(|topic| one.matches(topic));
            prop_assert_eq!(one.contains(&other), held);
        }

        #[test]
        fn every_filter_of_the_grammar_round_trips(
            text in "([a-z0-9_-]{1,4}|\\*)(\\.([a-z]{1,3}|\\*)){0,3}(\\.>)?(,[a-z]{2,5}){0,5}"
        ) {
            prop_assume!(!RESERVED.iter().any(|name| text.split(',').any(|part| part == *name)));
            let filter: Filter = text.parse().unwrap();
            prop_assert_eq!(filter.to_string().parse::<Filter>().unwrap(), filter);
        }
    }
}
