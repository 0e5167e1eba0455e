//! The commands that give out tokens and take them back, and those that say what a file means.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use tempfile::TempDir;

use crate::support::server::{run, server_command};
use crate::support::{Request, TestServer};

/// An access file in a folder of its own.
struct Access(TempDir);

impl Access {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("access.toml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn server(&self) -> TestServer {
        TestServer::with(&format!("--access {}", self.path().display()))
    }

    /// Runs a command, whose words have no blanks but for rules in the form `sub+orders.>`.
    fn command(&self, words: &str) -> Output {
        let words = words.split_whitespace().map(|word| word.replace('+', " "));
        run(server_command().args(words).arg("--access").arg(self.path()))
    }

    /// What a command that succeeds writes to standard output.
    fn done(&self, words: &str) -> String {
        let output = self.command(words);
        assert_eq!(output.status.code(), Some(0), "{words}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn read(server: &TestServer, token: &str) -> u16 {
    let request = Request::get("/orders/json?poll=1");
    server.send(&request.header("authorization", &format!("Bearer {token}"))).status
}

#[test]
fn a_token_is_good_when_the_command_returns_and_no_more_when_it_is_revoked() {
    let access = Access::new();
    fs::write(access.path(), "# kept\n").unwrap();
    let server = access.server();
    let output = access.command("token add one --allow sub+orders");
    assert!(said(&output).contains("applied by the running server"), "{output:?}");
    let one = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert_eq!(read(&server, &one), 200);
    let two = access.done("token rotate one");
    assert_ne!(one, two);
    assert_eq!((read(&server, &one), read(&server, &two)), (200, 200));
    access.done("token revoke one");
    assert_eq!((read(&server, &one), read(&server, &two)), (401, 401));
    assert_eq!(access.text(), "# kept\n");
}

#[test]
fn a_reader_goes_on_with_a_token_that_was_rotated_until_it_is_revoked() {
    let access = Access::new();
    fs::write(access.path(), "[uid]\n").unwrap();
    let server = access.server();
    let token = access.done("token add one --allow pubsub+orders");
    let mut lines = server.lines();
    assert_eq!(lines.ask(format!("AUTH {token}")).kind(), "ok");
    lines.subscribe("orders");
    access.done("token rotate one");
    lines.say("PUB orders x");
    // In either order.
    let mut kinds: Vec<String> =
        lines.events(2).iter().map(|event| event.kind().to_owned()).collect();
    kinds.sort();
    assert_eq!(kinds, ["message", "ok"]);
    access.done("token revoke one");
    assert_eq!(lines.event().code(), 40301);
}

#[test]
fn a_new_file_is_for_its_owner_alone_and_no_secret_is_in_it() {
    let access = Access::new();
    let token = access.done("token add one --allow sub+orders.> --deny sub+orders.x --expires 90d");
    assert!(token.starts_with("tk_") && token.len() == 32, "{token}");
    assert_eq!(fs::metadata(access.path()).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!access.text().contains(&token), "{}", access.text());
    let listed = access.done("token list");
    assert!(listed.starts_with("one  allow 'sub orders.>'  deny 'sub orders.x'  expires 20"));
    assert!(!listed.contains("sha256"));
}

#[test]
fn a_password_comes_from_standard_input_and_is_written_as_a_hash() {
    let access = Access::new();
    let password = access.0.path().join("password");
    fs::write(&password, "open sesame\n").unwrap();
    let mut command = server_command();
    command.args(["user", "add", "phil", "--allow", "sub orders"]);
    command.arg("--access").arg(access.path()).stdin(File::open(&password).unwrap());
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stdout.is_empty() && !said(&output).contains("sesame"));
    assert!(access.text().contains("$argon2id$") && !access.text().contains("sesame"));
    let server = access.server();
    // phil:open sesame
    let request = Request::get("/orders/auth");
    let request = request.header("authorization", "Basic cGhpbDpvcGVuIHNlc2FtZQ==");
    assert_eq!(server.send(&request).status, 200);
}

#[test]
fn what_cannot_be_done_is_said_and_leaves_the_file_as_it_was() {
    let access = Access::new();
    access.done("token add one");
    let before = access.text();
    for (words, expected) in [
        ("token add one", "there are two of token 'one'"),
        ("token add two --allow red+x", "none of pub, sub or pubsub"),
        ("token revoke two", "there is no token 'two'"),
        ("token rotate two", "there is no token 'two'"),
        ("access check two sub x", "there is no user 'two'"),
        ("access check one sub x", "but there is token:one"),
        ("token", "requires a subcommand"),
    ] {
        let output = access.command(words);
        assert_eq!(output.status.code(), Some(2), "{words}: {output:?}");
        assert!(said(&output).contains(expected), "{words}: {output:?}");
        assert!(output.stdout.is_empty(), "{words}: {output:?}");
    }
    assert_eq!(access.text(), before);
    fs::write(access.path(), "nonsense").unwrap();
    assert_eq!(access.command("token add two").status.code(), Some(2));
    assert_eq!(access.text(), "nonsense");
    let output = run(server_command().args(["token", "list"]));
    assert!(said(&output).contains("--access FILE"), "{output:?}");
}

#[test]
fn what_the_file_means_is_said_with_the_rule_that_decides() {
    let access = Access::new();
    access.done("token add one --allow sub+orders.> --allow sub+orders.a --deny sub+orders.b");
    let answer = access.done("access check token:one sub orders.x");
    assert_eq!(answer, "allowed: 'orders.x' by allow 'sub orders.>'");
    let refused = access.command("access check token:one sub orders.b");
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(refused.stdout, b"refused: 'orders.b' by deny 'sub orders.b'\n");
    let refused = access.command("access check anonymous pub x");
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(refused.stdout, b"refused: 'x', which no rule allows\n");
    let warnings = access.done("access lint");
    let expected = "token 'one': allow 'sub orders.a' adds nothing to allow 'sub orders.>'";
    assert_eq!(warnings, format!("warning: {expected}"));
}
