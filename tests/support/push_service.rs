//! A push service, and a browser that it is for: it takes pushes over TLS, and tells what came. The
//! browser decrypts them by RFC 8291, with code that the server has nothing of.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use tempfile::TempDir;

use super::tls::Authority;
use super::{PATIENCE, Request};

/// A push as it came.
#[derive(Debug)]
pub(crate) struct ReceivedPush {
    /// The path of its endpoint.
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    /// Encrypted.
    pub(crate) body: Vec<u8>,
}

impl ReceivedPush {
    /// The one header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "two headers {name}");
        value
    }
}

/// It, running until it is dropped.
pub(crate) struct PushService {
    /// Where it listens.
    pub(crate) at: SocketAddr,
    /// Whom a server must trust to push here.
    pub(crate) authority: PathBuf,
    pushes: Receiver<ReceivedPush>,
    answers: Arc<Mutex<VecDeque<String>>>,
    _folder: TempDir,
}

impl PushService {
    /// Starts it.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path(), "authority");
        let (certificate, key) = authority.issue("push", &["localhost", "127.0.0.1"], "push");
        let config = Arc::new(config(&certificate, &key));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let (sender, pushes) = channel();
        let answers = Arc::<Mutex<VecDeque<String>>>::default();
        let queue = answers.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, sender, queue) = (config.clone(), sender.clone(), queue.clone());
                std::thread::spawn(move || serve(stream, config, &sender, &queue));
            }
        });
        Self { at, authority: authority.certificate, pushes, answers, _folder: folder }
    }

    /// What the next pushes are answered, in this order: status lines with headers. After that each
    /// is taken.
    pub(crate) fn answer(&self, answers: &[&str]) {
        self.answers.lock().unwrap().extend(answers.iter().map(|answer| (*answer).to_owned()));
    }

    /// The next push.
    pub(crate) fn push(&self) -> ReceivedPush {
        self.pushes.recv_timeout(PATIENCE).expect("a push in time")
    }

    /// A push that has come already.
    pub(crate) fn pushed(&self) -> Option<ReceivedPush> {
        self.pushes.try_recv().ok()
    }

    /// The variables of a server that trusts it.
    pub(crate) fn trusted(&self) -> Vec<(&'static str, PathBuf)> {
        vec![("SSL_CERT_FILE", self.authority.clone())]
    }
}

fn config(certificate: &Path, key: &Path) -> ServerConfig {
    let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    ServerConfig::builder_with_provider(provider::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

/// One request. A client that goes away is none of ours to mourn.
fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    sender: &Sender<ReceivedPush>,
    answers: &Mutex<VecDeque<String>>,
) -> Option<()> {
    let session = ServerConnection::new(config).ok()?;
    let mut reader = BufReader::new(StreamOwned::new(session, stream));
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.strip_prefix("POST ")?.split(' ').next()?.to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?;
    let mut body = vec![0; length.1.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let answer = answers.lock().unwrap().pop_front();
    sender.send(ReceivedPush { path, headers, body }).ok()?;
    let answer = answer.unwrap_or_else(|| "201 Created".to_owned());
    let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
    reader.get_mut().write_all(answer.as_bytes()).ok()?;
    reader.get_mut().conn.send_close_notify();
    reader.get_mut().flush().ok()
}

/// A browser: keys, and an endpoint.
pub(crate) struct Browser {
    key: PrivateKey,
    auth: [u8; 16],
    /// Where it is pushed to.
    pub(crate) endpoint: String,
}

impl Browser {
    /// One whose pushes go to a service by this path.
    pub(crate) fn at(service: &PushService, path: &str) -> Self {
        Self::with_endpoint(&format!("https://localhost:{}{path}", service.at.port()))
    }

    /// One with this endpoint.
    pub(crate) fn with_endpoint(endpoint: &str) -> Self {
        let key = PrivateKey::generate(&ECDH_P256).unwrap();
        Self { key, auth: rand::random(), endpoint: endpoint.to_owned() }
    }

    fn public(&self) -> Vec<u8> {
        self.key.compute_public_key().unwrap().as_ref().to_vec()
    }

    /// What it asks of a server: to be pushed these topics.
    pub(crate) fn subscription(&self, topics: &[&str]) -> Value {
        serde_json::json!({
            "endpoint": self.endpoint,
            "auth": URL_SAFE_NO_PAD.encode(self.auth),
            "p256dh": URL_SAFE_NO_PAD.encode(self.public()),
            "topics": topics,
        })
    }

    /// The request of that.
    pub(crate) fn subscribe(&self, topics: &[&str]) -> Request {
        Request::post("/v1/webpush", self.subscription(topics).to_string())
    }

    /// The text of a push.
    pub(crate) fn decrypt(&self, push: &ReceivedPush) -> Value {
        let (salt, rest) = push.body.split_at(16);
        assert_eq!(rest[..5], [0, 0, 16, 0, 65], "one record of 4,096 bytes, and a key");
        let (theirs, record) = rest[5..].split_at(65);
        let point = UnparsedPublicKey::new(&ECDH_P256, theirs);
        let shared = agree(&self.key, point, (), |shared| Ok(shared.to_vec())).unwrap();
        let info = [b"WebPush: info\0", &self.public()[..], theirs].concat();
        let secret = hkdf(&self.auth, &shared, &info);
        let key = hkdf(salt, &secret, b"Content-Encoding: aes128gcm\0");
        let nonce = hkdf(salt, &secret, b"Content-Encoding: nonce\0");
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key[..16]).unwrap());
        let nonce = Nonce::try_assume_unique_for_key(&nonce[..12]).unwrap();
        let mut record = record.to_vec();
        let text = key.open_in_place(nonce, Aad::empty(), &mut record).unwrap();
        let end = text.iter().rposition(|byte| *byte != 0).unwrap();
        assert_eq!(text[end], 2, "the mark of the last record");
        serde_json::from_slice(&text[..end]).unwrap()
    }
}

/// RFC 5869, for at most 32 bytes.
fn hkdf(salt: &[u8], secret: &[u8], info: &[u8]) -> [u8; 32] {
    let key = sign(&Key::new(HMAC_SHA256, salt), secret);
    let block = sign(&Key::new(HMAC_SHA256, key.as_ref()), &[info, &[1]].concat());
    block.as_ref().try_into().unwrap()
}
