//! Templates, which whoever publishes may write: any text is one or refused, and what one costs is
//! bounded in steps, so that it is the same text or refusal each time.

use doorbell_template::limits::TEMPLATE_BYTES_MAX;
use doorbell_template::{Data, Error, Template};
use serde_json::{Value, json};

pub(crate) const TEMPLATE: &[&str] = &[
    "{{",
    "}}",
    "{{-",
    " -}}",
    "{{end}}",
    "{{else}}",
    "{{else if .a}}",
    "{{range .l}}",
    "{{range $k, $v := .m}}",
    "{{with .m}}",
    "{{if .a}}",
    "{{break}}",
    "{{continue}}",
    "$x := ",
    "$x = ",
    "$x",
    "$",
    ".a",
    ".m.b.c",
    ".l",
    ".t",
    ".n",
    ".z",
    " | ",
    "(",
    ")",
    "\"",
    "`",
    "'",
    "\\",
    "/*",
    "*/",
    "printf \"%5.2f|%-8q|%x|%[2]d|%v\" ",
    "index .l ",
    "slice .t 1 2",
    "list ",
    "dict ",
    "until 9",
    "repeat 9 ",
    "split \",\" ",
    "regexFind \"(a|b)*\" ",
    "toDate \"2006-01-02T15:04:05Z07:00\" ",
    "dateInZone \"Jan _2 06 3:04PM .000 MST\" ",
    "dateModify \"-1.5h\" ",
    "trunc -3 ",
    "urlParse ",
    "toPrettyJSON ",
    "fromJSON ",
    "eq ",
    "lt ",
    "and ",
    "nil",
    "true",
    "-1",
    "1e300",
    "0x1f",
    "\n",
    "é☃",
];

fn data() -> Value {
    json!({
        "a": 1, "n": -1.5, "t": "2026-11-30T13:36:36Z, é☃", "z": null, "l": [1, "b", null, [2], {"c": 3}],
        "m": {"b": {"c": "deep"}, "d": true},
    })
}

/// What stands before a zero is the template, and what is behind it JSON to fill it in with.
pub(crate) fn template(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (text, json) = text.split_once('\0').unwrap_or((&text, ""));
    let data = Data::from(serde_json::from_str(json).unwrap_or_else(|_| data()));
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(error) => return assert!(!matches!(error, Error::Exhausted | Error::Failed(_))),
    };
    assert!(text.len() <= TEMPLATE_BYTES_MAX);
    let filled = template.fill_in(&data, 4096);
    match &filled {
        Ok(text) => assert!(text.len() <= 4096),
        Err(error) => {
            assert!(matches!(error, Error::Exhausted | Error::Failed(_) | Error::TooLong(_)));
        }
    }
    // What reads the clock or draws numbers is another text each time.
    let is_moving = ["now", "ago", "date", "Date", "rand", "unixEpoch", "duration"];
    if !is_moving.iter().any(|name| text.contains(name)) {
        assert_eq!(template.fill_in(&data, 4096), filled);
    }
}
