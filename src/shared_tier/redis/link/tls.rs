//! How connections are encrypted. Certificates are always verified.

use std::{fmt, sync::Arc};

use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// The authorities that connections trust, and the certificate that they present.
#[derive(Clone)]
pub struct Tls {
    pub(super) connector: TlsConnector,
}

/// What is wrong with a PEM text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// The authorities are unusable.
    #[error("redis.ca_file contains no usable certificate")]
    Authorities,
    /// The certificate or its key is unusable.
    #[error(
        "redis.client_certificate_file and redis.client_key_file are not a certificate and its key"
    )]
    Identity,
}

impl Tls {
    /// Trusts these authorities (PEM) alone, or the public ones, as for Engage. Presents this certificate, with its
    /// private key (PEM).
    pub fn new(
        authorities: Option<&[u8]>,
        identity: Option<(&[u8], &[u8])>,
    ) -> Result<Self, TlsFault> {
        let mut roots = RootCertStore::empty();
        if let Some(pem) = authorities {
            for certificate in certificates(pem).ok_or(TlsFault::Authorities)? {
                let added = roots.add(certificate);
                added.map_err(|_| TlsFault::Authorities)?;
            }
        } else {
            let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
            roots.add_parsable_certificates(public);
        }
        if roots.is_empty() {
            return Err(TlsFault::Authorities);
        }
        // The provider is named, because a second one in the dependency tree would make the default ambiguous.
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for TLS 1.2 and 1.3")
            .with_root_certificates(roots);
        let config = match identity {
            Some((chain, key)) => {
                let chain = certificates(chain).ok_or(TlsFault::Identity)?;
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsFault::Identity)?;
                let config = builder.with_client_auth_cert(chain, key);
                config.map_err(|_| TlsFault::Identity)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Self {
            connector: Arc::new(config).into(),
        })
    }
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .ok()
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(…)")
    }
}
