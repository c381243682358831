//! The pod's identity: its token, and the CA that it trusts.

use std::path::Path;
use std::sync::Arc;

use http::HeaderValue;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// What the kubelet has mounted.
pub(super) struct Identity {
    /// `Authorization`; nothing where no token is mounted.
    pub(super) token: Option<HeaderValue>,
    verifier: Result<Arc<ClientConfig>, String>,
}

impl Identity {
    /// Reads the mount.
    pub(super) fn read(mount: &Path) -> Self {
        let token = std::fs::read_to_string(mount.join("token")).ok();
        let token = token.and_then(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        Self { token, verifier: verifier(&mount.join("ca.crt")).map(Arc::new) }
    }

    /// TLS that verifies by the CA of the mount.
    pub(super) fn verifier(&self) -> Result<Arc<ClientConfig>, String> {
        self.verifier.clone()
    }
}

fn verifier(path: &Path) -> Result<ClientConfig, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem).flatten() {
        // A bundle may hold what cannot be used beside what can.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() {
        return Err("there is no usable certificate in it".to_owned());
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}
