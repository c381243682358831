//! One HTTP/1.1 request to the API server: guarded, timed, bounded.
//!
//! kube builds the TLS configuration; everything above it is here, because kube's own stack repeats 429, 503 and 504
//! up to fifteen times (its `retry.rs`), and 503 is what this program looks for. Nothing here repeats a request, and
//! no redirect is followed.

use std::fmt;
use std::io::{self, Read as _};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::{Builder, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::ConfigExt as _;
use tokio_rustls::rustls;

use super::error::ConnectError;
use crate::source::dry_run::{self, Target};
use crate::source::guard;
use crate::source::observation::FailureKind;

/// The largest body that is read, unpacked.
pub(super) const BODY_LIMIT: usize = 64 << 20;

type Bytes = hyper::body::Bytes;
type Send = Box<dyn Fn(http::Request<Full<Bytes>>) -> ResponseFuture + std::marker::Send + Sync>;

/// An answer as it came.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(super) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

/// No answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(super) kind: FailureKind,
    pub(crate) message: String,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

fn blocked(reason: String) -> Failure {
    Failure::new(FailureKind::Blocked, reason)
}

fn not_plain() -> Failure {
    blocked("refused before it was sent: it is not a plain request to the API server".to_owned())
}

/// What may leave through a client: method, path with query, and body.
pub(crate) type Guard = fn(&str, &str, Option<&str>) -> Result<(), guard::Refused>;

/// The rule of everything but `probe`.
pub(super) fn read_only(method: &str, target: &str, _body: Option<&str>) -> Result<(), guard::Refused> {
    guard::check(method, target)
}

/// A way to the API server, with a credential or without.
pub(crate) struct Client {
    guard: Guard,
    server: Uri,
    prefix: String,
    authorization: Option<HeaderValue>,
    timeout: Duration,
    send: Send,
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Client").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn new(
        server: Uri,
        prefix: String,
        config: &kube::Config,
        authorization: Option<HeaderValue>,
        proxy: Option<&Uri>,
        timeout: Duration,
        guard: Guard,
    ) -> Result<Self, ConnectError> {
        let send = connector(config, proxy, timeout)?;
        Ok(Self { guard, server, prefix, authorization, timeout, send })
    }

    /// What proves the identity of the caller in `Authorization`. So short a credential that it could be a word by
    /// chance is passed over.
    pub(super) fn secret(&self) -> Option<&[u8]> {
        let value = self.authorization.as_ref()?.as_bytes();
        let secret = value.splitn(2, |byte| *byte == b' ').nth(1)?;
        (secret.len() >= 8).then_some(secret)
    }

    /// Sends one request and reads the whole answer within the time limit.
    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        body: Option<&str>,
    ) -> Result<Answer, Failure> {
        let request = self.request(method, target, body)?;
        self.timed(request).await
    }

    /// Tries an object, and changes nothing.
    pub(super) async fn dry_run(&self, target: &Target, object: &str) -> Result<Answer, Failure> {
        let request = self.dry_request(target, object)?;
        self.timed(request).await
    }

    async fn timed(&self, request: http::Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let limit = self.timeout.as_secs_f32();
        tokio::time::timeout(self.timeout, self.exchange(request)).await.unwrap_or_else(|_| {
            Err(Failure::new(
                FailureKind::TimedOut,
                format!("{} gave no complete answer within {limit} seconds", self.server),
            ))
        })
    }

    /// The request as it goes out. The guard looks at this, not at what was asked for.
    fn request(
        &self,
        method: &str,
        target: &str,
        body: Option<&str>,
    ) -> Result<http::Request<Full<Bytes>>, Failure> {
        let kind = body.map(|_| "application/json");
        let request = self.built(method, target, kind, body.unwrap_or_default())?;
        (self.guard)(request.method().as_str(), self.below(&request), body)
            .map_err(|refused| blocked(refused.to_string()))?;
        if method == "GET" && body.is_some() {
            return Err(not_plain());
        }
        Ok(request)
    }

    /// A dry run as it goes out: what is looked at once more is the URL itself.
    fn dry_request(&self, target: &Target, object: &str) -> Result<http::Request<Full<Bytes>>, Failure> {
        let request = self.built(dry_run::METHOD, &target.sent(), Some(dry_run::CONTENT_TYPE), object)?;
        let below = self.below(&request);
        let again = below.split_once('?').filter(|(_, query)| *query == dry_run::QUERY);
        match again.map(|(path, _)| Target::of(path)) {
            Some(Ok(again)) if again == *target => Ok(request),
            _ => Err(not_plain()),
        }
    }

    /// A request to the API server, and to nobody else.
    fn built(
        &self,
        method: &str,
        target: &str,
        kind: Option<&str>,
        body: &str,
    ) -> Result<http::Request<Full<Bytes>>, Failure> {
        let server = self.server.to_string();
        let url = format!("{}{}{target}", server.trim_end_matches('/'), self.prefix);
        let mut builder = http::Request::builder()
            .method(method)
            .uri(url)
            .header(USER_AGENT, concat!("metrics-preflight/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, if target == "/flagz" { "text/plain, */*" } else { "application/json, */*" })
            .header(ACCEPT_ENCODING, "gzip");
        if let Some(kind) = kind {
            builder = builder.header(CONTENT_TYPE, kind);
        }
        if let Some(authorization) = &self.authorization {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        let request =
            builder.body(Full::new(bytes)).map_err(|error| blocked(format!("not a URL: {error}")))?;
        let sent = request.uri();
        let elsewhere = sent.authority() != self.server.authority() || sent.scheme() != self.server.scheme();
        if elsewhere || request.headers().contains_key(UPGRADE) {
            return Err(not_plain());
        }
        Ok(request)
    }

    /// The path with its query below the one under which the server's URL lies.
    fn below<'r>(&self, request: &'r http::Request<Full<Bytes>>) -> &'r str {
        let path = request.uri().path_and_query().map_or("", http::uri::PathAndQuery::as_str);
        path.strip_prefix(&self.prefix).unwrap_or_default()
    }

    async fn exchange(&self, request: http::Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let response = (self.send)(request).await.map_err(|error| self.explain(&error))?;
        let (parts, mut body) = response.into_parts();
        let too_large = || {
            Failure::new(FailureKind::Other, format!("the answer is larger than {} MiB", BODY_LIMIT >> 20))
        };
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.explain(&error))?;
            if let Ok(data) = frame.into_data() {
                if bytes.len() + data.len() > BODY_LIMIT {
                    return Err(too_large());
                }
                bytes.extend_from_slice(&data);
            }
        }
        if parts.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding.as_bytes() == b"gzip") {
            let mut unpacked = Vec::new();
            let mut decoder = MultiGzDecoder::new(bytes.as_slice()).take(BODY_LIMIT as u64 + 1);
            decoder.read_to_end(&mut unpacked).map_err(|error| {
                Failure::new(
                    FailureKind::Other,
                    format!("the answer says that it is gzip and is not: {error}"),
                )
            })?;
            if unpacked.len() > BODY_LIMIT {
                return Err(too_large());
            }
            bytes = unpacked;
        }
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, bytes })
    }

    /// What an error of the HTTP client is, from the innermost cause that says so.
    fn explain(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        let mut found = None;
        let mut words = Vec::new();
        let mut next = Some(error);
        while let Some(cause) = next {
            words.push(cause.to_string());
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                return Failure::new(FailureKind::Tls, self.explain_tls(tls));
            }
            let io = cause.downcast_ref::<io::Error>();
            if let Some(io) = io {
                found = found.or(io_kind(io.kind()));
            } else if let Some(http) = cause.downcast_ref::<hyper::Error>() {
                if http.is_incomplete_message() || http.is_closed() || http.is_canceled() {
                    found = found.or(Some(FailureKind::Reset));
                }
            } else if cause.to_string().starts_with("dns error") {
                found = found.or(Some(FailureKind::Dns));
            }
            // `source()` of an io::Error passes over the error that it holds.
            next = match io.and_then(io::Error::get_ref) {
                Some(held) => Some(held),
                None => cause.source(),
            };
        }
        let all = words.join(": ");
        let kind = found.unwrap_or(if all.contains("tunnel error") || all.contains("SOCKS") {
            FailureKind::Unreachable
        } else {
            FailureKind::Other
        });
        // The outer words ("client error (Connect)") are the client's own business.
        let reason = words.last().cloned().unwrap_or_default();
        let reason = if all.contains("tunnel error") {
            format!("the proxy did not let it through ({reason})")
        } else {
            reason
        };
        Failure::new(kind, format!("{}: {reason}", self.server))
    }

    fn explain_tls(&self, error: &rustls::Error) -> String {
        use rustls::CertificateError as Bad;
        let hint = match error {
            rustls::Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
                "; the kubeconfig's certificate authority is not the one that signed it"
            }
            rustls::Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
                "; the kubeconfig's server or tls-server-name is not a name in it"
            }
            rustls::Error::InvalidCertificate(
                Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. },
            ) => "; renew it, and check the clocks",
            rustls::Error::InvalidMessage(_) => {
                "; it does not speak TLS, or something between does not let it"
            }
            _ => "",
        };
        match error {
            rustls::Error::InvalidCertificate(_) => {
                format!("the certificate of {} was not accepted: {error}{hint}", self.server)
            }
            _ => format!("no TLS connection with {}: {error}{hint}", self.server),
        }
    }
}

pub(super) fn io_kind(kind: io::ErrorKind) -> Option<FailureKind> {
    Some(match kind {
        io::ErrorKind::ConnectionRefused => FailureKind::Refused,
        io::ErrorKind::TimedOut => FailureKind::TimedOut,
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::PermissionDenied => FailureKind::Unreachable,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected
        | io::ErrorKind::UnexpectedEof => FailureKind::Reset,
        _ => return None,
    })
}

/// The connection pool for this proxy. The four of them differ in type, so each hides behind a closure.
fn connector(config: &kube::Config, proxy: Option<&Uri>, timeout: Duration) -> Result<Send, ConnectError> {
    let tls_error = |error: kube::Error| ConnectError::Tls { reason: error.to_string() };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(timeout));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(20));

    macro_rules! client {
        ($connector:expr) => {{
            let tls = config.rustls_https_connector_with_connector($connector).map_err(tls_error)?;
            let client = builder.build::<_, Full<Bytes>>(tls);
            Ok(Box::new(move |request| client.request(request)))
        }};
    }
    let Some(proxy) = proxy else { return client!(tcp) };
    let user =
        proxy.authority().and_then(|authority| authority.as_str().rsplit_once('@')).map(|(user, _)| user);
    let scheme = proxy.scheme_str().unwrap_or("http");
    let bare = bare(proxy, scheme)?;
    match scheme {
        "socks5" | "socks5h" => {
            let socks = SocksV5::new(bare, tcp);
            let Some(user) = user else { return client!(socks) };
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            client!(socks.with_auth(percent_decode(name), percent_decode(password)))
        }
        "https" => {
            // The proxy is judged by the system's authorities, and sees nothing that is meant for the API server.
            let own = kube::Config::new(bare.clone());
            let tls = own.rustls_https_connector_with_connector(tcp).map_err(tls_error)?;
            client!(with_user(Tunnel::new(bare, tls), user))
        }
        _ => client!(with_user(Tunnel::new(bare, tcp), user)),
    }
}

/// The proxy's URL without user information and with its port.
fn bare(proxy: &Uri, scheme: &str) -> Result<Uri, ConnectError> {
    let port = proxy.port_u16().unwrap_or(match scheme {
        "http" => 80,
        "https" => 443,
        _ => 1080,
    });
    let url = format!("{scheme}://{}:{port}", proxy.host().unwrap_or_default());
    url.parse().map_err(|_| ConnectError::Proxy {
        origin: "the configuration",
        reason: "its host is not usable".to_owned(),
    })
}

fn with_user<C>(tunnel: Tunnel<C>, user: Option<&str>) -> Tunnel<C> {
    let value = user.and_then(|user| {
        HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(percent_decode(user)))).ok()
    });
    match value {
        Some(value) => tunnel.with_auth(value),
        None => tunnel,
    }
}

/// User information in a URL is percent-encoded; a broken escape stands for itself.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digit = |index: usize| after.get(index).and_then(|byte| char::from(*byte).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
            bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
