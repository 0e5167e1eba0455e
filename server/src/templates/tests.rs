//! The templates that come with the server, over what their programs send, and the folder.

use std::fs;

use doorbell_protocol::limits::{MESSAGE_BYTES_DEFAULT, TITLE_BYTES_MAX};
use doorbell_template::{Data, Template};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// The title and the text that a template makes.
fn filled_in(name: &str, body: &Value) -> (String, String) {
    let file = Templates::default().named(name).unwrap();
    let data = Data::from(body.clone());
    let fill_in = |template: Option<String>| {
        let template = Template::parse(&template.unwrap()).unwrap();
        let text =
            template.fill_in(&data, 1 << 20).unwrap_or_else(|error| panic!("{error}: {body}"));
        text.trim().to_owned()
    };
    (fill_in(file.title), fill_in(file.message))
}

/// A name, the body of a webhook, and the title and text that are made of it.
type Case = (&'static str, Value, &'static str, &'static str);

fn assert_filled_in(cases: &[Case]) {
    for (name, body, title, message) in cases {
        assert_eq!(filled_in(name, body), ((*title).to_owned(), (*message).to_owned()), "{body}");
    }
}

fn alert(status: &str, instance: &str) -> Value {
    json!({
        "status": status,
        "labels": {"alertname": "DiskFull", "instance": instance, "severity": "critical",
            "grafana_folder": "Hosts"},
        "annotations": {"summary": "The disk is nearly full", "description": "93 % are used"},
        "startsAt": "2026-11-30T13:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "https://prometheus.example/graph", "fingerprint": "a1b2c3",
        "valueString": "[ var='A' labels={instance=db1} value=93 ]",
    })
}

#[test]
fn what_grafana_sends_is_read_at_a_glance() {
    let firing = json!({
        "receiver": "phone", "status": "firing", "orgId": 1, "state": "alerting", "version": "1",
        "title": "[FIRING:2] DiskFull", "message": "**Firing**", "externalURL": "https://g.example/",
        "alerts": [alert("firing", "db1"), alert("resolved", "db2")], "truncatedAlerts": 3,
        "commonLabels": {}, "commonAnnotations": {}, "groupLabels": {}, "groupKey": "{}",
    });
    let bare = json!({"status": "resolved", "title": "[OK] Test", "message": "All is well"});
    assert_filled_in(&[
        (
            "grafana",
            firing,
            "🚨 [FIRING:2] DiskFull",
            "🚨 DiskFull · instance=db1 · severity=critical\nThe disk is nearly full\n93 % are used\n\
             [ var='A' labels={instance=db1} value=93 ]\n\n\
             ✅ DiskFull · instance=db2 · severity=critical\nThe disk is nearly full\n93 % are used\n\
             [ var='A' labels={instance=db1} value=93 ]\n\nand 3 more",
        ),
        ("grafana", bare, "✅ [OK] Test", "All is well"),
    ]);
}

#[test]
fn what_alertmanager_sends_is_read_at_a_glance() {
    let group = |status: &str, alerts: Vec<Value>| {
        json!({
            "version": "4", "groupKey": "{}:{alertname=\"DiskFull\"}", "truncatedAlerts": 0,
            "status": status, "receiver": "doorbell", "groupLabels": {"alertname": "DiskFull"},
            "commonLabels": {"alertname": "DiskFull"}, "commonAnnotations": {},
            "externalURL": "http://am.example:9093", "alerts": alerts,
        })
    };
    assert_filled_in(&[
        (
            "alertmanager",
            group("firing", vec![alert("firing", "db1")]),
            "🚨 DiskFull",
            "🚨 DiskFull · grafana_folder=Hosts · instance=db1 · severity=critical\n\
             The disk is nearly full\n93 % are used",
        ),
        (
            "alertmanager",
            group("resolved", vec![alert("resolved", "db1"), alert("resolved", "db2")]),
            "✅ DiskFull resolved (2)",
            "✅ DiskFull · grafana_folder=Hosts · instance=db1 · severity=critical\n\
             The disk is nearly full\n93 % are used\n\n\
             ✅ DiskFull · grafana_folder=Hosts · instance=db2 · severity=critical\n\
             The disk is nearly full\n93 % are used",
        ),
    ]);
    let many: Vec<Value> = (0..40).map(|n| alert("firing", &n.to_string())).collect();
    let (title, message) = filled_in("alertmanager", &group("firing", many));
    assert_eq!(title, "🚨 DiskFull (40)");
    let told = message.matches("🚨").count();
    assert!(told >= 10 && message.ends_with(&format!("\n\nand {} more", 40 - told)), "{message}");
}

/// An event of GitHub: what all of them have, and what this one has.
fn event(mut own: Value) -> Value {
    let all = own.as_object_mut().unwrap();
    all.insert(
        "repository".into(),
        json!({"full_name": "ann/bell", "html_url": "https://h/ann/bell"}),
    );
    all.insert("sender".into(), json!({"login": "ben"}));
    own
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table of events")]
fn what_github_sends_is_read_at_a_glance() {
    let issue = json!({"number": 7, "title": "It rings twice", "body": "Always.", "html_url": "https://h/7",
        "milestone": null});
    let pull = |merged: bool| json!({"number": 8, "title": "Ring once", "body": null, "html_url": "https://h/8", "merged": merged});
    let comment =
        json!({"body": "Seen here too.", "html_url": "https://h/7#1", "commit_id": "0123456789"});
    let commit =
        |id: &str, message: &str| json!({"id": id, "message": message, "author": {"name": "Ben"}});
    let run = json!({"name": "CI", "conclusion": "failure", "status": "completed", "head_branch": "main",
        "head_sha": "0123456789", "display_title": "Ring once", "event": "push", "run_number": 12,
        "html_url": "https://h/run"});
    let github = |own, title, message| ("github", event(own), title, message);
    assert_filled_in(&[
        github(
            json!({"zen": "Keep it simple.", "hook_id": 1}),
            "👋 ann/bell is connected",
            "Keep it simple.",
        ),
        github(
            json!({"action": "created", "starred_at": "2026-11-30T13:00:00Z"}),
            "⭐ ben starred ann/bell",
            "https://h/ann/bell",
        ),
        github(
            json!({"action": "deleted", "starred_at": null}),
            "☆ ben took back a star of ann/bell",
            "https://h/ann/bell",
        ),
        github(json!({"action": "started"}), "👀 ben watches ann/bell", "https://h/ann/bell"),
        github(
            json!({"forkee": {"full_name": "ben/bell", "html_url": "https://h/ben/bell"}}),
            "🍴 ben forked ann/bell",
            "https://h/ben/bell",
        ),
        github(
            json!({"action": "opened", "issue": issue}),
            "📌 ben opened #7 in ann/bell",
            "It rings twice\n\nAlways.\n\nhttps://h/7",
        ),
        github(
            json!({"action": "labeled", "issue": issue, "label": {"name": "bug"}}),
            "📌 ben labeled #7 in ann/bell",
            "It rings twice\nLabel: bug\n\nhttps://h/7",
        ),
        github(
            json!({"action": "created", "issue": issue, "comment": comment}),
            "💬 ben commented on #7 in ann/bell",
            "It rings twice\n\nSeen here too.\n\nhttps://h/7#1",
        ),
        github(
            json!({"action": "created", "comment": comment}),
            "💬 ben commented on 0123456 in ann/bell",
            "Seen here too.\n\nhttps://h/7#1",
        ),
        github(
            json!({"action": "opened", "pull_request": pull(false)}),
            "🔀 ben opened #8 in ann/bell",
            "Ring once\n\nhttps://h/8",
        ),
        github(
            json!({"action": "closed", "pull_request": pull(true)}),
            "🟣 ben merged #8 in ann/bell",
            "Ring once\n\nhttps://h/8",
        ),
        github(
            json!({"action": "submitted", "pull_request": pull(false),
            "review": {"state": "changes_requested", "body": "Please test it.", "html_url": "https://h/8#r"}}),
            "🔍 ben changes requested #8 in ann/bell",
            "Ring once\n\nPlease test it.\n\nhttps://h/8#r",
        ),
        github(
            json!({"ref": "refs/heads/main", "commits": [
            commit("0123456789", "Ring once\n\nNot twice."), commit("abcdef0123", "Test it")],
            "compare": "https://h/compare", "deleted": false, "head_commit": null}),
            "📝 ben pushed 2 commits to main of ann/bell",
            "0123456 Ring once (Ben)\nabcdef0 Test it (Ben)\n\nhttps://h/compare",
        ),
        github(
            json!({"ref": "refs/heads/old", "commits": [], "deleted": true, "head_commit": null}),
            "🗑️ ben deleted old in ann/bell",
            "https://h/ann/bell",
        ),
        github(
            json!({"ref": "v1", "ref_type": "tag", "master_branch": "main"}),
            "🌿 ben created tag v1 in ann/bell",
            "https://h/ann/bell",
        ),
        github(
            json!({"action": "published", "release": {"tag_name": "v1.0", "name": null,
            "body": "The first one.", "html_url": "https://h/v1"}}),
            "🚀 ann/bell v1.0 published",
            "v1.0\n\nThe first one.\n\nhttps://h/v1",
        ),
        github(
            json!({"action": "completed", "workflow_run": run}),
            "❌ CI: failure in ann/bell",
            "Ring once\nmain 0123456, push, run 12\n\nhttps://h/run",
        ),
        github(
            json!({"action": "in_progress", "workflow_job": {"name": "test", "conclusion": null,
            "status": "in_progress", "head_branch": "main", "head_sha": "0123456789", "html_url": "https://h/job"}}),
            "⏳ test: in progress in ann/bell",
            "main 0123456\n\nhttps://h/job",
        ),
        github(
            json!({"deployment": {"environment": "production"}, "deployment_status":
            {"state": "success", "description": null, "environment_url": "https://bell.example"}}),
            "📦 ann/bell in production: success",
            "https://bell.example",
        ),
        github(
            json!({"action": "member_added"}),
            "GitHub: member added in ann/bell",
            "https://h/ann/bell",
        ),
    ]);
}

#[test]
fn long_texts_of_webhooks_fit_into_a_message() {
    let long = "y".repeat(9000);
    let mut alert = alert("firing", &long);
    alert["annotations"] = json!({"summary": long, "description": long});
    alert["valueString"] = json!(long);
    let alerts = json!({"status": "firing", "title": long, "alerts": vec![alert; 30],
        "commonLabels": {"alertname": long}, "truncatedAlerts": 0});
    let comment = json!({"number": 1, "title": long, "body": long, "html_url": "https://h/1"});
    let commits = vec![json!({"id": long, "message": long, "author": {"name": long}}); 30];
    for (name, body) in [
        ("grafana", alerts.clone()),
        ("alertmanager", alerts),
        ("github", event(json!({"action": "created", "issue": comment, "comment": comment}))),
        ("github", event(json!({"action": "opened", "pull_request": comment}))),
        ("github", event(json!({"ref": "refs/heads/main", "commits": commits}))),
    ] {
        let (title, message) = filled_in(name, &body);
        assert!(title.len() <= TITLE_BYTES_MAX, "{name}: {} bytes", title.len());
        assert!(message.len() <= MESSAGE_BYTES_DEFAULT, "{name}: {} bytes", message.len());
    }
}

#[test]
fn a_file_of_the_folder_goes_before_one_that_comes_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let templates = Templates::open(Some(folder.path())).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let title = |name| templates.named(name).map(|file| file.title);
    let code = |name| title(name).unwrap_err().code();
    write("github.yml", "title: mine\n");
    assert_eq!(title("github").unwrap().as_deref(), Some("mine"));
    write("github.yml", "");
    assert!(title("github").unwrap().is_some_and(|title| title.contains("repository")));
    write("priority.yml", "priority: 4\nmessage: null\n");
    assert_eq!(templates.named("priority").unwrap().priority.as_deref(), Some("4"));
    let long = "x".repeat(65);
    for unknown in ["nope", "", "../github", "a/b", ".", "github.yml", &long] {
        assert_eq!(code(unknown), Code::TemplateUnknown, "{unknown}");
    }
    write("other.yml", "tags: a\n");
    write("broken.yml", "title: {{ .x }}\n");
    write("long.yml", &format!("title: {}\n", "x".repeat(200_000)));
    fs::create_dir(folder.path().join("folder.yml")).unwrap();
    for malformed in ["other", "broken", "long", "folder"] {
        assert_eq!(code(malformed), Code::TemplateFileInvalid, "{malformed}");
    }
    assert!(Templates::open(Some(&folder.path().join("none"))).is_err());
}

proptest! {
    #[test]
    fn any_name_is_looked_for_in_the_folder_and_nowhere_else(name in "[./a\\\\\u{0}-]{0,8}") {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        fs::create_dir(&inside).unwrap();
        fs::write(folder.path().join("a.yml"), "title: outside\n").unwrap();
        let templates = Templates::open(Some(&inside)).unwrap();
        prop_assert!(templates.named(&name).is_err());
    }
}
