//! The identity that the server shows, and the authorities that vouch for its clients: read whole
//! or not at all, and read again when the files change.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};

use super::{HTTP1_PROTOCOL, HTTP2_PROTOCOL, LINES_PROTOCOL, SelfSigned, Spoken, x509};
use crate::clock::unix_micros;
use crate::limits::TLS_LOOK_EVERY;
use crate::metrics::Metrics;
use crate::stop::Stop;

/// A self-signed certificate is made anew when it is good for less than this.
const RENEWED_DAYS: i64 = 30;
const DAY: i64 = 24 * 60 * 60;

/// Where the certificate comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Files that somebody else writes.
    Files {
        /// The certificate, and those that lead to its authority.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// The server itself.
    SelfSigned(SelfSigned),
}

/// A certificate and its key, which belong together.
#[derive(Debug)]
pub(super) struct OwnCertificate {
    key: Arc<CertifiedKey>,
}

impl OwnCertificate {
    pub(super) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, rustls::Error> {
        let key = CertifiedKey::from_der(chain, key, &provider())?;
        Ok(Self { key: Arc::new(key) })
    }

    /// The certificate itself.
    pub(super) fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.key.cert.first()
    }

    /// For how many days it is good.
    fn days_left(&self) -> i64 {
        let now = i64::try_from(unix_micros() / 1_000_000).unwrap_or(i64::MAX);
        self.leaf().and_then(x509::not_after).map_or(0, |end| (end - now).div_euclid(DAY))
    }

    /// Whether another should take its place.
    pub(super) fn ends_soon(&self) -> bool {
        self.days_left() < RENEWED_DAYS
    }

    /// The SHA-256 of the certificate, in hex.
    fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.leaf().map_or(&[][..], |leaf| leaf));
        digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }
}

/// What is served at the moment.
#[derive(Debug)]
struct Current {
    identity: OwnCertificate,
    http: Arc<ServerConfig>,
    lines: Arc<ServerConfig>,
}

/// By what a changed file is told: when it was written, how long it is, and which file it is.
type Stamp = Vec<Option<(i64, i64, u64, u64)>>;

/// The certificates of one server.
#[derive(Debug)]
pub struct Certificates {
    source: Source,
    client_ca: Option<PathBuf>,
    metrics: Arc<Metrics>,
    current: ArcSwap<Current>,
    /// How the files were when they were last read, whatever came of it.
    read: Mutex<Stamp>,
}

impl Certificates {
    /// Reads them for the first time.
    ///
    /// # Errors
    ///
    /// One sentence that names the setting and the file.
    pub fn load(
        source: Source,
        client_ca: Option<PathBuf>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, String> {
        let read = Mutex::new(stamp(&source, client_ca.as_deref()));
        let current = ArcSwap::from_pointee(read_all(&source, client_ca.as_deref())?);
        let certificates = Self { source, client_ca, metrics, current, read };
        certificates.note();
        Ok(certificates)
    }

    /// What a handshake begins with.
    pub(super) fn config(&self, spoken: Spoken) -> Arc<ServerConfig> {
        let current = self.current.load();
        match spoken {
            Spoken::Http => current.http.clone(),
            Spoken::Lines => current.lines.clone(),
        }
    }

    /// The SHA-256 of the certificate, in hex; only for one that the server made itself, as nobody
    /// else vouches for it.
    pub fn self_signed_fingerprint(&self) -> Option<String> {
        let is_own = matches!(self.source, Source::SelfSigned(_));
        is_own.then(|| self.current.load().identity.fingerprint())
    }

    /// Reads them again when their files change, until the stop.
    pub async fn watch(self: Arc<Self>, stop: Stop) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TLS_LOOK_EVERY) => {}
            }
            let certificates = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || certificates.look()).await {
                tracing::error!(%error, "the certificates could not be looked at");
            }
        }
    }

    /// Reads everything again if a file has changed, or if a certificate of the server's own is
    /// about to end.
    pub fn look(&self) {
        let stamp = stamp(&self.source, self.client_ca.as_deref());
        let has_changed = stamp != *self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let is_own = matches!(self.source, Source::SelfSigned(_));
        if has_changed || is_own && self.current.load().identity.ends_soon() {
            self.reread();
        } else {
            self.note();
        }
    }

    /// Reads everything again. What is wrong leaves all as it was, and is said.
    pub fn reread(&self) {
        // Before the files are read: what is written meanwhile is read the next time.
        let stamp = stamp(&self.source, self.client_ca.as_deref());
        let read = read_all(&self.source, self.client_ca.as_deref());
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = stamp;
        self.metrics.certificates_refused(read.is_err());
        match read {
            Ok(current) => {
                tracing::info!(days_left = current.identity.days_left(), "certificates read");
                self.current.store(Arc::new(current));
            }
            Err(error) => {
                tracing::error!(error, "certificates are wrong; those read before stay");
            }
        }
        self.note();
    }

    /// Notes how long the certificate is good.
    fn note(&self) {
        self.metrics.certificate_days_left(self.current.load().identity.days_left());
    }
}

/// The one cryptography in the house.
fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

/// How the files are now.
fn stamp(source: &Source, client_ca: Option<&Path>) -> Stamp {
    let files = match source {
        Source::Files { certificate, key } => vec![certificate.as_path(), key],
        Source::SelfSigned(_) => Vec::new(),
    };
    let of = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        Some((found.mtime(), found.mtime_nsec(), found.size(), found.ino()))
    };
    files.into_iter().chain(client_ca).map(of).collect()
}

fn read_all(source: &Source, client_ca: Option<&Path>) -> Result<Current, String> {
    let identity = match source {
        Source::Files { certificate, key } => from_files(certificate, key)?,
        Source::SelfSigned(own) => own.identity()?,
    };
    let http = server_config(&identity, client_ca)?;
    let mut lines = http.clone();
    lines.alpn_protocols = vec![LINES_PROTOCOL.to_vec()];
    Ok(Current { identity, http: Arc::new(http), lines: Arc::new(lines) })
}

fn from_files(certificate: &Path, key: &Path) -> Result<OwnCertificate, String> {
    let chain = certificates("tls-cert", certificate)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| {
        format!("--tls-key {} {}", key.display(), fault(&error, "has no private key"))
    })?;
    OwnCertificate::new(chain, private).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            let certificate = certificate.display();
            format!("--tls-key {} is not the key of --tls-cert {certificate}", key.display())
        }
        error => format!("--tls-cert {} cannot be used: {error}", certificate.display()),
    })
}

/// The certificates of a file, of which there is one at least.
fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |what: &str| format!("--{setting} {} {what}", path.display());
    let none = "has no certificate";
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| wrong(&fault(&error, none)))?;
    if found.is_empty() { Err(wrong(none)) } else { Ok(found) }
}

fn fault(error: &pem::Error, none: &str) -> String {
    match error {
        pem::Error::Io(error) => format!("cannot be read: {error}"),
        pem::Error::NoItemsFound => none.to_owned(),
        error => format!("is no PEM: {error}"),
    }
}

fn server_config(
    identity: &OwnCertificate,
    client_ca: Option<&Path>,
) -> Result<ServerConfig, String> {
    let unusable = |error: rustls::Error| format!("TLS cannot be used: {error}");
    let provider = Arc::new(provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let wrong = |error: &dyn std::fmt::Display| {
                format!("--tls-client-ca {} cannot be used: {error}", path.display())
            };
            let mut roots = RootCertStore::empty();
            for authority in certificates("tls-client-ca", path)? {
                roots.add(authority).map_err(|error| wrong(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| wrong(&error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let own = SingleCertAndKey::from(identity.key.clone());
    let mut config = builder.with_cert_resolver(Arc::new(own));
    config.alpn_protocols = vec![HTTP2_PROTOCOL.to_vec(), HTTP1_PROTOCOL.to_vec()];
    // What a session needs to be taken up again is with the client alone, and it is not taken up
    // where a certificate would have to be looked at again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    if client_ca.is_none() {
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(unusable)?;
        config.send_tls13_tickets = 1;
    }
    Ok(config)
}
