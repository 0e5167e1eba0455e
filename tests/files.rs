//! Files that are published: taken in by their name, their length or their bytes, given out by
//! their address, and gone when they have had their time.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::publish::{accepted, assert_refused};
use crate::support::access::token;
use crate::support::http::Connection;
use crate::support::{
    AccessFile, Event, PATIENCE, Request, Response, TestServer, eventually, skip,
};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01";

/// Bytes that are no text.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| u8::try_from(n * 31 % 251).unwrap()).map(|byte| byte | 0x80).collect()
}

fn upload(server: &TestServer, name: &str, body: &[u8]) -> Event {
    accepted(&server.send(&Request::new("PUT", "/t").header("Filename", name).body(body)))
}

/// The path of the file of a message.
fn path(event: &Event) -> String {
    let url = event["attachment"]["url"].as_str().unwrap();
    let (_, path) = url.split_once("://").unwrap().1.split_once('/').unwrap();
    format!("/{path}")
}

fn fetch(server: &TestServer, event: &Event) -> Response {
    server.get(&path(event))
}

fn head(server: &TestServer, path: &str) -> Response {
    let mut connection = Connection::open(server.http);
    connection.write(&Request::new("HEAD", path).bytes());
    connection.head().unwrap()
}

fn folder(server: &TestServer) -> PathBuf {
    server.data().join("files")
}

/// The names in the folder of files.
fn names(server: &TestServer) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder(server)) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_body_with_a_name_is_a_file_and_its_message_tells_of_it() {
    let server = TestServer::start();
    for name in ["x-filename", "filename", "file", "f"] {
        for request in [
            Request::new("PUT", "/t").header(name, "a.png"),
            Request::new("POST", &format!("/t?{name}=a.png")),
        ] {
            let event = accepted(&server.send(&request.body(PNG)));
            let file = &event["attachment"];
            assert_eq!(event.message(), "You received a file: a.png");
            assert_eq!((&file["name"], &file["type"]), (&"a.png".into(), &"image/png".into()));
            assert_eq!(file["size"], PNG.len());
            let lives = file["expires"].as_u64().unwrap() - event["time"].as_u64().unwrap();
            assert!((10_800..10_860).contains(&lives), "{lives}");
            let url = file["url"].as_str().unwrap();
            assert!(
                url.starts_with("http://localhost/file/")
                    && url.rsplit_once('.').unwrap().1 == "png",
                "{url}"
            );
            assert_eq!(fetch(&server, &event).body, PNG);
        }
    }
    let request = Request::post("/t", "hi").header("Filename", "../b.txt").header("Title", "T");
    let event = accepted(&server.send(&request.header("Message", "look")));
    assert_eq!((event.message(), &event["title"]), ("look", &"T".into()));
    assert_eq!(event["attachment"]["name"], "b.txt");
    assert_eq!(server.poll("t", "all").pop().unwrap(), event, "readers are told the same");
}

#[test]
fn what_is_no_text_or_longer_than_one_may_be_is_a_file() {
    let server = TestServer::with("--message-bytes 100");
    for (body, name) in [
        (PNG.to_vec(), "attachment.png"),
        (bytes(50), "attachment"),
        (b"x".repeat(101), "attachment.txt"),
        (b"x".repeat(40_000), "attachment.txt"),
        (bytes(40_000), "attachment"),
    ] {
        let event = accepted(&server.send(&Request::post("/t", &body)));
        assert_eq!(event["attachment"]["name"], name);
        assert_eq!(event.message(), format!("You received a file: {name}"));
        assert_eq!(fetch(&server, &event).body, body);
    }
    assert!(server.publish("t", &"x".repeat(100))["attachment"].is_null());
    // Chunks tell no length before they have come.
    let chunk = "80\r\n".to_owned() + &"y".repeat(128) + "\r\n";
    let mut connection = Connection::open(server.http);
    let begin = "POST /t HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    connection.write(format!("{begin}{}0\r\n\r\n", chunk.repeat(9)).as_bytes());
    let event = accepted(&connection.response());
    assert_eq!(fetch(&server, &event).body, b"y".repeat(9 * 128));
}

#[test]
fn the_text_of_a_json_publish_is_a_file_by_its_name_or_its_length_as_a_body_is() {
    let server = TestServer::with("--message-bytes 100");
    let publish = |json: &str| server.send(&Request::post("/", json));
    let long = "ü".repeat(51);
    for (json, name, text) in [
        (format!(r#"{{"topic":"t","message":"{long}"}}"#), "attachment.txt", &*long),
        (r#"{"topic":"t","message":"x","filename":"a.log"}"#.to_owned(), "a.log", "x"),
    ] {
        let event = accepted(&publish(&json));
        assert_eq!(event["attachment"]["name"], name);
        assert_eq!(event.message(), format!("You received a file: {name}"));
        assert_eq!(fetch(&server, &event).text(), text);
    }
    let elsewhere = "https://example.org/a";
    let attached =
        format!(r#"{{"topic":"t","message":"x","attach":"{elsewhere}","filename":"b"}}"#);
    let event = accepted(&publish(&attached));
    assert_eq!((event.message(), &event["attachment"]["url"]), ("x", &elsewhere.into()));
    let too_long = attached.replace(r#""x""#, &format!(r#""{long}""#));
    assert_refused(&publish(&too_long), 41301, "102 bytes long, limit is 100");

    let without = TestServer::with("--message-bytes 100 --attachment-total 0");
    let json = format!(r#"{{"topic":"t","message":"{long}"}}"#);
    assert_refused(&without.send(&Request::post("/", &json)), 41301, "limit is 100");
}

#[test]
fn an_empty_file_is_a_file() {
    let server = TestServer::start();
    let event = upload(&server, "empty", b"");
    let answer = fetch(&server, &event);
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("0")));
}

#[test]
fn a_file_may_be_as_long_as_the_limit_and_no_longer_and_a_refused_one_leaves_nothing() {
    let server = TestServer::durable("--attachment-bytes 100000");
    let body = bytes(100_001);
    let event = upload(&server, "a", &body[1..]);
    assert_eq!(fetch(&server, &event).body, body[1..]);
    let mut connection = Connection::open(server.http);
    let declared = Request::new("PUT", "/t").header("Filename", "a").body(&body);
    let answer = connection.exchange(&declared);
    assert_refused(&answer, 41301, "a declared length");
    assert!(answer.text().contains("100001") && answer.text().contains("100000"));
    let begin =
        "PUT /t?f=a HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n186a1\r\n";
    let mut connection = Connection::open(server.http);
    connection.write(&[begin.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat());
    assert_refused(&connection.response(), 41301, "chunks");
    for (header, value, code) in
        [("Delay", "4h", 40015), ("Priority", "9", 40007), ("Content-Encoding", "gzip", 41501)]
    {
        let request = Request::new("PUT", "/t").header("Filename", "a").header(header, value);
        assert_refused(&server.send(&request.body(&body[1..])), code, header);
    }
    eventually("nothing is left of what was refused", || (names(&server).len() == 1).then_some(()));
    assert_eq!(server.poll("t", "all").len(), 1);
}

#[test]
fn a_client_that_sends_far_too_much_comes_to_read_why_it_was_refused() {
    let server = TestServer::with("--attachment-bytes 100000");
    for _ in 0..3 {
        let answer = server.send(&Request::post("/t", "x".repeat(3 << 20)));
        assert_refused(&answer, 41301, "more than fits into the buffers between");
    }
}

#[test]
fn a_client_that_waits_to_be_told_to_go_on_is_told_so_only_where_it_may() {
    let access = AccessFile::new("[anonymous]\nallow = [\"pub a\"]\n");
    let server = TestServer::with(&access.flag());
    let ask = |topic: &str| {
        let mut connection = Connection::open(server.http);
        let head = format!(
            "PUT /{topic} HTTP/1.1\r\nhost: localhost\r\nfilename: x\r\nexpect: 100-continue\r\n\
             content-length: 5\r\n\r\n"
        );
        connection.write(head.as_bytes());
        let first = connection.head().unwrap().status;
        (connection, first)
    };
    let (mut connection, told) = ask("a");
    assert_eq!(told, 100);
    connection.write(b"12345");
    let event = accepted(&connection.response());
    assert_eq!(fetch(&server, &event).body, b"12345", "the id is the right");
    assert_eq!(ask("b").1, 403, "none of it is wanted");
}

#[test]
fn a_part_of_a_file_is_given_as_it_is_asked_for() {
    let server = TestServer::start();
    let body = bytes(200_000);
    let event = upload(&server, "a", &body);
    let path = path(&event);
    let part = |range: &str| server.send(&Request::get(&path).header("Range", range));
    for (range, from, until) in [
        ("bytes=0-0", 0, 1),
        ("bytes=100-170000", 100, 170_001),
        ("bytes=199999-", 199_999, 200_000),
        ("bytes=-5", 199_995, 200_000),
        ("bytes=5-999999", 5, 200_000),
    ] {
        let answer = part(range);
        let told = format!("bytes {from}-{}/200000", until - 1);
        assert_eq!((answer.status, answer.header("content-range")), (206, Some(told.as_str())));
        assert!(answer.body == body[from..until], "{range}");
    }
    for range in ["bytes=0-1,5-6", "bytes=9-2", "lines=0-1"] {
        let answer = part(range);
        assert!(answer.status == 200 && answer.body == body, "{range}");
    }
    let beyond = part("bytes=200000-");
    assert_refused(&beyond, 41601, "beyond the end");
    assert_eq!(beyond.header("content-range"), Some("bytes */200000"));
    let tag = part("bytes=0-0").header("etag").unwrap().to_owned();
    let other = Request::get(&path).header("Range", "bytes=0-0").header("If-Range", "\"x\"");
    assert_eq!(server.send(&other).status, 200);
    let same = Request::get(&path).header("Range", "bytes=0-0").header("If-Range", &tag);
    assert_eq!(server.send(&same).status, 206);
    let known = Request::get(&path).header("If-None-Match", &tag);
    assert_eq!(server.send(&known).status, 304);
    let only = head(&server, &path);
    assert_eq!((only.status, only.header("content-length")), (200, Some("200000")));
    assert_eq!(only.header("accept-ranges"), Some("bytes"));
    assert_eq!(head(&server, "/file/AAAAAAAAAAAAAAAAAAAA").status, 404);
}

#[test]
fn a_name_that_is_none_is_not_found() {
    let server = TestServer::durable("");
    upload(&server, "a", b"x");
    let on_disk = names(&server).pop().unwrap();
    let id = on_disk.split('.').next().unwrap();
    for path in ["/file/x", "/file/..%2f..", "/file/%2e%2e", "/file/a/b"] {
        assert_refused(&server.get(path), 40401, path);
    }
    let cut = format!("/file/{}", &id[1..]);
    assert_refused(&server.get(&cut), 40401, &cut);
    for ending in ["", ".txt", ".anything"] {
        assert_eq!(server.get(&format!("/file/{id}{ending}")).text(), "x");
    }
    assert_eq!(server.send(&Request::post(&format!("/file/{id}"), "x")).status, 405);
}

#[test]
fn nothing_that_others_have_published_runs_in_the_origin_of_the_server() {
    let server = TestServer::start();
    for (body, media_type, shown) in [
        (PNG, "image/png", "inline"),
        (b"<!DOCTYPE html><script>alert(1)</script>", "text/plain; charset=utf-8", "inline"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "text/plain; charset=utf-8", "inline"),
        (b"<html>\xff<script>alert(1)</script>", "text/html", "attachment"),
        (b"%PDF-1.7\n", "application/pdf", "attachment"),
        (b"\0\x01\x02", "application/octet-stream", "attachment"),
    ] {
        let request = Request::post("/t?f=a.html", body).header("Content-Type", "text/html");
        let answer = fetch(&server, &accepted(&server.send(&request)));
        assert_eq!(answer.header("content-type"), Some(media_type));
        assert_eq!(answer.header("content-disposition"), Some(shown), "{media_type}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let policy = "sandbox; default-src 'none'";
        assert_eq!(answer.header("content-security-policy"), Some(policy));
    }
}

#[test]
fn a_file_goes_when_it_has_had_its_time() {
    let mut server = TestServer::durable("--attachment-age 2s");
    let event = upload(&server, "a", b"x");
    assert_eq!(fetch(&server, &event).status, 200);
    eventually("it has gone", || (fetch(&server, &event).status == 404).then_some(()));
    eventually("from the disk too", || names(&server).is_empty().then_some(()));
    // What has had its time while nobody was there goes at the start.
    upload(&server, "b", b"x");
    server.kill();
    assert_eq!(names(&server).len(), 1);
    thread::sleep(Duration::from_secs(4));
    server.restart();
    assert!(names(&server).is_empty());
}

#[test]
fn all_files_together_have_a_bound_and_the_next_fits_when_one_has_gone() {
    let server = TestServer::with("--attachment-total 100000 --attachment-age 3s");
    upload(&server, "a", &bytes(90_000));
    let request = Request::new("PUT", "/t").header("Filename", "b").body(bytes(20_000));
    let refused = server.send(&request);
    assert_refused(&refused, 42905, "no room");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=4).contains(&wait), "{wait}");
    upload(&server, "c", &bytes(10_000));
    eventually("there is room again", || (server.send(&request).status == 200).then_some(()));
}

#[test]
fn files_are_off_where_they_may_fill_nothing() {
    let server = TestServer::with("--attachment-total 0");
    let named = Request::post("/t", "x").header("Filename", "a");
    assert_refused(&server.send(&named), 40014, "a name");
    assert_refused(&server.send(&Request::post("/t", PNG)), 40014, "no text");
    let long = Request::post("/t", "x".repeat(4097));
    assert_refused(&server.send(&long), 41301, "a long text");
    assert_eq!(server.get("/v1/config").json()["limits"]["attachment_bytes"], 0);
}

#[test]
fn an_address_is_that_of_the_server_or_of_whoever_asked() {
    for (flags, base) in [
        ("", "http://localhost:9"),
        ("--base-path /bell", "http://localhost:9/bell"),
        ("--base-url https://push.example.com/bell", "https://push.example.com/bell"),
    ] {
        let server = TestServer::with(flags);
        let request = Request::post("/t", PNG).host("localhost:9");
        let event = accepted(&server.send(&request));
        let url = event["attachment"]["url"].as_str().unwrap().to_owned();
        assert!(url.starts_with(&format!("{base}/file/")), "{url}");
    }
}

#[test]
fn a_file_outlives_the_server_and_its_death() {
    let mut server = TestServer::durable("--sync always");
    let body = bytes(300_000);
    let event = upload(&server, "a", &body);
    server.stop();
    server.restart();
    assert!(fetch(&server, &event).body == body);
    server.kill();
    server.restart();
    assert!(fetch(&server, &event).body == body);
}

#[test]
fn a_start_keeps_a_file_that_a_message_tells_of_and_no_other() {
    let mut server = TestServer::durable("");
    let event = upload(&server, "a", b"told of");
    server.publish("t", "later");
    server.kill();
    // As a death leaves it between the message and the file's last name.
    let named = folder(&server).join(names(&server).pop().unwrap());
    fs::rename(&named, named.with_extension("part")).unwrap();
    fs::write(folder(&server).join("AAAAAAAAAAAAAAAAAAAA.part"), "nobody was told").unwrap();
    fs::write(folder(&server).join("of somebody else"), "").unwrap();
    server.restart();
    assert_eq!(fetch(&server, &event).text(), "told of");
    assert_refused(&server.get("/file/AAAAAAAAAAAAAAAAAAAA"), 40401, "nobody was told");
    let mut left = names(&server);
    left.sort();
    let mut expected = [named.file_name().unwrap().to_str().unwrap(), "of somebody else"];
    expected.sort_unstable();
    assert_eq!(left, expected);
}

#[test]
fn a_start_keeps_the_file_of_a_message_that_waits_for_its_time() {
    let mut server = TestServer::durable("");
    let request = Request::new("PUT", "/t").header("Filename", "a").header("In", "10s");
    let event = accepted(&server.send(&request.body(b"later")));
    server.kill();
    // As a death leaves it between the message and the file's last name.
    let named = folder(&server).join(names(&server).pop().unwrap());
    fs::rename(&named, named.with_extension("part")).unwrap();
    server.restart();
    assert_eq!(fetch(&server, &event).text(), "later");
    assert!(named.exists());
}

#[test]
fn a_death_at_any_moment_loses_no_file_of_an_acknowledged_message_and_leaves_no_other() {
    let mut server = TestServer::durable("");
    let mut kept: Vec<(Event, usize)> = Vec::new();
    for round in 0..4 {
        let address = server.http;
        let is_over = AtomicBool::new(false);
        let told: Vec<(Event, usize)> = thread::scope(|scope| {
            let publishers = [1, 2, 3].map(|n| {
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut told = Vec::new();
                    while !is_over.load(Ordering::Relaxed) {
                        let size = n * 50_000 + told.len();
                        let request = Request::new("PUT", "/t").header("Filename", "a");
                        let Ok(answer) = request.body(bytes(size)).try_send_to(address) else {
                            break;
                        };
                        told.push((accepted(&answer), size));
                    }
                    told
                })
            });
            thread::sleep(Duration::from_millis(300 + 70 * round));
            server.kill();
            is_over.store(true, Ordering::Relaxed);
            publishers.into_iter().flat_map(|one| one.join().unwrap()).collect()
        });
        kept.extend(told);
        server.restart();
    }
    assert!(kept.len() > 8, "only {} were published", kept.len());
    for (event, size) in &kept {
        assert!(fetch(&server, event).body == bytes(*size), "{}", event.line);
    }
    let held = server.poll("t", "all");
    let mut expected: Vec<String> = held.iter().map(path).collect();
    let mut found: Vec<String> = names(&server)
        .iter()
        .map(|name| format!("/file/{}", name.split('.').next().unwrap()))
        .collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected, "every file has a message, and every message its file");
}

#[test]
fn a_client_that_goes_away_leaves_nothing() {
    let server = TestServer::durable("");
    let mut stream = TcpStream::connect(server.http).unwrap();
    let begin =
        "PUT /t HTTP/1.1\r\nhost: localhost\r\nfilename: a\r\ncontent-length: 1000000\r\n\r\n";
    stream.write_all(begin.as_bytes()).unwrap();
    stream.write_all(&bytes(500_000)).unwrap();
    eventually("a file has begun", || (names(&server).len() == 1).then_some(()));
    drop(stream);
    eventually("it has gone", || names(&server).is_empty().then_some(()));
    assert!(server.poll("t", "all").is_empty());
}

#[test]
fn a_file_may_take_longer_than_a_request_while_it_comes_and_no_longer_where_it_does_not() {
    let server = TestServer::with("--unfinished 1s");
    let begin =
        "PUT /t HTTP/1.1\r\nhost: localhost\r\nfilename: a\r\ncontent-length: 40000\r\n\r\n";
    let mut connection = Connection::open(server.http);
    connection.write(begin.as_bytes());
    let body = bytes(40_000);
    // What is measured is time itself.
    for piece in body.chunks(10_000) {
        thread::sleep(Duration::from_millis(700));
        connection.write(piece);
    }
    let event = accepted(&connection.response());
    assert!(fetch(&server, &event).body == body);
    let mut connection = Connection::open(server.http);
    connection.write(begin.as_bytes());
    connection.write(b"x");
    assert_refused(&connection.response(), 40801, "it does not come");
}

#[test]
fn slow_files_of_one_client_keep_nobody_else_waiting() {
    let entries = ["slow", "other"].map(|name| token(name, "allow = [\"pubsub t\"]"));
    let access = AccessFile::new(&entries.concat());
    let server = TestServer::durable(&access.flag());
    let slow: Vec<Connection> = (0..16)
        .map(|_| {
            let mut connection = Connection::open(server.http);
            let begin = "PUT /t HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer tk_slow\r\n\
                         filename: a\r\ncontent-length: 100000\r\n\r\n";
            connection.write(begin.as_bytes());
            connection.write(&bytes(70_000));
            connection
        })
        .collect();
    eventually("all are on their way", || (names(&server).len() == 16).then_some(()));
    let file = |name| {
        let request = Request::new("PUT", "/t").header("Filename", "a").token(Some(name));
        server.send(&request.body(PNG))
    };
    let refused = file("tk_slow");
    assert_refused(&refused, 42901, "one more of the same");
    assert!(refused.text().contains("16"), "{}", refused.text());
    assert_eq!(fetch(&server, &accepted(&file("tk_other"))).body, PNG);
    drop(slow);
    eventually("it may again", || (file("tk_slow").status == 200).then_some(()));
}

#[test]
fn a_file_is_never_in_memory_as_a_whole() {
    let server = TestServer::durable("");
    let body = bytes(15 << 20);
    upload(&server, "warm", &body[..100_000]);
    let before = server.resident_bytes();
    for _ in 0..4 {
        let event = upload(&server, "a", &body);
        assert!(fetch(&server, &event).body == body);
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 6 << 20, "{grown} bytes more than before");
}

#[test]
fn a_reader_that_is_slow_has_all_of_a_file_when_it_goes_on() {
    let server = TestServer::start();
    let body = bytes(8 << 20);
    let event = upload(&server, "a", &body);
    let mut stream = TcpStream::connect(server.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = Request::get(&path(&event)).header("connection", "close");
    stream.write_all(&request.bytes()).unwrap();
    server.publish("t", "others are served meanwhile");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert!(all.ends_with(&body));
}

#[test]
fn files_are_counted() {
    let server = TestServer::start();
    upload(&server, "a", &bytes(10_000));
    let metrics = server.get("/metrics");
    let has = |line: &str| metrics.text().lines().any(|one| one == line);
    assert!(has("doorbell_files 1") && has("doorbell_files_bytes 10000"), "{}", metrics.text());
}

#[test]
fn a_program_of_the_shell_sends_and_fetches_a_file_over_both_versions() {
    let server = TestServer::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("photo.bin");
    fs::write(&file, bytes(1_000_000)).unwrap();
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let curl = |arguments: &[&str]| {
            Command::new("curl").args(["-sS", version]).args(arguments).output()
        };
        let topic = format!("http://{}/t", server.http);
        let sent = curl(&["-T", file.to_str().unwrap(), "-H", "Filename: photo.bin", &topic]);
        let Ok(sent) = sent else { return skip("curl is not there") };
        let event: Value = serde_json::from_slice(&sent.stdout).unwrap();
        let url = event["attachment"]["url"].as_str().unwrap();
        let fetched = curl(&[url]).unwrap();
        assert!(fetched.stdout == bytes(1_000_000), "{version}");
        let part = curl(&["-r", "10-19", url]).unwrap();
        assert!(part.stdout == bytes(20)[10..], "{version}");
        let headers = curl(&["-I", url]).unwrap();
        let headers = String::from_utf8_lossy(&headers.stdout).to_lowercase();
        assert!(headers.contains("content-length: 1000000"), "{headers}");
    }
}
