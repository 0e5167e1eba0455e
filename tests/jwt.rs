//! Tokens that others have signed, over every transport that brings credentials.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Request, TestServer, eventually};

const SECRET: &str = "a secret of more than thirty-two bytes";

/// A server that takes tokens signed with the secret.
struct Issued {
    server: TestServer,
    folder: TempDir,
}

impl Issued {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), SECRET).unwrap();
        fs::write(file(&folder), text("")).unwrap();
        let server = TestServer::with(&format!(
            "--visitor-failures off --access {}",
            file(&folder).display()
        ));
        Self { server, folder }
    }

    fn read(&self, token: &str) -> u16 {
        let request = Request::get("/orders.a/json?poll=1");
        self.server.send(&request.header("authorization", &format!("Bearer {token}"))).status
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("access.toml")
}

fn text(more: &str) -> String {
    format!(
        "[jwt]\nissuer = \"us\"\naudience = \"doorbell\"\nsecret_file = \"secret\"\n\
         algorithms = [\"HS256\"]\nallow = [\"pubsub orders.>\"]\n{more}"
    )
}

fn token(secret: &str, seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({
        "iss": "us", "aud": "doorbell", "sub": "phil", "jti": "one", "exp": now + seconds,
        "doorbell": {"pub": ["orders.a"], "sub": ["orders.a"]},
    });
    let key = EncodingKey::from_secret(secret.as_bytes()).unwrap();
    encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
}

#[test]
fn a_signed_token_gives_what_it_claims_over_http_and_lines() {
    let issued = Issued::start();
    let good = token(SECRET, 60);
    assert_eq!(issued.read(&good), 200);
    let ask = |path: &str| {
        let request = Request::get(path).header("authorization", &format!("Bearer {good}"));
        issued.server.send(&request)
    };
    assert_eq!(ask("/orders.b/auth").status, 403);
    assert_eq!(ask("/v1/account").json()["username"], "phil");
    let mut lines = issued.server.lines();
    assert_eq!(lines.ask(format!("AUTH {good}")).kind(), "ok");
    lines.subscribe("orders.a");
    assert_eq!(lines.ask("PUB orders.b x").code(), 40301);
}

#[test]
fn a_token_that_is_not_taken_is_told_why_and_not_repeated() {
    let issued = Issued::start();
    let forged = token(&SECRET.replace("thirty", "twenty"), 60);
    let request = Request::get("/orders.a/json?poll=1");
    let request = request.header("authorization", &format!("Bearer {forged}"));
    let refused = issued.server.send(&request);
    assert_eq!(refused.status, 401);
    assert!(refused.text().contains("the token's signature is wrong"), "{}", refused.text());
    assert!(refused.header("www-authenticate").is_some());
    assert!(forged.split('.').all(|part| !refused.text().contains(part)));
    assert!(forged.split('.').all(|part| !issued.server.stderr().contains(part)));
}

#[test]
fn a_session_ends_when_its_token_does() {
    let issued = Issued::start();
    let short = token(SECRET, 3);
    let mut lines = issued.server.lines();
    assert_eq!(lines.ask(format!("AUTH {short}")).kind(), "ok");
    lines.subscribe("orders.a");
    assert_eq!(lines.event().code(), 40301);
    assert_eq!(lines.event().kind(), "close");
    assert_eq!(issued.read(&short), 401);
}

#[test]
fn what_tokens_are_verified_by_may_change_at_any_time() {
    let issued = Issued::start();
    let good = token(SECRET, 60);
    let mut lines = issued.server.lines();
    assert_eq!(lines.ask(format!("AUTH {good}")).kind(), "ok");
    lines.subscribe("orders.a");
    fs::write(file(&issued.folder), text("revoked = [\"one\"]\n")).unwrap();
    assert_eq!(lines.event().code(), 40301);
    assert_eq!(issued.read(&good), 401);
    fs::write(file(&issued.folder), text("")).unwrap();
    eventually("the token is taken again", || (issued.read(&good) == 200).then_some(()));
    let other = SECRET.replace("thirty", "twenty");
    fs::write(issued.folder.path().join("secret"), &other).unwrap();
    eventually("another secret is taken", || {
        (issued.read(&token(&other, 60)) == 200).then_some(())
    });
    assert_eq!(issued.read(&good), 401);
}
