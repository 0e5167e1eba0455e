//! What Go makes of a template, this makes of it too. The tables beside this file were written once
//! by programs in Go: `go.json` by its own text/template, `sprig.json` with the functions of sprig
//! added.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use doorbell_template::{Data, Error, Template};
use serde_json::Value as Json;

/// What Go made of a template.
#[derive(Debug, PartialEq)]
enum Made {
    Text(String),
    /// It was no template.
    Invalid,
    /// It could not be filled in.
    Failed,
}

fn made(template: &str, data: &Data) -> Made {
    match Template::parse(template).and_then(|read| read.fill_in(data, 1 << 20)) {
        Ok(text) => Made::Text(text),
        Err(Error::Invalid(_)) => Made::Invalid,
        Err(Error::Failed(_)) => Made::Failed,
        Err(other) => panic!("{template}: {other}"),
    }
}

fn differences(table: &str) -> Vec<String> {
    let table: Json = serde_json::from_str(table).unwrap();
    let data = Data::from(table["data"].clone());
    let cases = table["cases"].as_array().unwrap();
    assert!(cases.len() > 50);
    let differ = |case: &Json| {
        let template = case["template"].as_str().unwrap();
        let expected = match (case["text"].as_str(), case["invalid"].as_bool()) {
            (Some(text), _) => Made::Text(text.to_owned()),
            (None, Some(_)) => Made::Invalid,
            (None, None) => Made::Failed,
        };
        let made = made(template, &data);
        (made != expected).then(|| format!("{template}\n   here: {made:?}\n  in Go: {expected:?}"))
    };
    cases.iter().filter_map(differ).collect()
}

#[test]
fn templates_bring_what_go_brings() {
    let differences = differences(include_str!("go.json"));
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn functions_bring_what_those_of_sprig_bring() {
    let differences = differences(include_str!("sprig.json"));
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
