//! Writing a JSON object member by member: what `serde_json` does for every other value, but a text
//! without anything to escape, as nearly all are, is copied at once instead of byte by byte.

use serde::Serialize;

/// An object that is being written.
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
    /// What stands before the next member.
    before: u8,
}

impl<'a> Object<'a> {
    /// Begins an object.
    pub(crate) fn begin(out: &'a mut Vec<u8>) -> Self {
        Self { out, before: b'{' }
    }

    /// Writes a text, unless it is absent.
    pub(crate) fn text(&mut self, name: &str, text: Option<&str>) {
        let Some(text) = text else { return };
        if needs_escapes(text) {
            return self.value(name, Some(text));
        }
        self.name(name);
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }

    /// Writes any value, unless it is absent.
    pub(crate) fn value<T: Serialize + ?Sized>(&mut self, name: &str, value: Option<&T>) {
        let Some(value) = value else { return };
        self.name(name);
        serde_json::to_writer(&mut *self.out, value).expect("plain values are always written");
    }

    /// Ends the object, which has a member.
    pub(crate) fn end(self) {
        self.out.push(b'}');
    }

    fn name(&mut self, name: &str) {
        self.out.extend_from_slice(&[self.before, b'"']);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.before = b',';
    }
}

/// Whether a text holds what stands escaped in JSON. It looks at every byte, found or not: many at
/// a time that way.
fn needs_escapes(text: &str) -> bool {
    let needs_one = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    text.bytes().fold(false, |found, byte| found | needs_one(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_written_as_serde_json_writes_it(text: String, plain in "[ -~é]{0,80}") {
            for text in [text, plain] {
                let mut written = Vec::new();
                let mut object = Object::begin(&mut written);
                object.text("a", Some(&text));
                object.text("b", None);
                object.value("c", Some(&1));
                object.end();
                let expected = serde_json::to_string(&text).unwrap();
                let expected = format!("{{\"a\":{expected},\"c\":1}}");
                prop_assert_eq!(String::from_utf8(written).unwrap(), expected);
            }
        }
    }
}
