//! How push services know the server: its own key, and what it signs with it for each of them.
//!
//! Source: RFC 8292 (Voluntary Application Server Identification for Web Push).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::header::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::KeyPair;
use serde_json::json;
use url::Url;

use crate::clock::unix_seconds;

/// The file of the key, in the folder of the log.
pub(super) const KEY: &str = "web-push.key";
/// Nobody else may push in the server's name.
const KEY_MODE: u32 = 0o600;
/// How long a signature is good; a day is the most.
const GOOD_SECONDS: u64 = 12 * 60 * 60;

/// Where a push service reaches whoever runs the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushContact(String);

impl FromStr for PushContact {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).ok().filter(|url| {
            let is_mail = url.scheme() == "mailto" && url.path().contains('@');
            is_mail || url.scheme() == "https"
        });
        url.map(|url| Self(url.into()))
            .ok_or("a contact looks like mailto:bell@example.com or https://example.com")
    }
}

/// The key of the server.
pub(super) struct Vapid {
    contact: PushContact,
    key: EncodingKey,
    public: String,
}

impl Vapid {
    /// The key that is kept in a folder, or a new one; without a folder it ends with the process.
    ///
    /// # Errors
    ///
    /// That it cannot be read or kept, in one sentence.
    pub(super) fn open(folder: Option<&Path>, contact: PushContact) -> Result<Self, String> {
        let key = match folder {
            Some(folder) => kept(folder).map_err(|why| {
                format!("--web-push: the key in {}: {why}", folder.join(KEY).display())
            })?,
            None => KeyPair::generate().map_err(|error| format!("--web-push: {error}"))?,
        };
        let public = URL_SAFE_NO_PAD.encode(key.public_key_raw());
        Ok(Self { contact, key: EncodingKey::from_ec_der(key.serialized_der()), public })
    }

    /// The public key, by which a browser tells a push service who may push to it.
    pub(super) fn public_key(&self) -> &str {
        &self.public
    }

    /// What says to the push service of an address who pushes; none if it has no origin.
    pub(super) fn authorization(&self, endpoint: &Url) -> Option<HeaderValue> {
        let claims = json!({
            "aud": endpoint.origin().ascii_serialization(),
            "exp": unix_seconds() + GOOD_SECONDS,
            "sub": self.contact.0,
        });
        let token = encode(&Header::new(Algorithm::ES256), &claims, &self.key).ok()?;
        let mut value =
            HeaderValue::try_from(format!("vapid t={token}, k={}", self.public)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

fn kept(folder: &Path) -> Result<KeyPair, String> {
    let path = folder.join(KEY);
    match fs::read_to_string(&path) {
        Ok(text) => KeyPair::from_pem(&text).map_err(|error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = KeyPair::generate().map_err(|error| error.to_string())?;
            keep(folder, &key.serialize_pem()).map_err(|error| error.to_string())?;
            Ok(key)
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Writes it under its name once it is whole and on the disk: subscriptions are worth nothing
/// without it.
fn keep(folder: &Path, text: &str) -> io::Result<()> {
    let new = folder.join(format!("{KEY}.new"));
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(KEY_MODE).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, folder.join(KEY))?;
    File::open(folder)?.sync_all()
}

impl std::fmt::Debug for Vapid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vapid").field("public", &self.public).finish_non_exhaustive()
    }
}
