//! A fake API server or kubelet over TLS, for tests: chosen certificates, stalls, floods, alerts.

#![expect(clippy::unwrap_used, reason = "only tests use it")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

/// A certificate authority with a server and a client certificate.
pub(crate) struct Pki {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key.
pub(crate) struct Pair {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub(crate) fn ca_pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for these names and addresses.
    pub(crate) fn pair(&self, names: &[&str]) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        Pair { der: certificate.der().clone(), pem: certificate.pem(), key }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        Arc::new(roots)
    }
}

/// What the server does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Behaviour {
    /// Answers by the function: the number of the request, its method and path give status, headers and body.
    Answer(fn(u32, &Asked) -> Given),
    /// Takes the request and never answers.
    Stall,
    /// Sends a head and then bytes without end.
    Flood,
    /// Sends half of what it announced and closes.
    Cut,
}

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Status, headers and body of an answer.
pub(crate) type Given = (u16, &'static [(&'static str, &'static str)], Vec<u8>);

/// A running server; it ends with the test's runtime.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    pub(crate) client_certificates: Arc<AtomicU32>,
    /// Bytes of application data that arrived on connections that are only read.
    pub(crate) application_bytes: Arc<AtomicU32>,
}

impl Server {
    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// A server on the loopback with a certificate of this authority.
    pub(crate) async fn start(pki: &Pki, behaviour: Behaviour) -> Self {
        let pair = pki.pair(&["127.0.0.1", "localhost"]);
        Self::start_as(config(&pair, Some(pki), tokio_rustls::rustls::ALL_VERSIONS), behaviour).await
    }

    /// A server on the loopback with this configuration.
    pub(crate) async fn start_as(config: ServerConfig, behaviour: Behaviour) -> Self {
        Self::start_with(config, move |stream, server| serve(stream, behaviour, server)).await
    }

    /// A server that completes handshakes, reads what comes, and answers nothing.
    pub(crate) async fn start_silent(config: ServerConfig) -> Self {
        Self::start_with(config, |mut stream, server| async move {
            let mut buffer = [0; 1024];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                server.application_bytes.fetch_add(u32::try_from(count).unwrap(), Ordering::SeqCst);
            }
        })
        .await
    }

    async fn start_with<F>(
        config: ServerConfig,
        run: impl Fn(Stream, Arc<Self>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = || Self {
            address,
            asked: Arc::default(),
            client_certificates: Arc::default(),
            application_bytes: Arc::default(),
        };
        let server = state();
        let shared = Arc::new(Self {
            address,
            asked: Arc::clone(&server.asked),
            client_certificates: Arc::clone(&server.client_certificates),
            application_bytes: Arc::clone(&server.application_bytes),
        });
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let run = Arc::new(run);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, shared, run) = (acceptor.clone(), Arc::clone(&shared), Arc::clone(&run));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(tcp).await {
                        if stream.get_ref().1.peer_certificates().is_some() {
                            shared.client_certificates.fetch_add(1, Ordering::SeqCst);
                        }
                        run(stream, shared).await;
                    }
                });
            }
        });
        server
    }
}

type Stream = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;

async fn serve(mut stream: Stream, behaviour: Behaviour, server: Arc<Server>) {
    match behaviour {
        Behaviour::Answer(answer) => {
            let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
                let server = Arc::clone(&server);
                async move {
                    let (parts, body) = request.into_parts();
                    let asked = Asked {
                        method: parts.method.to_string(),
                        path: parts.uri.to_string(),
                        headers: parts.headers,
                        body: body.collect().await?.to_bytes().to_vec(),
                    };
                    let number = {
                        let mut all = server.asked.lock().unwrap();
                        all.push(asked.clone());
                        u32::try_from(all.len()).unwrap()
                    };
                    let (status, headers, body) = answer(number, &asked);
                    let mut response = http::Response::builder().status(status);
                    for (name, value) in headers {
                        response = response.header(*name, *value);
                    }
                    Ok::<_, hyper::Error>(response.body(Full::new(Bytes::from(body))).unwrap())
                }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
        Behaviour::Stall => {
            let _ = stream.read(&mut [0; 1024]).await;
            tokio::time::sleep(Duration::from_mins(10)).await;
        }
        Behaviour::Flood => {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[").await;
            let chunk = vec![b'['; 1 << 16];
            while stream.write_all(&chunk).await.is_ok() {}
        }
        Behaviour::Cut => {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"kind\"").await;
        }
    }
}

/// A server's configuration that asks for a client certificate without demanding one where `clients` is given.
pub(crate) fn config(
    pair: &Pair,
    clients: Option<&Pki>,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let key = PrivateKeyDer::try_from(pair.key.serialize_der()).unwrap();
    builder(clients, true, versions).with_single_cert(vec![pair.der.clone()], key).unwrap()
}

/// A server's configuration that demands a client certificate.
pub(crate) fn demanding(
    pair: &Pair,
    clients: &Pki,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let key = PrivateKeyDer::try_from(pair.key.serialize_der()).unwrap();
    builder(Some(clients), false, versions).with_single_cert(vec![pair.der.clone()], key).unwrap()
}

/// A server that has no certificate yet, as a kubelet whose signing request waits for approval.
pub(crate) fn without_certificate() -> ServerConfig {
    #[derive(Debug)]
    struct None;
    impl ResolvesServerCert for None {
        fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Option::None
        }
    }
    builder(Option::None, true, tokio_rustls::rustls::ALL_VERSIONS).with_cert_resolver(Arc::new(None))
}

fn builder(
    clients: Option<&Pki>,
    optional: bool,
    versions: &[&'static SupportedProtocolVersion],
) -> tokio_rustls::rustls::ConfigBuilder<ServerConfig, tokio_rustls::rustls::server::WantsServerCert> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
    let Some(clients) = clients else { return builder.with_no_client_auth() };
    let verifier = WebPkiClientVerifier::builder_with_provider(clients.roots(), provider);
    let verifier = if optional { verifier.allow_unauthenticated() } else { verifier };
    builder.with_client_cert_verifier(verifier.build().unwrap())
}

/// A directory of its own that goes away.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("metrics-preflight-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
