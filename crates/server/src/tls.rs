//! TLS on the public port: the operator's certificate from files, or one made on the spot for
//! development.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio_rustls::TlsAcceptor;

/// Where certificate and key come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate and those that vouch for it, in PEM.
    pub certificate: PathBuf,
    /// The certificate's private key, in PEM.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Where a self-signed certificate and its key are kept in a directory.
    pub fn in_directory(dir: &Path) -> TlsFiles {
        TlsFiles { certificate: dir.join("tls-certificate.pem"), key: dir.join("tls-key.pem") }
    }
}

/// A certificate that nobody vouches for, made on the spot: for development.
#[derive(Clone, Debug)]
pub struct SelfSigned {
    /// In PEM, for clients that shall trust it.
    pub certificate_pem: String,
    /// In PEM.
    pub key_pem: String,
}

impl SelfSigned {
    /// A certificate for `localhost` and the loopback addresses.
    pub fn generate() -> io::Result<SelfSigned> {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        Ok(SelfSigned { certificate_pem: made.cert.pem(), key_pem: made.signing_key.serialize_pem() })
    }

    /// Writes both next to each other and says where.
    pub fn write_to(&self, dir: &Path) -> io::Result<TlsFiles> {
        std::fs::create_dir_all(dir)?;
        let files = TlsFiles::in_directory(dir);
        std::fs::write(&files.certificate, &self.certificate_pem)?;
        std::fs::write(&files.key, &self.key_pem)?;
        Ok(files)
    }
}

/// Accepts TLS 1.2 and 1.3, offering HTTP/2 before HTTP/1.1.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, String> {
    let certificates = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable("certificate", &files.certificate, &error))?;
    if certificates.is_empty() {
        return Err(unusable("certificate", &files.certificate, &"it holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unusable("key", &files.key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| unusable("certificate and key", &files.certificate, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn unusable(what: &str, file: &Path, error: &dyn std::fmt::Display) -> String {
    format!("the TLS {what} in {} cannot be used: {error}; give PEM files (tls.certificate, tls.key)", file.display())
}
