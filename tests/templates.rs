//! Templates: what a webhook sends becomes a message, by templates in the parameters, by those that
//! come with the server, and by those of a folder; every refusal with its number; and the guide.

use std::fs;

use serde_json::{Value, json};

use crate::publish::{accepted, assert_refused};
use crate::support::server::{run, server_command};
use crate::support::{Event, Request, TestServer};

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn filled_in(server: &TestServer, query: &str, body: &Value) -> Event {
    accepted(&server.send(&Request::post(&format!("/t?{query}"), body.to_string())))
}

#[test]
fn parameters_are_templates_over_the_body() {
    let server = TestServer::start();
    let body = json!({"title": "Disk", "host": {"name": "db1"}, "full": 93.5, "level": "high", "n": 1_000_000});
    let message =
        percent("{{ .host.name }} is {{ printf \"%.1f\" .full }} % full\\n{{ .n }} {{ .nothing }}");
    for yes in ["template=yes", "tpl=1", "template=true"] {
        let title = percent("{{ .title | upper }}");
        let priority = percent("{{ .level }}");
        let event = filled_in(
            &server,
            &format!("{yes}&message={message}&title={title}&priority={priority}&tags=disk"),
            &body,
        );
        assert_eq!(event.message(), "db1 is 93.5 % full\n1e+06 <no value>");
        assert_eq!((&event["title"], &event["priority"]), (&json!("DISK"), &json!(4)));
        assert_eq!(event["tags"], json!(["disk"]));
    }
    let by_headers = Request::post("/t", body.to_string())
        .header("X-Template", "Yes")
        .header("Title", "{{ .title }}")
        .header("Message", "{{ if gt .full 90.0 }}full{{ else }}fine{{ end }}");
    let event = accepted(&server.send(&by_headers));
    assert_eq!((event.message(), &event["title"]), ("full", &json!("Disk")));
    assert_eq!(filled_in(&server, "tpl=1", &body).message(), "triggered");
    let untouched = accepted(&server.send(&Request::post("/t?tpl=no&title={{.a}}", "{\"a\":1}")));
    assert_eq!((untouched.message(), &untouched["title"]), ("{\"a\":1}", &json!("{{.a}}")));
}

#[test]
fn a_json_publish_takes_templates_too() {
    let server = TestServer::start();
    let body = json!({"topic": "t", "message": "{\"a\": [1, 2]}", "title": "{{ len .a }} things"});
    let request = Request::post("/", body.to_string()).header("Template", "yes");
    let event =
        accepted(&server.send(&request.header("Message", "{{ range .a }}<{{ . }}>{{ end }}")));
    assert_eq!((event.message(), &event["title"]), ("<1><2>", &json!("2 things")));
}

#[test]
fn webhooks_use_the_templates_that_come_with_the_server() {
    let server = TestServer::start();
    let alert = json!({"status": "firing", "labels": {"alertname": "DiskFull"}, "annotations": {}});
    let firing = json!({"status": "firing", "title": "[FIRING:1]", "alerts": [alert],
        "commonLabels": {"alertname": "DiskFull"}, "truncatedAlerts": 0});
    let star = json!({"action": "created", "starred_at": "2026-11-30T13:00:00Z",
        "sender": {"login": "ben"}, "repository": {"full_name": "ann/bell"}});
    for (name, body, title) in [
        ("grafana", &firing, "🚨 [FIRING:1]"),
        ("alertmanager", &firing, "🚨 DiskFull"),
        ("github", &star, "⭐ ben starred ann/bell"),
    ] {
        let event = filled_in(&server, &format!("template={name}&priority=5"), body);
        assert_eq!((&event["title"], &event["priority"]), (&json!(title), &json!(5)), "{name}");
    }
}

#[test]
fn a_body_for_a_template_may_be_longer_than_a_message() {
    let server = TestServer::start();
    let body = |bytes: usize| json!({"title": "short", "long": "x".repeat(bytes)});
    let event = filled_in(&server, "tpl=yes&m={{.title}}", &body(120_000));
    assert_eq!(event.message(), "short");
    let too_long =
        server.send(&Request::post("/t?tpl=yes&m={{.title}}", body(140_000).to_string()));
    assert_refused(&too_long, 41303, "a body of 140,000 bytes");
    let large = TestServer::with("--message-bytes 256KiB");
    let event = filled_in(&large, "tpl=yes&m={{len+.long}}", &body(200_000));
    assert_eq!(event.message(), "200000");
}

#[test]
fn what_is_wrong_with_a_template_has_its_number() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("broken.yml"), "title: {{ .x }}\n").unwrap();
    let server = TestServer::with(&format!("--template-dir {}", folder.path().display()));
    let long = percent(&format!("{{{{/*{}*/}}}}", "x".repeat(1 << 10)));
    for (number, query, body) in [
        (40041, "tpl=1&m={{.long}}{{.long}}", json!({"long": "x".repeat(3000)}).to_string()),
        (40042, "tpl=1&m={{.a}}", "5 disks failed".to_owned()),
        (40042, "template=github", "{\"a\": 1".to_owned()),
        (40042, "template=github", String::new()),
        (40043, "tpl=1&m={{.a", "{}".to_owned()),
        (40043, "tpl=1&t={{nope}}", "{}".to_owned()),
        (40044, "tpl=1&m={{template+%22x%22}}", "{}".to_owned()),
        (40044, "tpl=1&m={{call+.a}}", "{}".to_owned()),
        (40045, "tpl=1&m={{fail+%22on+purpose%22}}", "{}".to_owned()),
        (40045, "tpl=1&m={{.a.b}}", "{\"a\":1}".to_owned()),
        (40047, "template=nope", "{}".to_owned()),
        (40047, "template=../broken", "{}".to_owned()),
        (40048, "template=broken", "{}".to_owned()),
        (40055, "tpl=1&m={{range+until+100000000}}{{end}}", "{}".to_owned()),
        (40007, "tpl=1&p={{.a}}", "{\"a\":\"much\"}".to_owned()),
    ] {
        let response = server.send(&Request::post(&format!("/t?{query}"), body));
        assert_refused(&response, number, query);
    }
    let event = filled_in(&server, &format!("tpl=1&m=a{long}b"), &json!({}));
    assert_eq!(event.message(), "ab");
    let roomy = TestServer::with("--header-bytes 256KiB");
    let long = format!("{{{{/*{}*/}}}}", "x".repeat(33 << 10));
    let request = Request::post("/t?tpl=1", "{}").header("Message", &long);
    assert_refused(&roomy.send(&request), 40056, "a template of 33 KiB");
    assert!(server.poll("t", "all").len() == 1, "what is refused is not stored");
}

#[test]
fn the_templates_of_the_folder_count_as_they_are_when_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let write = |text: &str| fs::write(folder.path().join("uptime.yml"), text).unwrap();
    let server = TestServer::with(&format!("--template-dir {}", folder.path().display()));
    write(
        "title: '{{ .monitor }} is {{ .state }}'\nmessage: |\n  {{ .reason }}\npriority: '{{ ternary 5 2 (eq .state \"down\") }}'\n",
    );
    let body = json!({"monitor": "shop", "state": "down", "reason": "503"});
    let event = filled_in(&server, "template=uptime", &body);
    assert_eq!((event.message(), &event["title"]), ("503", &json!("shop is down")));
    assert_eq!(event["priority"], 5);
    write("title: changed\n");
    let event = filled_in(&server, "template=uptime&message=as+it+is", &body);
    assert_eq!((event.message(), &event["title"]), ("as it is", &json!("changed")));
}

#[test]
fn a_folder_of_templates_that_cannot_be_read_ends_with_two_and_one_line() {
    let flags = ["--template-dir", "/nowhere/templates", "--ephemeral", "--http", "127.0.0.1:0"];
    let output = run(server_command().args(flags).args(["--tcp", "127.0.0.1:0"]));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
    assert!(stderr.contains("--template-dir") && stderr.contains("/nowhere/templates"), "{stderr}");
}

/// The examples of the guide: a template, a body, and the text that is made of them, each in a
/// fence of its own below a mark.
#[test]
fn the_examples_of_the_guide_bring_what_it_says() {
    let server = TestServer::start();
    let guide = include_str!("../docs/templates.md");
    let mut examples = 0;
    for example in guide.split("<!-- example -->").skip(1) {
        let fences: Vec<&str> = example.split("```").skip(1).step_by(2).take(3).collect();
        let inside: Vec<&str> =
            fences.iter().map(|fence| fence.split_once('\n').unwrap().1).collect();
        let [template, body, text] = inside[..] else { panic!("three fences: {example}") };
        let query = format!("tpl=1&m={}", percent(template.trim_end()));
        let sent = Request::post(&format!("/t?{query}"), body.trim_end());
        assert_eq!(accepted(&server.send(&sent)).message(), text.trim_end(), "{template}");
        examples += 1;
    }
    assert!(examples >= 5, "{examples}");
}
