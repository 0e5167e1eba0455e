//! Messages that go out as mail: what arrives at a mail server, and what is refused.

use std::fs;

use serde_json::json;

use crate::support::server::{run, server_command};
use crate::support::smtp::{MailServer, SmtpTls, headers};
use crate::support::tls::Authority;
use crate::support::{AccessFile, Request, TestServer, eventually};

const FROM: &str = "bell@push.example";
const TO: &str = "you@home.example";

/// The flags of a server that sends its mail there, unencrypted.
fn flags(mail: &MailServer) -> String {
    format!("--smtp {} --smtp-from {FROM} --smtp-tls off", mail.at)
}

#[test]
fn a_message_is_sent_as_mail_by_each_name_and_on_each_way_to_publish() {
    let Some(mail) = MailServer::start(SmtpTls::Off) else { return };
    let server = TestServer::with(&flags(&mail));
    for name in ["X-Email", "X-E-mail", "Email", "E-Mail", "Mail", "e"] {
        server.accepts(&Request::post("/t", name).header(name, TO));
        let sent = mail.mail();
        assert_eq!((&sent["from"], &sent["to"]), (&json!(FROM), &json!([TO])), "{name}");
        assert_eq!(headers(&sent, "subject"), [name]);
        assert!(sent["text"].as_str().unwrap().starts_with(&format!("{name}\r\n\r\n")), "{sent}");
    }
    let json = json!({"topic": "t", "message": "by JSON", "email": TO});
    server.accepts(&Request::post("/", json.to_string()));
    assert_eq!(headers(&mail.mail(), "subject"), ["by JSON"]);
    assert_eq!(server.lines().ask(format_args!("PUBJ {json}")).kind(), "ok");
    assert_eq!(headers(&mail.mail(), "subject"), ["by JSON"]);
    server.accepts(&Request::get(&format!("/t/publish?message=by+GET&e={TO}")));
    assert_eq!(headers(&mail.mail(), "subject"), ["by GET"]);
    server.accepts(&Request::post("/t", "a file").header("Email", TO).header("f", "a.txt"));
    assert!(mail.mail()["text"].as_str().unwrap().contains("File: http://localhost/file/"));
    server.accepts(&Request::post("/t", "none").header("Email", "no"));
    eventually("each is counted", || (server.calls("mail", "sent", None) == 10).then_some(()));
    assert!(mail.is_empty());
    let held = server.poll("t", "all");
    assert!(held.iter().all(|event| !event.line.contains(TO)), "readers are not told to whom");
}

#[test]
fn a_mail_says_all_that_its_message_says_and_where_and_when_that_was() {
    let Some(mail) = MailServer::start(SmtpTls::Off) else { return };
    let server = TestServer::with(&format!("{} --base-url https://push.example", flags(&mail)));
    let text = "Die Tür ist offen.\n.\nUnd zwar ganz.";
    let message = json!({
        "topic": "tür".replace('ü', "ue"), "message": text, "title": "Überwachung der Tür", "email": TO,
        "priority": 5, "tags": ["warning", "door"], "click": "https://home.example/door",
    });
    let response = server.send(&Request::post("/", message.to_string()));
    assert_eq!(response.status, 200, "{}", response.text());
    let sent = mail.mail();
    assert_eq!(sent["defects"], json!([]), "{sent}");
    assert_eq!(headers(&sent, "subject"), ["Überwachung der Tür"]);
    assert_eq!(headers(&sent, "from"), [FROM]);
    assert_eq!(headers(&sent, "to"), [TO]);
    assert_eq!(headers(&sent, "auto-submitted"), ["auto-generated"]);
    assert_eq!(headers(&sent, "date").len(), 1);
    let id = response.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(headers(&sent, "message-id"), [format!("<{id}@push.example>")]);
    let told = sent["text"].as_str().unwrap().replace("\r\n", "\n");
    let expected = format!(
        "{text}\n\nPriority: 5\nTags: warning, door\nLink: https://home.example/door\n\
         Published at 2"
    );
    assert!(told.starts_with(&expected), "{told}");
    assert!(told.trim_end().ends_with("Z to https://push.example/tuer"), "{told}");
}

#[test]
fn nothing_in_a_message_becomes_a_header_or_another_recipient() {
    let Some(mail) = MailServer::start(SmtpTls::Off) else { return };
    let server = TestServer::with(&flags(&mail));
    let evil = "x\r\nBcc: all@evil.example\r\n\r\nbody";
    for message in [
        json!({"topic": "t", "message": "m", "title": evil, "email": TO}),
        json!({"topic": "t", "message": evil, "email": TO}),
        json!({"topic": "t", "message": "m", "title": "a\u{0}b\u{85}c", "tags": [evil], "email": TO}),
        json!({"topic": "t", "message": "m", "title": "=?utf-8?q?x=0D=0ABcc:_y?=", "email": TO}),
    ] {
        server.accepts(&Request::post("/", message.to_string()));
        let sent = mail.mail();
        assert_eq!(sent["to"], json!([TO]), "{sent}");
        assert!(headers(&sent, "bcc").is_empty(), "{sent}");
        assert_eq!(headers(&sent, "subject").len(), 1, "{sent}");
        assert_eq!(sent["headers"].as_array().unwrap().len(), 9, "{sent}");
    }
    for wrong in [
        "yes",
        "you",
        "you@",
        "@home.example",
        "a@b@c",
        "you@home.example,other@home.example",
        "you@home.example\r\nRCPT TO:<x@y>",
        "<you@home.example>",
        "a b@home.example",
    ] {
        let message = json!({"topic": "t", "message": "m", "email": wrong});
        server.refuses(&Request::post("/", message.to_string()), 40050);
    }
    assert!(mail.is_empty());
}

#[test]
fn the_way_to_the_mail_server_is_encrypted_and_it_is_told_who_sends() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let identity = authority.issue("mail", &["localhost"], "mail");
    let password = folder.path().join("password");
    fs::write(&password, "secret\n").unwrap();
    let trust = || vec![("SSL_CERT_FILE", authority.certificate.clone())];
    let starttls = MailServer::start(SmtpTls::StartTls(&identity));
    let implicit = MailServer::start(SmtpTls::Implicit(&identity));
    let (Some(starttls), Some(implicit)) = (starttls, implicit) else { return };
    let flags =
        |mail: &MailServer| format!("--smtp localhost:{} --smtp-from {FROM}", mail.at.port());
    let login = format!("--smtp-user bell --smtp-password-file {}", password.display());
    for (mail, more) in [(&starttls, login.as_str()), (&implicit, "--smtp-tls implicit")] {
        let own = format!("{} {more}", flags(mail));
        let server = TestServer::durable_with(&own, trust());
        server.accepts(&Request::post("/t", "x").header("Email", TO));
        assert_eq!(mail.mail()["encrypted"], true);
        // Nobody vouches for it there.
        let server = TestServer::durable(&own);
        server.accepts(&Request::post("/t", "x").header("Email", TO));
        eventually("it is not sent", || (server.calls("mail", "failed", None) == 1).then_some(()));
        assert!(mail.is_empty());
    }
    fs::write(&password, "guess").unwrap();
    let server = TestServer::durable_with(&format!("{} {login}", flags(&starttls)), trust());
    server.accepts(&Request::post("/t", "x").header("Email", TO));
    eventually("it is not let in", || (server.calls("mail", "failed", None) == 1).then_some(()));
    eventually("that is said", || server.stderr().contains("535").then_some(()));
    assert!(!server.stderr().contains("guess"));
}

#[test]
fn a_mail_server_that_does_not_answer_delays_no_publish() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for at in [silent.local_addr().unwrap(), closed] {
        let server = TestServer::with(&format!("--smtp {at} --smtp-from {FROM} --smtp-tls off"));
        for _ in 0..20 {
            server.accepts(&Request::post("/t", "x").header("Email", TO));
        }
        assert_eq!(server.poll("t", "all").len(), 20);
        if at == closed {
            eventually("all fail", || (server.calls("mail", "failed", None) == 20).then_some(()));
        }
    }
}

#[test]
fn a_visitor_sends_so_many_mails_and_then_one_after_the_other() {
    let Some(mail) = MailServer::start(SmtpTls::Off) else { return };
    let access = AccessFile::new("[anonymous]\nallow = [\"pubsub >\"]\nadmin = true\n");
    let server = TestServer::with(&format!("{} {}", flags(&mail), access.flag()));
    let account = || {
        let account = server.get("/v1/account").json();
        let figure = |of: &str, name: &str| account[of][name].as_u64().unwrap();
        [figure("limits", "emails"), figure("stats", "emails"), figure("stats", "emails_remaining")]
    };
    assert_eq!(account(), [16, 0, 16]);
    for _ in 0..16 {
        server.accepts(&Request::post("/t", "x").header("Email", TO));
    }
    assert_eq!(account(), [16, 16, 0]);
    let response = server.send(&Request::post("/t", "x").header("Email", TO));
    assert_eq!(response.json()["code"], 42902, "{}", response.text());
    let wait: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&wait), "one an hour: {wait}");
    server.accepts(&Request::post("/t", "without"));
    assert_eq!(server.poll("t", "all").len(), 17, "what is refused is not published");
    let config = server.get("/v1/config").json();
    assert_eq!(config["limits"]["visitor"]["emails"], "16/16h");
    assert_eq!(config["enable_emails"], true);
}

#[test]
fn what_cannot_be_sent_as_mail_is_refused_and_not_published() {
    let server = TestServer::start();
    server.refuses(&Request::post("/t", "x").header("Email", TO), 40001);
    assert_eq!(server.get("/v1/account").json()["limits"]["emails"], 0);
    assert_eq!(server.get("/v1/config").json()["enable_emails"], false);
    let closed = "--smtp 127.0.0.1:1 --smtp-from bell@push.example --smtp-tls off";
    let server = TestServer::with(closed);
    server.refuses(&Request::post("/t", "x").header("Email", TO).header("In", "1h"), 40003);
    server.refuses(&Request::post("/t", "x").header("Email", &"x".repeat(400)), 40050);
    assert!(server.poll("t", "all").is_empty());
}

#[test]
fn settings_of_mail_that_lack_something_are_an_error_at_the_start() {
    for (flags, named) in [
        ("--smtp mail:25", "--smtp-from"),
        ("--smtp-from a@b.example", "--smtp,"),
        ("--smtp mail --smtp-from a@b.example", "--smtp"),
        ("--smtp mail:25 --smtp-from nobody", "--smtp-from"),
        ("--smtp mail:25 --smtp-from a@b.example --smtp-tls maybe", "--smtp-tls"),
        ("--smtp mail:25 --smtp-from a@b.example --smtp-user u", "--smtp-password-file"),
        (
            "--smtp mail:25 --smtp-from a@b.example --smtp-tls off --smtp-user u \
             --smtp-password-file f",
            "unencrypted",
        ),
        (
            "--smtp mail:25 --smtp-from a@b.example --smtp-user u \
             --smtp-password-file /nowhere/password",
            "/nowhere/password",
        ),
    ] {
        let mut command = server_command();
        command.args(["--ephemeral", "--http", "127.0.0.1:0", "--tcp", "none"]);
        let output = run(command.args(flags.split_whitespace()));
        assert_eq!(output.status.code(), Some(2), "{flags}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(named), "{flags}: {said}");
    }
}
