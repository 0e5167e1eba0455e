//! The two ends of TLS, with what the server and its clients choose. Nothing is looked at that is
//! not needed to encrypt, as both ends are one's own.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, Connection, DigitallySignedStruct, Error, ServerConfig,
    SignatureScheme,
};

use crate::failure::{Failure, Result};

/// The name in every certificate here.
const NAME: &str = "localhost";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure(format!("TLS: {error}"))
}

/// A client's end, which takes any certificate.
pub(crate) fn client() -> Result<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody));
    Ok(Arc::new(builder.with_no_client_auth()))
}

/// A connection of it.
pub(crate) fn connection(config: &Arc<ClientConfig>) -> Result<Connection> {
    let name = ServerName::try_from(NAME).map_err(failed)?;
    Ok(ClientConnection::new(config.clone(), name).map_err(failed)?.into())
}

/// A server's end, with a certificate that was just made.
pub(crate) fn server() -> Result<Arc<ServerConfig>> {
    let own = rcgen::generate_simple_self_signed([NAME.to_owned()]).map_err(failed)?;
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).map_err(failed)?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_no_client_auth();
    let config = builder.with_single_cert(vec![own.cert.der().clone()], key).map_err(failed)?;
    Ok(Arc::new(config))
}

/// Believes everybody.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
