//! The two forms in which Prometheus reads metrics, and which of them an `Accept` header asks for.
//! Not what is counted.
//!
//! Sources: the OpenMetrics specification 1.0, and Prometheus' text-based exposition format 0.0.4.

use std::fmt::Write as _;

/// A form of the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format 0.0.4, which every reader understands.
    Text,
}

const OPEN_METRICS: &str = "application/openmetrics-text";

impl Exposition {
    /// The one that the client likes better; the text format if it does not care.
    pub fn accepted(accept: Option<&str>) -> Self {
        let accept = accept.unwrap_or_default();
        let by_name = quality(accept, OPEN_METRICS);
        let ranges = ["text/plain", "text/*", "*/*"];
        let text = ranges.into_iter().find_map(|range| quality(accept, range));
        match by_name {
            Some(wanted) if wanted > 0.0 && wanted >= text.unwrap_or(0.0) => Self::OpenMetrics,
            _ => Self::Text,
        }
    }

    /// The content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Puts a text of OpenMetrics into this form.
    pub(super) fn of(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Text => text(&open_metrics),
        }
    }
}

/// How much a header wants a media range that it names, from 0 to 1.
fn quality(accept: &str, range: &str) -> Option<f32> {
    accept.split(',').find_map(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case(range) {
            return None;
        }
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        Some(quality.and_then(|quality| quality.parse().ok()).unwrap_or(1.0))
    })
}

/// In the text format a counter's family has the name of its samples, and there are neither units
/// nor an end.
fn text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(_), what) => help = what,
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let suffix = if kind == "counter" { "_total" } else { "" };
                if let Some(help) = help.take() {
                    let _ = writeln!(text, "# HELP {name}{suffix} {help}");
                }
                let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
            }
            (Some("#"), ..) => {}
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_one_that_the_client_likes_better() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,\
                          application/openmetrics-text;version=0.0.1;q=0.4,\
                          text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, form) in [
            (None, Exposition::Text),
            (Some("*/*"), Exposition::Text),
            (Some("text/plain;version=0.0.4"), Exposition::Text),
            (Some(prometheus), Exposition::OpenMetrics),
            (Some("application/openmetrics-text"), Exposition::OpenMetrics),
            (Some("Application/OpenMetrics-Text; q=0"), Exposition::Text),
            (Some("application/openmetrics-text;q=0.2, text/plain"), Exposition::Text),
            (Some(";;,=,q=1"), Exposition::Text),
        ] {
            assert_eq!(Exposition::accepted(accept), form, "{accept:?}");
        }
    }

    #[test]
    fn the_text_format_names_counters_by_their_samples() {
        let open = "# HELP a_bytes Bytes.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\n\
                    a_bytes_total 1\n# HELP b B.\n# TYPE b gauge\nb 2\n# EOF\n";
        let text = "# HELP a_bytes_total Bytes.\n# TYPE a_bytes_total counter\n\
                    a_bytes_total 1\n# HELP b B.\n# TYPE b gauge\nb 2\n";
        assert_eq!(Exposition::Text.of(open.into()), text);
        assert_eq!(Exposition::OpenMetrics.of(open.into()), open);
    }
}
