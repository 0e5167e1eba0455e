//! TLS from the client's side: which servers are believed, by whose word, and what they are shown.

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsConnector;

use crate::error::{Error, is_refusal};
use crate::laboratory::ByteStream;

/// Whose word is taken for a server's identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// That of the authorities which this system trusts.
    #[default]
    System,
    /// That of the authorities in a PEM file, which is read with every connection.
    Authorities(PathBuf),
    /// Nobody's: the server's certificate is known.
    Certificate(Fingerprint),
}

/// A certificate of this side's own, and the key that it is for: two PEM files, which are read with
/// every connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The certificate, and those that lead to its authority.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// What each side shows the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    pub(crate) trust: Trust,
    pub(crate) own: Option<Own>,
    pub(crate) pinned: KeptConfig,
}

/// How a connection that is encrypted begins.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Handshake<'a> {
    /// The protocol that must be agreed upon.
    pub(crate) protocol: Option<&'a [u8]>,
    /// Whether no earlier session is taken up.
    pub(crate) is_whole: bool,
}

/// The settings of TLS where nothing of them is read from a file, made once and shared by clones:
/// with them go the sessions that can be taken up again.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeptConfig(Arc<OnceLock<Arc<ClientConfig>>>);

/// Servers are the same whether they were reached yet or not.
impl PartialEq for KeptConfig {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for KeptConfig {}

/// The SHA-256 of a certificate.
///
/// Written in hex, in which colons do not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Address("a fingerprint is a SHA-256: 64 digits in hex".to_owned());
        let digits = text.chars().filter(|c| *c != ':').map(|c| c.to_digit(16));
        let digits: Vec<u32> = digits.collect::<Option<_>>().ok_or_else(wrong)?;
        let (pairs, []) = digits.as_chunks::<2>() else { return Err(wrong()) };
        let bytes = pairs.iter().map(|[high, low]| u8::try_from(high << 4 | low));
        let bytes: Vec<u8> = bytes.collect::<Result<_, _>>().map_err(|_| wrong())?;
        bytes.try_into().map(Self).map_err(|_| wrong())
    }
}

impl Tls {
    /// Encrypts a connection to a server that has shown its identity. `place` is what errors call
    /// it.
    pub(crate) async fn encrypt(
        &self,
        host: &str,
        place: &str,
        handshake: Handshake<'_>,
        stream: Box<dyn ByteStream>,
    ) -> Result<Box<dyn ByteStream>, Error> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            Error::Address(format!("{host} is no name that a certificate can be for"))
        })?;
        let mut config = self.config()?;
        if let Some(own) = &self.own {
            let shown = Arc::new(SingleCertAndKey::from(own.read()?));
            Arc::make_mut(&mut config).client_auth_cert_resolver = shown;
        }
        if let Some(protocol) = handshake.protocol {
            Arc::make_mut(&mut config).alpn_protocols = vec![protocol.to_vec()];
        }
        if handshake.is_whole {
            Arc::make_mut(&mut config).resumption = Resumption::disabled();
        }
        let connector = TlsConnector::from(config);
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(failed(host, place, error)),
        }
    }

    fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        if !matches!(self.trust, Trust::Certificate(_)) {
            return self.trust.config();
        }
        if let Some(config) = self.pinned.0.get() {
            return Ok(config.clone());
        }
        let config = self.trust.config()?;
        Ok(self.pinned.0.get_or_init(|| config).clone())
    }
}

impl Own {
    fn read(&self) -> Result<CertifiedKey, Error> {
        let wrong = |flag: &str, path: &Path, error: &dyn std::fmt::Display| {
            Error::Address(format!("{flag} {} cannot be used: {error}", path.display()))
        };
        let of_certificate =
            |error: &dyn std::fmt::Display| wrong("--cert", &self.certificate, error);
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| of_certificate(&error))?;
        if chain.is_empty() {
            return Err(of_certificate(&"it has no certificate"));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| wrong("--key", &self.key, &error))?;
        CertifiedKey::from_der(chain, key, &provider())
            .map_err(|error| wrong("--key", &self.key, &error))
    }
}

impl Trust {
    fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        match self {
            Self::System => system(),
            Self::Authorities(path) => Ok(Arc::new(trusting(authorities(path)?)?)),
            Self::Certificate(fingerprint) => {
                let pinned = Pinned { fingerprint: *fingerprint, provider: provider() };
                let builder = ClientConfig::builder_with_provider(pinned.provider.clone())
                    .with_safe_default_protocol_versions()
                    .map_err(|error| unusable(&error))?;
                let builder =
                    builder.dangerous().with_custom_certificate_verifier(Arc::new(pinned));
                Ok(Arc::new(builder.with_no_client_auth()))
            }
        }
    }
}

/// The system's authorities, which are read once.
fn system() -> Result<Arc<ClientConfig>, Error> {
    static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = SYSTEM.get() {
        return Ok(config.clone());
    }
    let mut roots = RootCertStore::empty();
    // A few of a system's many may be malformed.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let text = "this system has no certificates of authorities: name a file with --ca";
        return Err(Error::Address(text.to_owned()));
    }
    let config = Arc::new(trusting(roots)?);
    Ok(SYSTEM.get_or_init(|| config).clone())
}

fn authorities(path: &Path) -> Result<RootCertStore, Error> {
    let wrong = |what: String| Error::Address(format!("--ca {} {what}", path.display()));
    let mut roots = RootCertStore::empty();
    let found =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    for certificate in found.map_err(|error| wrong(format!("cannot be read: {error}")))? {
        roots.add(certificate).map_err(|error| wrong(format!("cannot be used: {error}")))?;
    }
    if roots.is_empty() { Err(wrong("has no certificate".to_owned())) } else { Ok(roots) }
}

fn trusting(roots: RootCertStore) -> Result<ClientConfig, Error> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider())
        .build()
        .map_err(|error| Error::Address(format!("TLS cannot be used: {error}")))?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    Ok(builder.with_webpki_verifier(verifier).with_no_client_auth())
}

/// The one cryptography in the house.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn unusable(error: &rustls::Error) -> Error {
    Error::Address(format!("TLS cannot be used: {error}"))
}

/// Why no encrypted connection came about, and what to do.
fn failed(host: &str, place: &str, error: io::Error) -> Error {
    let of_tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match of_tls {
        Some(rustls::Error::InvalidMessage(_)) => Error::Unexpected(format!(
            "{place} does not speak TLS: write http:// or tcp:// for a plain listener"
        )),
        Some(rustls::Error::InvalidCertificate(fault)) => Error::Untrusted(format!(
            "{place} cannot be trusted: {}",
            match fault {
                CertificateError::ApplicationVerificationFailure =>
                    "its certificate has another fingerprint than the one given with --fingerprint"
                        .to_owned(),
                CertificateError::UnknownIssuer =>
                    "nobody who is trusted vouches for its certificate; name its authority with \
                     --ca FILE, or the certificate itself with --fingerprint SHA256"
                        .to_owned(),
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } =>
                    format!("its certificate is not for {host}; use a name that it is for"),
                CertificateError::Expired | CertificateError::ExpiredContext { .. } =>
                    "its certificate has ended; the server needs a new one".to_owned(),
                fault => format!("its certificate is wrong ({fault})"),
            }
        )),
        _ if is_refusal(&error) => Error::lost(&error),
        _ => Error::Connect { endpoint: place.to_owned(), source: error },
    }
}

/// Takes one certificate, whatever stands in it.
#[derive(Debug)]
struct Pinned {
    fingerprint: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if Sha256::digest(certificate).as_slice() == self.fingerprint.0 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_64_digits_with_or_without_colons() {
        let plain = "0714072b6fe76b1c67142d73942aa466b315def0a05090891e91b8c104d62798";
        let pairs: Vec<&str> = (0..32).map(|at| &plain[at * 2..at * 2 + 2]).collect();
        let colons = pairs.join(":").to_uppercase();
        assert_eq!(plain.parse::<Fingerprint>().unwrap(), colons.parse().unwrap());
        for wrong in ["", "07", &plain[1..], &format!("{plain}00"), &plain.replace('0', "x")] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
