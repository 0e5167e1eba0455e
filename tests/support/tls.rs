//! TLS from outside: an authority of one's own, and a way for hands that know no TLS to reach an
//! encrypted listener.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::PATIENCE;

/// Somebody who vouches for others, and the folder where that is kept.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
    /// Its own certificate.
    pub(crate) certificate: PathBuf,
}

impl Authority {
    /// A new one, whose certificate is a file in the folder.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = named(&[], name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = folder.join(format!("{name}.pem"));
        fs::write(&certificate, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), folder: folder.to_owned(), certificate }
    }

    /// A certificate and its key, as two files of this name.
    pub(crate) fn issue(&self, file: &str, names: &[&str], common: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate = named(names, common).signed_by(&key, &self.issuer).unwrap();
        let [at, key_at] = ["crt", "key"].map(|end| self.folder.join(format!("{file}.{end}")));
        // The key first, so that nobody sees a certificate whose key is not there.
        fs::write(&key_at, key.serialize_pem()).unwrap();
        fs::write(&at, certificate.pem()).unwrap();
        (at, key_at)
    }
}

fn named(names: &[&str], common: &str) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common);
    params
}

/// A client's end of an encrypted connection.
pub(crate) type Encrypted = StreamOwned<ClientConnection, std::net::TcpStream>;

/// A client that trusts an authority, and may have a certificate of its own.
fn config(authority: &Path, own: Option<(&Path, &Path)>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
            let key = PrivateKeyDer::from_pem_file(key).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    })
}

/// Shakes hands with a server of this machine.
pub(crate) fn connect(
    server: SocketAddr,
    authority: &Path,
    own: Option<(&Path, &Path)>,
) -> io::Result<Encrypted> {
    let stream = std::net::TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(config(authority, own), name).unwrap();
    let mut encrypted = StreamOwned::new(session, stream);
    encrypted.conn.complete_io(&mut encrypted.sock)?;
    Ok(encrypted)
}

/// Encrypts whatever comes in, for a server that an authority vouches for.
pub(crate) struct Tunnel {
    /// Where it is to be sent.
    pub(crate) entry: SocketAddr,
    _runtime: Runtime,
}

impl Tunnel {
    /// To a listener of this machine.
    pub(crate) fn to(server: SocketAddr, authority: &Path) -> Self {
        let connector = TlsConnector::from(config(authority, None));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let entry = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let mut tasks = JoinSet::new();
            while let Ok((mut plain, _)) = listener.accept().await {
                let connector = connector.clone();
                tasks.spawn(async move {
                    let stream = TcpStream::connect(server).await?;
                    stream.set_nodelay(true)?;
                    plain.set_nodelay(true)?;
                    let name = ServerName::try_from("localhost").unwrap();
                    let mut encrypted = connector.connect(name, stream).await?;
                    tokio::io::copy_bidirectional(&mut plain, &mut encrypted).await
                });
            }
        });
        Self { entry, _runtime: runtime }
    }
}
