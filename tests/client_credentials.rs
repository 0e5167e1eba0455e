//! The program `doorbell`, as somebody whom the server knows.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use tempfile::TempDir;

use crate::support::access::token;
use crate::support::client::{RunningClient, client_command};
use crate::support::server::run;
use crate::support::tls::Authority;
use crate::support::{AccessFile, Event, Request, TestServer, skip_unless_ci};

/// Every way of receiving, with the options it needs to be quick.
const WAYS: [&[&str]; 6] = [
    &["--via", "tcp"],
    &["--via", "ws"],
    &["--via", "sse"],
    &["--via", "longpoll"],
    &["--via", "poll", "--interval", "50ms"],
    &["--via", "udp"],
];
const PASSWORD: &str = "open sesame: ünseen";

/// A server that knows a token `tk_reader`, a user `phil` and a certificate `sensor`; each may read
/// and publish in `a`.
struct Guarded {
    server: TestServer,
    file: AccessFile,
    folder: TempDir,
}

impl Guarded {
    fn start() -> Self {
        Self::with("")
    }

    fn with(flags: &str) -> Self {
        let file = AccessFile::new(&(root() + &known()));
        let folder = tempfile::tempdir().unwrap();
        let server = TestServer::with(&format!("{} --udp 127.0.0.1:0 {flags}", file.flag()));
        Self { server, file, folder }
    }

    fn publish(&self, text: &str) -> String {
        let request = Request::post("/a", text).token(Some("tk_root"));
        let answer = self.server.send(&request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().trim_end().to_owned()
    }

    /// A file with a secret in it.
    fn secret(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("secret");
        fs::write(&path, format!("{text}\n")).unwrap();
        path
    }

    /// The client at the HTTP address of the server.
    fn client(&self, words: &[&str]) -> Command {
        let mut command = client_command();
        command.args(words).args(["--server", &format!("http://{}", self.server.http)]);
        command
    }

    /// The same with the token.
    fn reader(&self, words: &[&str]) -> Command {
        let mut command = self.client(words);
        command.arg("--token-file").arg(self.secret("tk_reader"));
        command
    }
}

fn root() -> String {
    token("root", "allow = [\"pubsub >\"]\nadmin = true")
}

fn known() -> String {
    let params = Params::new(64, 1, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password(PASSWORD.as_bytes()).unwrap();
    let allow = "allow = [\"pubsub a\"]";
    token("reader", allow)
        + &format!("[[user]]\nname = \"phil\"\nargon2id = \"{hash}\"\n{allow}\n")
        + &format!("[certificate.\"sensor\"]\n{allow}\n")
}

/// What it prints, of a client that succeeds.
fn succeed(command: &mut Command) -> String {
    let output = run(command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{command:?}: {said}");
    assert!(!said.contains("secret") && !said.contains("tk_"), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it says, of a client that fails at once.
fn fail(code: i32, command: &mut Command) -> String {
    let output = run(command);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {said}");
    assert_eq!(said.lines().count(), 1, "one sentence, and no attempt more: {said}");
    said
}

fn words(first: &[&'static str], more: &[&'static str]) -> Vec<&'static str> {
    [first, more].concat()
}

const READ_ONE: [&str; 8] =
    ["subscribe", "a", "--since", "all", "--count", "1", "--format", "json"];

#[test]
fn a_token_is_brought_over_every_way() {
    let guarded = Guarded::start();
    let id = succeed(&mut guarded.reader(&["publish", "a", "x"]));
    let published = guarded.publish("y");
    for way in WAYS {
        let command = ["subscribe", "a", "--since", "all", "--count", "2", "--format", "json"];
        let output = succeed(&mut guarded.reader(&words(&command, way)));
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!((Event::parse(lines[0]).id(), lines[1]), (id.trim(), &*published), "{way:?}");
    }
    let lines = format!("tcp://{}", guarded.server.tcp);
    let mut command = client_command();
    command.args(["publish", "a", "z", "--server", &lines]).env("DOORBELL_TOKEN", "tk_reader");
    succeed(&mut command);
    // By a ticket: what is published from now on comes in datagrams alone.
    let live = ["subscribe", "a", "--via", "udp", "--since", "latest", "--format", "json"];
    let mut live = RunningClient::start(&mut guarded.reader(&live));
    assert_eq!(Event::parse(&live.line().unwrap()).message(), "z");
    for text in ["now", "and now"] {
        let published = guarded.publish(text);
        assert_eq!(live.line(), Some(published));
    }
}

#[test]
fn who_is_unknown_or_may_not_is_told_so_and_the_client_ends() {
    let guarded = Guarded::start();
    guarded.publish("x");
    for way in WAYS {
        let mut wrong = guarded.client(&words(&READ_ONE, way));
        let said = fail(1, wrong.env("DOORBELL_TOKEN", "tk_secret"));
        assert!(said.contains("40101") && !said.contains("tk_secret"), "{way:?}: {said}");
        let other = words(&["subscribe", "b", "--since", "all", "--count", "1"], way);
        let said = fail(1, &mut guarded.reader(&other));
        assert!(said.contains("reading 'b' is not allowed (40301)"), "{way:?}: {said}");
    }
    for address in
        [format!("http://{}", guarded.server.http), format!("tcp://{}", guarded.server.tcp)]
    {
        let mut command = client_command();
        command.args(["publish", "a", "x", "--server", &address]);
        let said = fail(1, command.env("DOORBELL_TOKEN", "tk_secret"));
        assert!(said.contains("40101") && !said.contains("tk_secret"), "{said}");
        // Nothing of what follows can succeed.
        let mut command = client_command();
        command.args(["publish", "b", "--lines", "--server", &address]);
        let mut running = RunningClient::start(command.env("DOORBELL_TOKEN", "tk_reader"));
        running.say("one");
        assert!(running.talk().unwrap().contains("publishing to 'b' is not allowed (40301)"));
        assert_eq!(running.wait().code(), Some(1));
    }
    let said = fail(1, &mut guarded.client(&READ_ONE));
    assert!(said.contains("names its listeners to nobody who may read nothing"), "{said}");
}

#[test]
fn a_client_whose_right_ends_says_so_and_ends() {
    for way in WAYS {
        let guarded = Guarded::start();
        let command = words(&["subscribe", "a", "--since", "all", "--format", "json"], way);
        guarded.publish("first");
        let mut running = RunningClient::start(&mut guarded.reader(&command));
        assert!(running.line().unwrap().contains("first"));
        let published = guarded.publish("second");
        assert_eq!(running.line(), Some(published), "{way:?}");
        guarded.file.apply(&root());
        guarded.publish("too late");
        assert_eq!(running.line(), None, "{way:?}");
        let mut said = String::new();
        while let Some(line) = running.talk() {
            said = line;
        }
        assert!(said.contains("(40101)") || said.contains("(40301)"), "{way:?}: {said}");
        assert!(!said.contains("tk_"), "{said}");
        assert_eq!(running.wait().code(), Some(1), "{way:?}");
    }
}

#[test]
fn a_user_brings_a_password_over_http_and_lines_say_what_to_do() {
    let guarded = Guarded::start();
    let as_phil = |words: &[&str]| {
        let mut command = guarded.client(words);
        command.args(["--user", "phil"]).env("DOORBELL_PASSWORD", PASSWORD);
        command
    };
    succeed(&mut as_phil(&["publish", "a", "x"]));
    for way in &WAYS[1..] {
        let output = succeed(&mut as_phil(&words(&READ_ONE, way)));
        assert_eq!(Event::parse(output.trim()).message(), "x", "{way:?}");
    }
    let said = fail(2, &mut as_phil(&READ_ONE));
    assert!(said.contains("lines take no password") && said.contains("--via ws"), "{said}");
    let mut by_file = guarded.client(&words(&READ_ONE, &["--via", "sse"]));
    by_file.args(["--user", "phil", "--password-file"]).arg(guarded.secret(PASSWORD));
    succeed(&mut by_file);
    let mut wrong = as_phil(&["publish", "a", "x"]);
    let said = fail(1, wrong.env("DOORBELL_PASSWORD", "guess"));
    assert!(said.contains("the user or the password is wrong (40101)"), "{said}");
}

#[test]
fn a_password_is_asked_for_at_the_terminal_and_not_shown() {
    let guarded = Guarded::start();
    let alone = guarded.client(&["publish", "a", "x", "--user", "phil"]);
    let mut setsid = Command::new("setsid");
    setsid.arg("--wait").arg(alone.get_program()).args(alone.get_args());
    let said = fail(2, &mut setsid);
    assert!(said.contains("DOORBELL_PASSWORD") && said.contains("--password-file"), "{said}");
    let words: Vec<_> = alone.get_args().map(|word| word.to_str().unwrap()).collect();
    let line = format!("{} {}", alone.get_program().to_str().unwrap(), words.join(" "));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut script) = script else {
        return skip_unless_ci("no program script, which gives a terminal");
    };
    let (mut terminal, mut shown) = (script.stdout.take().unwrap(), Vec::new());
    let question = b"Password of phil: ";
    while !shown.ends_with(question) {
        let mut byte = [0];
        terminal.read_exact(&mut byte).unwrap();
        shown.extend(byte);
    }
    writeln!(script.stdin.as_mut().unwrap(), "{PASSWORD}").unwrap();
    terminal.read_to_end(&mut shown).unwrap();
    let shown = String::from_utf8(shown).unwrap();
    assert!(!shown.contains("sesame"), "{shown}");
    assert!(script.wait().unwrap().success(), "{shown}");
    assert_eq!(shown.lines().count(), 2, "the question and the id: {shown}");
}

#[test]
fn a_secret_is_in_no_command_line_and_a_file_without_one_is_refused() {
    let guarded = Guarded::start();
    let mut command = guarded.reader(&["subscribe", "a", "--since", "all"]);
    guarded.publish("x");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let shown = fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!String::from_utf8(shown).unwrap().contains("tk_"));
    for (text, expected) in [
        ("", "is empty"),
        ("two words", "without blanks"),
        (&"x".repeat(9000), "9000 bytes is too long, limit is 8000"),
        (&"x".repeat(17000), "longer than 16384 bytes"),
    ] {
        let mut command = guarded.client(&READ_ONE);
        let said = fail(2, command.arg("--token-file").arg(guarded.secret(text)));
        assert!(said.contains("--token-file") && said.contains(expected), "{said}");
        assert!(!said.contains("two words"), "{said}");
    }
    let mut command = guarded.client(&READ_ONE);
    let said = fail(2, command.args(["--token-file", "/nowhere"]));
    assert!(said.contains("--token-file /nowhere"), "{said}");
    let measured = fail(2, &mut guarded.reader(&["compare"]));
    assert!(measured.contains("--token-file"), "{measured}");
}

#[test]
fn a_credential_goes_to_no_other_machine_in_the_clear() {
    // Nobody has this address, so that an attempt would be another error.
    for address in ["http://192.0.2.1", "tcp://192.0.2.1"] {
        let mut command = client_command();
        command.args(["publish", "a", "x", "--server", address]);
        let said = fail(2, command.env("DOORBELL_TOKEN", "tk_secret"));
        assert!(said.contains("--insecure") && said.contains("192.0.2.1"), "{said}");
        assert!(!said.contains("tk_secret"), "{said}");
    }
}

#[test]
fn a_certificate_is_shown_over_every_way_and_one_that_is_not_taken_ends_the_client() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let strangers = Authority::new(folder.path(), "strangers");
    let (certificate, key) = authority.issue("server", &["localhost", "127.0.0.1"], "server");
    let guarded = Guarded::with(&format!(
        "--https 127.0.0.1:0 --tcps 127.0.0.1:0 --tls-cert {} --tls-key {} --tls-client-ca {}",
        certificate.display(),
        key.display(),
        authority.certificate.display()
    ));
    guarded.publish("x");
    let own = authority.issue("own", &["sensor"], "sensor");
    let strange = strangers.issue("strange", &["sensor"], "sensor");
    let client = |words: &[&str], (certificate, key): &(PathBuf, PathBuf)| {
        let mut command = client_command();
        let port = guarded.server.listener("https").port();
        command.args(words).args(["--server", &format!("https://localhost:{port}"), "--ca"]);
        command.arg(&authority.certificate).arg("--cert").arg(certificate);
        command.arg("--key").arg(key);
        command
    };
    succeed(&mut client(&["publish", "a", "y"], &own));
    for way in &WAYS[..5] {
        let output = succeed(&mut client(&words(&READ_ONE, way), &own));
        assert_eq!(Event::parse(output.trim()).message(), "x", "{way:?}");
        // That it is not taken may come too late to be heard, and then the client tries again.
        let output = run(&mut client(&words(&READ_ONE, way), &strange));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{way:?}: {said}");
        assert!(said.contains("does not take the certificate of --cert"), "{way:?}: {said}");
    }
    let swapped = (own.0.clone(), strange.1.clone());
    let said = fail(2, &mut client(&["publish", "a", "y"], &swapped));
    assert!(said.contains("--key"), "{said}");
    let mut plain = guarded.client(&READ_ONE);
    let said = fail(2, plain.arg("--cert").arg(&own.0).arg("--key").arg(&own.1));
    assert!(said.contains("use TLS"), "{said}");
}
