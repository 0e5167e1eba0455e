//! What a file is, as far as its beginning tells: nothing that is said of it is believed.

use crate::limits::FILE_KIND_BYTES;

/// A media type, and the ending of names that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileKind {
    /// The media type.
    pub media_type: &'static str,
    /// The ending, without its dot; none where nothing is known.
    pub extension: Option<&'static str>,
}

impl FileKind {
    const UNKNOWN: Self = Self { media_type: "application/octet-stream", extension: None };
    const TEXT: Self = Self { media_type: "text/plain; charset=utf-8", extension: Some("txt") };

    /// That of a file with this beginning. What is text is plain text, whatever it would be for a
    /// browser.
    pub fn of(beginning: &[u8]) -> Self {
        if is_text(beginning) {
            return Self::TEXT;
        }
        let found = infer::get(beginning);
        found.map_or(Self::UNKNOWN, |found| Self {
            media_type: found.mime_type(),
            extension: Some(found.extension()),
        })
    }

    /// Whether a browser may show it: it runs nothing.
    pub fn is_shown(self) -> bool {
        let media = ["image/", "audio/", "video/"];
        let is_media = media.iter().any(|media| self.media_type.starts_with(media));
        self == Self::TEXT || is_media && !self.media_type.contains("xml")
    }
}

/// Whether the beginning of a file is text in UTF-8. Its last character may be cut.
fn is_text(beginning: &[u8]) -> bool {
    let beginning = &beginning[..beginning.len().min(FILE_KIND_BYTES)];
    let text = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && beginning.len() == FILE_KIND_BYTES => {
            std::str::from_utf8(&beginning[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    // Programs colour what they say.
    let is_shown = |c: char| !c.is_control() || "\t\n\r\u{c}\u{8}\u{1b}".contains(c);
    !text.starts_with("%PDF-") && text.chars().all(is_shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_beginning_says() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        for (beginning, media_type, is_shown) in [
            (&png[..], "image/png", true),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg", true),
            (b"%PDF-1.7\n", "application/pdf", false),
            (b"PK\x03\x04\x14\0\0\0", "application/zip", false),
            (b"\0\x01\x02\xfe", "application/octet-stream", false),
            (b"", "text/plain; charset=utf-8", true),
            ("ü\x1b[1m\n".as_bytes(), "text/plain; charset=utf-8", true),
            (b"<!DOCTYPE html><script>alert(1)</script>", "text/plain; charset=utf-8", true),
            (b"<svg onload='alert(1)'/>", "text/plain; charset=utf-8", true),
            (b"BM, MZ, ID3: words", "text/plain; charset=utf-8", true),
            (b"\xfe\xff\0<\0s", "application/octet-stream", false),
            (b"<html>\xff<script>alert(1)</script>", "text/html", false),
        ] {
            let kind = FileKind::of(beginning);
            assert_eq!((kind.media_type, kind.is_shown()), (media_type, is_shown), "{beginning:?}");
        }
    }

    #[test]
    fn text_that_is_cut_within_a_character_is_text() {
        for length in [FILE_KIND_BYTES - 1, FILE_KIND_BYTES, FILE_KIND_BYTES + 1] {
            let text = format!("x{}", "é".repeat(FILE_KIND_BYTES));
            let is_cut = length % 2 == 0;
            let is_text = FileKind::of(&text.as_bytes()[..length]) == FileKind::TEXT;
            assert_eq!(is_text, !is_cut || length >= FILE_KIND_BYTES, "{length}");
        }
    }
}
