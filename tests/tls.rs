//! TLS: who the server says it is, what is spoken over it, and what comes of those who do not.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::client::client_command;
use crate::support::http::Connection;
use crate::support::server::{run, server_command};
use crate::support::tls::{Authority, Encrypted, connect};
use crate::support::{Event, Lines, PATIENCE, Request, TestServer, eventually};

/// A server that listens in the clear and over TLS, and who vouches for it.
struct Vouched {
    server: TestServer,
    authority: Authority,
    https: SocketAddr,
    tcps: SocketAddr,
    _folder: TempDir,
}

fn vouched(flags: &str) -> Vouched {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let (certificate, key) = authority.issue("server", &["localhost", "127.0.0.1"], "first");
    let server = TestServer::with(&format!(
        "--https 127.0.0.1:0 --tcps 127.0.0.1:0 --tls-cert {} --tls-key {} {flags}",
        certificate.display(),
        key.display()
    ));
    let (https, tcps) = (server.listener("https"), server.listener("tcps"));
    Vouched { server, authority, https, tcps, _folder: folder }
}

impl Vouched {
    fn connect(&self, server: SocketAddr) -> Encrypted {
        connect(server, &self.authority.certificate, None).unwrap()
    }

    /// A metric of the server.
    fn metric(&self, name: &str) -> Option<i64> {
        let metrics = self.server.get("/metrics");
        let value = metrics.text().lines().find_map(|line| line.strip_prefix(name))?;
        Some(value.trim().parse().unwrap())
    }

    fn handshakes(&self, result: &str) -> Option<i64> {
        self.metric(&format!("doorbell_tls_handshakes_total{{result=\"{result}\"}}"))
    }

    /// The common name in the certificate that a new client is shown.
    fn shown(&self) -> String {
        let stream = self.connect(self.https);
        let shown = &stream.conn.peer_certificates().unwrap()[0];
        let names = ["first", "second"].into_iter();
        let mut found =
            names.filter(|name| shown.windows(name.len()).any(|w| w == name.as_bytes()));
        found.next().expect("a name that is known").to_owned()
    }

    fn client(&self, words: &[&str], server: &str) -> Command {
        let mut command = client_command();
        command.args(words).args(["--server", server]);
        command.arg("--ca").arg(&self.authority.certificate);
        command
    }
}

fn line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line
}

#[test]
fn curl_is_served_by_both_versions_of_http() {
    let vouched = vouched("");
    let published = vouched.server.publish("t", "hello");
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let mut curl = Command::new("curl");
        curl.args(["-s", flag, "-w", "%{http_version}"]).arg("--cacert");
        curl.arg(&vouched.authority.certificate);
        curl.arg(format!("https://{}/t/json?poll=1&since=all", vouched.https));
        let output = run(&mut curl);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("{}\n{version}", published.line)
        );
    }
}

#[test]
fn openssl_speaks_lines_with_both_versions_of_tls() {
    let vouched = vouched("");
    for version in ["-tls1_2", "-tls1_3"] {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-quiet", "-verify_return_error", version, "-CAfile"]);
        openssl.arg(&vouched.authority.certificate);
        openssl.args(["-connect", &vouched.tcps.to_string()]);
        let mut openssl = openssl
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(openssl.stdout.take().unwrap());
        assert_eq!(Event::parse(line(&mut output).trim()).kind(), "open");
        writeln!(openssl.stdin.as_mut().unwrap(), "PING {version}\nQUIT").unwrap();
        assert_eq!(Event::parse(line(&mut output).trim()).message(), version);
        assert_eq!(Event::parse(line(&mut output).trim()).kind(), "close");
        assert_eq!(line(&mut output), "", "the end");
        openssl.wait().unwrap();
    }
}

#[test]
fn who_does_not_speak_tls_is_told_so() {
    let vouched = vouched("");
    let answer = Request::get("/v1/health").send_to(vouched.https);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("https://"), "{}", answer.text());
    let mut lines = Lines::connect(vouched.tcps);
    lines.say("PING hello");
    let event = lines.event();
    assert!(event.kind() == "error" && event.line.contains("tcps://"), "{}", event.line);
    assert_eq!(lines.line(), None);
    eventually("both are counted", || (vouched.handshakes("plain") == Some(2)).then_some(()));
}

#[test]
fn tls_where_it_is_not_spoken_comes_to_an_end() {
    let vouched = vouched("");
    for plain in [vouched.server.http, vouched.server.tcp] {
        assert!(connect(plain, &vouched.authority.certificate, None).is_err());
    }
}

#[test]
fn browsers_cannot_shake_hands_where_lines_are_spoken() {
    let vouched = vouched("");
    let mut curl = Command::new("curl");
    curl.args(["-s", "-k", &format!("https://{}/", vouched.tcps)]);
    assert_eq!(run(&mut curl).status.code(), Some(35), "no handshake");
    assert_eq!(vouched.handshakes("refused"), Some(1));
}

#[test]
fn a_handshake_that_never_ends_is_closed_after_ten_seconds() {
    let vouched = vouched("");
    let mut half = TcpStream::connect(vouched.https).unwrap();
    half.set_read_timeout(Some(PATIENCE)).unwrap();
    // The head of a record, and nothing of it.
    half.write_all(&[22, 3, 1, 2, 0]).unwrap();
    let mut rest = Vec::new();
    assert_eq!(half.read_to_end(&mut rest).unwrap_or(0), 0, "{rest:?}");
    assert_eq!(vouched.handshakes("late"), Some(1));
}

#[test]
fn the_end_of_a_conversation_is_said_within_tls() {
    let vouched = vouched("");
    let mut stream = vouched.connect(vouched.tcps);
    stream.write_all(b"QUIT\n").unwrap();
    // Without the notice the end would be an error here.
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap();
    assert_eq!(heard.lines().count(), 2, "open and close: {heard}");
}

#[test]
fn a_half_closed_conversation_still_receives() {
    let server = TestServer::encrypted("");
    let mut lines = server.lines();
    lines.subscribe("t");
    lines.finish_writing();
    let event = server.publish("t", "x");
    assert_eq!(lines.event(), event);
}

#[test]
fn a_reader_that_takes_nothing_for_the_write_deadline_is_closed() {
    let vouched = vouched("--write-deadline 1s");
    let mut stream = vouched.connect(vouched.tcps);
    stream.write_all(b"SUB t\n").unwrap();
    vouched.server.await_readers("tcp", 1);
    let text = "x".repeat(4000);
    vouched.server.publish_all("t", &vec![text; 3000]);
    vouched.server.await_readers("tcp", 0);
}

#[test]
fn a_reader_that_stops_and_goes_on_has_missed_nothing() {
    let vouched = vouched("");
    let mut stream = vouched.connect(vouched.tcps);
    stream.write_all(b"SUB t\n").unwrap();
    vouched.server.await_readers("tcp", 1);
    let texts: Vec<String> = (0..3000).map(|n| format!("{n} {}", "x".repeat(4000))).collect();
    vouched.server.publish_all("t", &texts);
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let mut messages = lines.by_ref().map(|line| Event::parse(&line));
    for text in &texts {
        let event = messages.find(|event| event.kind() == "message").unwrap();
        assert!(event.message() == text, "{} came, not {}", event.line, &text[..9]);
    }
}

#[test]
fn a_new_certificate_is_shown_to_new_clients_and_the_old_ones_go_on() {
    let vouched = vouched("");
    let mut old = vouched.connect(vouched.tcps);
    assert_eq!(vouched.shown(), "first");
    vouched.authority.issue("server", &["localhost"], "second");
    eventually("the new certificate is shown", || (vouched.shown() == "second").then_some(()));
    old.write_all(b"QUIT\n").unwrap();
    old.read_to_end(&mut Vec::new()).unwrap();
    let days = vouched.metric("doorbell_tls_certificate_days_left{}").unwrap();
    assert!(days > 30, "{days}");
}

#[test]
fn a_broken_certificate_leaves_the_one_before_and_is_said_once() {
    let mut vouched = vouched("");
    let (certificate, _) = vouched.authority.issue("other", &["localhost"], "second");
    let there = certificate.with_file_name("server.crt");
    fs::copy(&certificate, &there).unwrap();
    vouched.server.signal(Signal::HUP);
    let refused = || vouched.metric("doorbell_tls_certificates_refused{}");
    eventually("the files are refused", || (refused() == Some(1)).then_some(()));
    assert_eq!(vouched.shown(), "first");
    let said = vouched.server.stderr();
    assert!(said.contains("server.key is not the key of --tls-cert"), "{said}");
    vouched.authority.issue("server", &["localhost"], "second");
    vouched.server.signal(Signal::HUP);
    eventually("the files are right", || (refused() == Some(0)).then_some(()));
    assert_eq!(vouched.shown(), "second");
    assert!(vouched.server.is_running());
}

#[test]
fn files_that_are_wrong_end_with_two_and_one_line_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let (one, one_key) = authority.issue("one", &["localhost"], "one");
    let (_, other_key) = authority.issue("other", &["localhost"], "other");
    let empty = folder.path().join("empty");
    fs::write(&empty, "nothing").unwrap();
    let [one, one_key, other_key, empty] =
        [&one, &one_key, &other_key, &empty].map(|path| path.to_str().unwrap());
    for (flags, expected) in [
        (vec!["--https", "127.0.0.1:0"], vec!["--https", "--tls-cert", "--tls-self-signed"]),
        (vec!["--tls-cert", one, "--tls-key", one_key], vec!["--tls-cert", "--https"]),
        (vec!["--tcps", "127.0.0.1:0", "--tls-cert", one], vec![one, "--tls-key"]),
        (vec!["--tcps", "127.0.0.1:0", "--tls-cert", "/no", "--tls-key", one_key], vec!["/no"]),
        (vec!["--tcps", "127.0.0.1:0", "--tls-cert", empty, "--tls-key", one_key], vec![empty]),
        (vec!["--tcps", "127.0.0.1:0", "--tls-cert", one, "--tls-key", empty], vec![empty]),
        (vec!["--tcps", "127.0.0.1:0", "--tls-cert", one, "--tls-key", other_key], vec![other_key]),
        (
            vec!["--https", "127.0.0.1:0", "--tls-self-signed", "--tls-client-ca", empty],
            vec!["--tls-client-ca", empty],
        ),
        (vec!["--http", "none", "--tcp", "none"], vec!["listener"]),
    ] {
        let mut command = server_command();
        command.args(["--ephemeral", "--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]);
        command.args(&flags);
        if flags.contains(&"none") {
            command = server_command();
            command.arg("--ephemeral").args(&flags);
        }
        let Output { status, stderr, .. } = run(&mut command);
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), said.lines().count()), (Some(2), 1), "{flags:?}: {said}");
        for word in expected {
            assert!(said.contains(word), "{word} in {said}");
        }
    }
}

#[test]
fn a_clients_certificate_is_asked_for_and_must_be_from_the_authority() {
    let folder = tempfile::tempdir().unwrap();
    let clients = Authority::new(folder.path(), "clients");
    let strangers = Authority::new(folder.path(), "strangers");
    let ca = clients.certificate.display();
    let vouched = vouched(&format!("--tls-client-ca {ca}"));
    let own = clients.issue("own", &["sensor.example"], "sensor");
    let strange = strangers.issue("strange", &["sensor.example"], "sensor");
    let heard = |own: Option<(&Path, &Path)>| {
        let mut stream = connect(vouched.tcps, &vouched.authority.certificate, own).ok()?;
        stream.write_all(b"QUIT\n").ok()?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard).ok()?;
        Some(heard)
    };
    assert!(heard(None).is_some(), "who has none may come");
    assert!(heard(Some((&own.0, &own.1))).is_some());
    assert!(heard(Some((&strange.0, &strange.1))).is_none());
    assert_eq!(vouched.handshakes("refused"), Some(1));
}

#[test]
fn a_certificate_of_its_own_is_kept_and_its_fingerprint_printed() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = server_command();
        command.args(["--http", "none", "--tcp", "none", "--tls-self-signed"]);
        command.args(["--https", "127.0.0.1:0", "--tcps", "127.0.0.1:0", "--data"]);
        let mut server = command.arg(folder.path()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(server.stdout.take().unwrap());
        let ready = line(&mut output);
        let fingerprint = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| Some(line.trim().strip_prefix("fingerprint")?.trim().to_owned()));
        (server, ready, fingerprint.expect("the fingerprint"))
    };
    let mut fingerprints = Vec::new();
    for _ in 0..2 {
        let (mut server, ready, fingerprint) = start();
        assert!(!ready.contains(" http=") && !ready.contains(" tcp="), "{ready}");
        let tcps = ready.split("tcps=").nth(1).unwrap().trim();
        let publish = |fingerprint: &str| {
            let mut client = client_command();
            client.args(["publish", "t", "x", "--server", &format!("tcps://{tcps}")]);
            run(client.args(["--fingerprint", fingerprint]))
        };
        assert!(publish(&fingerprint).status.success());
        let other = publish(&"00".repeat(32));
        let said = String::from_utf8(other.stderr).unwrap();
        assert!(!other.status.success() && said.contains("another fingerprint"), "{said}");
        server.kill().unwrap();
        server.wait().unwrap();
        fingerprints.push(fingerprint);
    }
    assert_eq!(fingerprints[0], fingerprints[1]);
    let key = fs::metadata(folder.path().join("self-signed.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_client_subscribes_and_publishes_over_tls_whichever_way() {
    let vouched = vouched("");
    let server = format!("https://localhost:{}", vouched.https.port());
    let published = run(&mut vouched.client(&["publish", "t", "hello"], &server));
    assert!(published.status.success(), "{published:?}");
    for via in ["tcp", "ws", "sse", "longpoll", "poll"] {
        let words = ["subscribe", "t", "--since", "all", "--count", "1", "--via", via];
        let output = run(vouched.client(&words, &server).args(["--format", "json"]));
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(Event::parse(text.trim()).message(), "hello", "{via}");
    }
    // None of it went over the plain listeners, but for the requests for metrics.
    assert_eq!(
        vouched.metric("doorbell_socket_bytes_total{listener=\"tcp\",direction=\"in\"}"),
        Some(0)
    );
}

#[test]
fn the_client_says_why_a_server_cannot_be_trusted() {
    let vouched = vouched("");
    let fails = |command: &mut Command, expected: &[&str]| {
        let output = run(command);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{said}");
        for word in expected {
            assert!(said.contains(word), "{word} in {said}");
        }
    };
    let port = vouched.tcps.port();
    let words = ["subscribe", "t", "--count", "1"];
    let strangers = Authority::new(vouched.authority.certificate.parent().unwrap(), "strangers");
    let mut command = client_command();
    command.args(words).args(["--server", &format!("tcps://localhost:{port}"), "--ca"]);
    let expected = [&format!("localhost:{port}"), "--ca", "--fingerprint"];
    fails(command.arg(&strangers.certificate), &expected.map(|word| word as &str));
    fails(&mut vouched.client(&words, &format!("tcps://[::ffff:127.0.0.1]:{port}")), &["not for"]);
    let plain = format!("tcps://{}", vouched.server.tcp);
    fails(&mut vouched.client(&words, &plain), &["does not speak TLS"]);
    let mut command = client_command();
    command.args(words).args(["--server", "http://localhost:1", "--fingerprint"]);
    fails(command.arg("00".repeat(32)), &["--fingerprint", "http://localhost:1"]);
    let mut command = client_command();
    command.args(words).args(["--server", &format!("tcps://localhost:{port}"), "--ca", "/no"]);
    fails(&mut command, &["--ca /no"]);
}

#[test]
fn pipelined_requests_and_large_bodies_come_whole() {
    let server = TestServer::encrypted("--message-bytes 1MiB");
    let text = "naïve 🔔".repeat(40_000);
    let published = server.publish("t", &text);
    assert!(published.message() == text);
    assert!(server.poll("t", "all")[0].message() == text);
    let mut connection = Connection::open(server.http);
    let requests: Vec<u8> =
        (0..200).flat_map(|n| Request::post("/n", n.to_string()).bytes()).collect();
    connection.write(&requests);
    for n in 0..200 {
        let answer = connection.response();
        assert_eq!(Event::parse(answer.text().trim()).message(), n.to_string());
    }
}
