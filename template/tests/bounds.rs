//! What a template costs is bounded, and nothing that it says makes it panic.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use doorbell_template::{Data, Error, Template, limits};
use proptest::prelude::*;
use serde_json::json;

fn fill_in(template: &str) -> Result<String, Error> {
    let list: Vec<u32> = (0..1000).collect();
    let data = json!({"l": list, "t": "x".repeat(10_000), "m": {"a": {"b": null}}, "n": 1});
    Template::parse(template)?.fill_in(&Data::from(data), 4096)
}

#[test]
fn a_template_that_does_too_much_is_stopped() {
    for template in [
        "{{range until 1000000000}}{{end}}",
        "{{range 1000000000}}{{end}}",
        "{{range .l}}{{range $.l}}{{range $.l}}{{end}}{{end}}{{end}}",
        "{{$x := .t}}{{range .l}}{{$x = print $x $x}}{{end}}",
        "{{$x := .t}}{{range .l}}{{$x = printf `%s%s` $x $x}}{{end}}",
        "{{$x := list 1}}{{range .l}}{{$x = concat $x $x}}{{end}}",
        "{{$x := list 1}}{{range until 50}}{{$x = list $x $x}}{{end}}{{$x}}",
        "{{$x := list 1}}{{range until 50}}{{$x = dict `a` $x `b` $x}}{{end}}{{toJSON $x}}",
        "{{$x := list 1}}{{range until 50}}{{$x = list $x $x}}{{end}}{{deepEqual $x $x}}",
        "{{repeat 1000000000 .t}}",
        "{{indent 1000000000 .t}}",
        "{{replace `x` .t .t}}",
        "{{seq 1 1000000000}}",
        "{{range .l}}{{$x := regexMatch `(a|b)*c` $.t}}{{end}}",
        "{{range .l}}{{$x := sha512sum $.t}}{{end}}",
        "{{range .l}}{{$x := regexReplaceAll `x` $.t $.t}}{{end}}",
        "{{range .l}}{{$x := dateInZone $.t 0 `UTC`}}{{end}}",
        "{{range .l}}{{$x := trimAll $.t $.t}}{{end}}",
        "{{range .l}}{{$x := uniq $.l}}{{end}}",
    ] {
        assert_eq!(fill_in(template), Err(Error::Exhausted), "{template}");
    }
}

#[test]
fn what_is_too_long_or_too_deep_is_refused() {
    let long = format!("{{{{/*{}*/}}}}", "x".repeat(limits::TEMPLATE_BYTES_MAX));
    assert!(matches!(Template::parse(&long), Err(Error::TooLong(_))));
    assert!(matches!(fill_in("{{.t}}"), Err(Error::TooLong(_))));
    assert!(matches!(fill_in("{{range .l}}some text{{end}}"), Err(Error::TooLong(_))));
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(101), close.repeat(101));
    for deep in [
        deep("{{if 1}}", "{{end}}"),
        deep("{{range .l}}", "{{end}}"),
        format!("{{{{{}}}}}", deep("(", ")")),
    ] {
        assert!(matches!(Template::parse(&deep), Err(Error::Invalid(_))), "{deep}");
    }
    for value in ["list $x", "dict `a` $x"] {
        let text = format!("{{{{$x := 1}}}}{{{{range .l}}}}{{{{$x = {value}}}}}{{{{end}}}}");
        assert!(matches!(fill_in(&text), Err(Error::Failed(_))), "{text}");
    }
    for wide in ["{{printf `%1000d` 1}}", "{{printf `%.1000f` .n}}", "{{printf `%*d` 1 2}}"] {
        assert!(matches!(fill_in(wide), Err(Error::Failed(_))), "{wide}");
    }
    assert!(matches!(
        fill_in("{{regexMatch `((((a{99}){99}){99}){99})` .t}}"),
        Err(Error::Failed(_))
    ));
}

#[test]
fn templates_in_templates_and_calls_are_refused_wherever_they_stand() {
    for template in [
        "{{define \"x\"}}{{end}}",
        "{{template \"x\"}}",
        "{{block \"x\" .}}{{end}}",
        "{{call .t}}",
        "{{if false}}{{$y := (call .t)}}{{end}}",
    ] {
        assert!(matches!(Template::parse(template), Err(Error::Disallowed(_))), "{template}");
    }
}

#[test]
fn chains_of_conditions_are_as_long_as_they_are() {
    let chain = |word: &str| {
        let other = |n| format!("{{{{else {word} eq .n {n}.5}}}}{n}");
        let others: Vec<String> = (0..500).map(other).collect();
        format!("{{{{{word} eq .n 0.5}}}}a{}{{{{else}}}}last{{{{end}}}}", others.concat())
    };
    assert_eq!(fill_in(&chain("if")).unwrap(), "last");
    assert_eq!(fill_in(&chain("with")).unwrap(), "last");
}

#[test]
fn a_sentence_names_the_line() {
    let Err(Error::Invalid(text)) = Template::parse("a\nb {{ .x }}\n{{ nope }}") else {
        panic!("it is no template");
    };
    assert_eq!(text, "line 3: function 'nope' is not known");
}

const WORDS: &[&str] = &[
    "{{",
    "}}",
    "{{-",
    "-}}",
    " ",
    "if",
    "else",
    "end",
    "range",
    "with",
    "$x",
    ":=",
    "=",
    "|",
    "(",
    ")",
    ".",
    ".t",
    ".l",
    ".m.a.b",
    "1",
    "-1",
    "1.5",
    "\"a\"",
    "`b`",
    "'c'",
    "nil",
    "true",
    ",",
    "$i, $v :=",
    "print",
    "printf",
    "\"%5.1f|%q|%x\"",
    "index",
    "slice",
    "and",
    "or",
    "list",
    "dict",
    "date",
    "\"2006-01-02\"",
    "now",
    "toDate",
    "trunc",
    "substr",
    "split",
    "urlParse",
    "round",
    "regexFind",
    "\\",
    "\"",
    "/*",
    "*/",
    "{{if .t}}",
    "{{end}}",
    "{{range .l}}",
    "é",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_a_template_or_refused(text in "\\PC*") {
        let _ = fill_in(&text);
    }

    #[test]
    fn any_words_are_a_template_or_refused(
        words in proptest::collection::vec(proptest::sample::select(WORDS), 0..30),
    ) {
        let _ = fill_in(&words.concat());
        let _ = fill_in(&format!("{{{{{}}}}}", words.join(" ")));
    }

    #[test]
    fn functions_take_any_values(
        name in proptest::sample::select(
            &["trunc", "substr", "slice", "index", "repeat", "indent", "splitn", "chunk", "round",
              "seq", "untilStep", "add", "sub", "mul", "div", "mod", "date", "dateInZone", "toDate",
              "dateModify", "duration", "durationRound", "ago", "printf", "dig", "pick", "set",
              "join", "first", "keys", "toJSON", "fromJSON", "regexReplaceAll", "regexSplit",
              "urlJoin", "urlParse", "trimAll", "plural", "mustSlice", "randInt", "unixEpoch"][..],
        ),
        values in proptest::collection::vec(proptest::sample::select(
            &["9223372036854775807", "-9223372036854775808", "0", "1", "-1", "1e300", "-0.0", ".n",
              ".t", ".l", ".m", ".m.a.b", "\"é☃\"", "\"\"", "\"%v%5.2f%[9]d\"", "\"(a)|b\"", "nil",
              "\"2006-01-02T15:04:05.999999999Z07:00\"", "\"-1h\"", "(list 1 \"a\")", "now",
              "(dict \"a\" 1)", "true"][..],
        ), 0..4),
    ) {
        let _ = fill_in(&format!("{{{{{name} {}}}}}", values.join(" ")));
    }
}
