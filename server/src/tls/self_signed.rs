//! A certificate that the server signs for itself, for trying out: nobody need trust it, but who
//! knows its fingerprint knows the server.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::certificates::OwnCertificate;
use super::x509;
use crate::clock::unix_micros;

const CERTIFICATE: &str = "self-signed.pem";
const KEY: &str = "self-signed.key";

const DAY: u64 = 24 * 60 * 60;
/// How long it is good: longer ones are refused by some clients.
const GOOD_DAYS: u64 = 397;

/// Where it is kept, and for whom it is.
#[derive(Debug, Clone)]
pub struct SelfSigned {
    /// The folder where it is kept; absent if it is not.
    folder: Option<PathBuf>,
    names: Vec<String>,
}

impl SelfSigned {
    /// For this machine and these addresses of its listeners. It is kept in the folder, if there is
    /// one.
    pub fn new(folder: Option<PathBuf>, listeners: impl IntoIterator<Item = IpAddr>) -> Self {
        let host = rustix::system::uname();
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        names.extend(host.nodename().to_str().ok().map(str::to_owned));
        let bound = listeners.into_iter().filter(|address| !address.is_unspecified());
        names.extend(bound.map(|address| address.to_string()));
        names.sort();
        names.dedup();
        Self { folder, names }
    }

    /// The one that is kept if it will do, else a new one.
    pub(super) fn identity(&self) -> Result<OwnCertificate, String> {
        let kept = self.folder.as_deref().and_then(|folder| kept(folder).ok());
        if let Some(kept) = kept.filter(|kept| !kept.ends_soon() && self.is_named_in(kept)) {
            return Ok(kept);
        }
        let (certificate, key) = self.make().map_err(|error| {
            format!("--tls-self-signed: no certificate for {}: {error}", self.names.join(", "))
        })?;
        if let Some(folder) = &self.folder {
            keep(folder, &certificate, &key).map_err(|error| {
                let folder = folder.display();
                format!("--tls-self-signed: the certificate cannot be kept in {folder}: {error}")
            })?;
        }
        let read = read(certificate.as_bytes(), key.as_bytes());
        read.map_err(|error| format!("--tls-self-signed: {error}"))
    }

    fn is_named_in(&self, kept: &OwnCertificate) -> bool {
        let there = kept.leaf().map(x509::names).unwrap_or_default();
        self.names.iter().all(|name| there.contains(name))
    }

    /// A certificate and its key.
    fn make(&self) -> Result<(String, String), rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(self.names.clone())?;
        let now = Duration::from_micros(unix_micros());
        let epoch = date_time_ymd(1970, 1, 1);
        // A clock that is a little behind is no reason to refuse it.
        params.not_before = epoch + now.saturating_sub(Duration::from_secs(DAY));
        params.not_after = epoch + now + Duration::from_secs(GOOD_DAYS * DAY);
        params.distinguished_name.push(DnType::CommonName, "doorbell, self-signed");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
    }
}

fn kept(folder: &Path) -> Result<OwnCertificate, String> {
    let read_file = |name| fs::read(folder.join(name)).map_err(|error| error.to_string());
    read(&read_file(CERTIFICATE)?, &read_file(KEY)?)
}

fn read(certificate: &[u8], key: &[u8]) -> Result<OwnCertificate, String> {
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| error.to_string())?;
    OwnCertificate::new(chain, key).map_err(|error| error.to_string())
}

/// Writes both anew. If one is there without the other, both are made again.
fn keep(folder: &Path, certificate: &str, key: &str) -> io::Result<()> {
    let write = |name: &str, text: &str, mode| {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(mode).open(path)?.write_all(text.as_bytes())
    };
    write(KEY, key, 0o600)?;
    write(CERTIFICATE, certificate, 0o644)
}
