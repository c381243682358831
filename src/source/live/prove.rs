//! TLS with an API server whose time is asked: proven by the cluster's CA or not, it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier as _;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, CertificateError, RootCertStore};

use super::any_server::{Witness, connector};

/// How often the dates of a chain are allowed for; it has rarely more than three certificates.
const DATES: usize = 4;

/// A handshake with whoever answers, and whether it was proven by one of `authority`, certificates as base64 of DER,
/// that this is `host`, dates aside.
pub async fn prove(tcp: TcpStream, host: &str, authority: &[String]) -> Option<(TlsStream<TcpStream>, bool)> {
    let mut roots = RootCertStore::empty();
    let certificates = authority.iter().filter_map(|one| STANDARD.decode(one).ok()).map(CertificateDer::from);
    roots.add_parsable_certificates(certificates);
    let provider = Arc::new(ring::default_provider());
    // Without a root nothing is proven.
    let strict = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok();
    let prover = Arc::new(Prover { strict, proven: AtomicBool::new(false) });
    let connector = connector(&prover, &[b"http/1.1"]).ok()?;
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let stream = connector.connect(name, tcp).await.ok()?;
    Some((stream, prover.proven.load(Ordering::Relaxed)))
}

/// Takes everybody, and remembers whether it would have had to.
#[derive(Debug)]
struct Prover {
    strict: Option<Arc<WebPkiServerVerifier>>,
    proven: AtomicBool,
}

impl Prover {
    fn is_proven(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> bool {
        let Some(strict) = &self.strict else { return false };
        let mut now = now;
        for _ in 0..DATES {
            let second = Duration::from_secs(1);
            let of = |time: UnixTime| Duration::from_secs(time.as_secs());
            now = match strict.verify_server_cert(leaf, intermediates, name, &[], now) {
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

impl Witness for Prover {
    fn see(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) {
        self.proven.store(self.is_proven(leaf, intermediates, name, now), Ordering::Relaxed);
    }
}
