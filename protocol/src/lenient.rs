//! Reading JSON as other servers of the dialect do, and therefore as its programs write it: names
//! in any case, the last of two members, `null` for what is absent, half a surrogate, bytes that
//! are no UTF-8, something behind the value. What is not JSON even so is refused.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Reads the value that a text begins with. What has no meaning as a character becomes U+FFFD.
pub(crate) fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    T::deserialize(&mut serde_json::Deserializer::from_str(&repaired(json)))
}

/// Reads a text that is a value of JSON and nothing else.
///
/// # Errors
///
/// That it is none.
pub fn value(json: &[u8]) -> Result<serde_json::Value, serde_json::Error> {
    serde_json::from_str(&repaired(json))
}

/// The text, where each character has a meaning.
fn repaired(json: &[u8]) -> Cow<'_, str> {
    match String::from_utf8_lossy(json) {
        Cow::Borrowed(text) => with_whole_pairs(without_mark(text)),
        Cow::Owned(text) => with_whole_pairs(without_mark(&text)).into_owned().into(),
    }
}

/// The text without a mark of its byte order.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The text with U+FFFD in place of each escape that is half of a surrogate pair.
fn with_whole_pairs(text: &str) -> Cow<'_, str> {
    if !["\\ud", "\\uD"].iter().any(|begin| text.contains(begin)) {
        return text.into();
    }
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.find('\\').map(|at| rest.split_at(at)) {
        whole += before;
        let second = escape.get(ESCAPE_BYTES..).and_then(half);
        let (kept, bytes) = match (half(escape), second) {
            (Some(Half::First), Some(Half::Second)) => {
                (&escape[..2 * ESCAPE_BYTES], 2 * ESCAPE_BYTES)
            }
            (Some(_), _) => ("\\ufffd", ESCAPE_BYTES),
            (None, _) => {
                let end = escape.char_indices().nth(2).map_or(escape.len(), |(at, _)| at);
                (&escape[..end], end)
            }
        };
        whole += kept;
        rest = &escape[bytes..];
    }
    (whole + rest).into()
}

/// Bytes of the escape of a character by its number.
const ESCAPE_BYTES: usize = r"\ud83d".len();

/// Which half of a surrogate pair.
enum Half {
    First,
    Second,
}

/// The half of a pair whose escape a text begins with.
fn half(text: &str) -> Option<Half> {
    match u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()? {
        0xd800..0xdc00 => Some(Half::First),
        0xdc00..0xe000 => Some(Half::Second),
        _ => None,
    }
}

/// The name of a member, as it stands where nothing in it is escaped.
#[derive(Deserialize)]
pub(crate) struct Name<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Makes a struct of members that may be absent, which is read from an object as this module does.
macro_rules! members {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident {
        $($member_visibility:vis $member:ident: $type:ty,)+
    }) => {
        $(#[$attribute])*
        $visibility struct $name {
            $($member_visibility $member: Option<$type>,)+
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
                struct Object;

                impl<'de> serde::de::Visitor<'de> for Object {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<M>(self, mut map: M) -> Result<$name, M::Error>
                    where
                        M: serde::de::MapAccess<'de>,
                    {
                        let mut read = $name::default();
                        while let Some($crate::lenient::Name(name)) = map.next_key()? {
                            $(if name.eq_ignore_ascii_case(stringify!($member)) {
                                if let Some(value) = map.next_value::<Option<$type>>()? {
                                    read.$member = Some(value);
                                }
                                continue;
                            })+
                            map.next_value::<serde::de::IgnoredAny>()?;
                        }
                        Ok(read)
                    }
                }

                reader.deserialize_map(Object)
            }
        }
    };
}

pub(crate) use members;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(json: &str) -> String {
        read(json.as_bytes()).unwrap()
    }

    #[test]
    fn half_a_surrogate_is_a_replacement_character_and_a_pair_stays_what_it_is() {
        for (json, expected) in [
            (r#""done \ud83d""#, "done \u{fffd}"),
            (r#""\uDE00 x""#, "\u{fffd} x"),
            (r#""\ud83d\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\n\uD83D\uDE00""#, "\u{fffd}\n\u{1f600}"),
            (r#""\\ud83d \ud7ff\ue000""#, "\\ud83d \u{d7ff}\u{e000}"),
            (r#""\\\ud83d\\""#, "\\\u{fffd}\\"),
            (r#""\ud83dé\ud83d""#, "\u{fffd}é\u{fffd}"),
        ] {
            assert_eq!(text(json), expected, "{json}");
        }
    }

    #[test]
    fn what_is_no_utf_8_is_replaced_and_a_mark_before_a_value_and_text_behind_it_are_passed_over() {
        assert_eq!(read::<String>(b"\"a\xff\"").unwrap(), "a\u{fffd}");
        assert_eq!(text("\u{feff}\"a\"\n} more"), "a");
        assert!(read::<String>(b"\"a").is_err());
    }

    members! {
        #[derive(Debug, Default, PartialEq)]
        struct Pair {
            first: String,
            second: i64,
        }
    }

    #[test]
    fn members_have_any_case_the_last_of_two_counts_and_null_is_absent() {
        let pair = |json: &str| read::<Pair>(json.as_bytes());
        let read = pair(r#"{"First":"a","SECOND":1,"other":{"first":2},"\u0066irst":"b"}"#);
        assert_eq!(read.unwrap(), Pair { first: Some("b".into()), second: Some(1) });
        let read = pair(r#"{"first":"a","FIRST":null,"second":null}"#);
        assert_eq!(read.unwrap(), Pair { first: Some("a".into()), second: None });
        for not in ["[]", "null", r#"{"first":1}"#, r#"{"first":"a""#] {
            assert!(pair(not).is_err(), "{not}");
        }
    }

    proptest! {
        #[test]
        fn what_the_library_reads_is_read_the_same(text: String) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(read::<String>(json.as_bytes()).unwrap(), text);
        }

        #[test]
        fn any_escapes_are_read(json in r"(\\\\|\\u[dDeE][0-9a-fA-F]{3}|\\n|[a-zé]){0,12}") {
            let json = format!("\"{json}\"");
            prop_assert!(read::<String>(json.as_bytes()).is_ok());
        }
    }
}
