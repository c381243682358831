//! TLS with an API server whose time is asked: proven by the cluster's CA or not, it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

/// How often the dates of a chain are allowed for; it has rarely more than three certificates.
const DATES: usize = 4;

/// A handshake with whoever answers, and whether it was proven by one of `authority`, certificates as base64 of DER,
/// that this is `host`, dates aside.
pub async fn prove(tcp: TcpStream, host: &str, authority: &[String]) -> Option<(TlsStream<TcpStream>, bool)> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    let certificates = authority.iter().filter_map(|one| STANDARD.decode(one).ok()).map(CertificateDer::from);
    roots.add_parsable_certificates(certificates);
    // Without a root nothing is proven.
    let strict =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().ok();
    let verifier =
        Arc::new(Prover { provider: Arc::clone(&provider), strict, proven: AtomicBool::new(false) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Prover>::clone(&verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.ok()?;
    Some((stream, verifier.proven.load(Ordering::Relaxed)))
}

/// Takes everybody, and remembers whether it would have had to.
#[derive(Debug)]
struct Prover {
    provider: Arc<CryptoProvider>,
    strict: Option<Arc<WebPkiServerVerifier>>,
    proven: AtomicBool,
}

impl Prover {
    fn is_proven(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> bool {
        let Some(strict) = &self.strict else { return false };
        let mut now = now;
        for _ in 0..DATES {
            let second = Duration::from_secs(1);
            let of = |time: UnixTime| Duration::from_secs(time.as_secs());
            now = match strict.verify_server_cert(end_entity, intermediates, name, &[], now) {
                Ok(_) => return true,
                Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
                    not_after,
                    ..
                })) => UnixTime::since_unix_epoch(of(not_after).saturating_sub(second)),
                Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
                    not_before,
                    ..
                })) => UnixTime::since_unix_epoch(of(not_before) + second),
                Err(_) => return false,
            };
        }
        false
    }
}

impl ServerCertVerifier for Prover {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.proven.store(self.is_proven(end_entity, intermediates, name, now), Ordering::Relaxed);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
