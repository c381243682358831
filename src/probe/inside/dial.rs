//! One address: is somebody there, is it who it should be, what does it answer.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use checks::evidence::Reach;
use http::HeaderValue;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, InvalidMessage};

use crate::source::live::is_forbidden;

/// How long a connection may take; a lost packet is sent again after 1 and 3 s.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long all of it may take: the default of metrics-server's `--kubelet-request-timeout`.
const WHOLE_LIMIT: Duration = Duration::from_secs(10);
/// How long a name may take.
const NAME_LIMIT: Duration = Duration::from_secs(5);
/// The most of a refusal's body that is read, and kept.
const BODY_READ: usize = 16 << 10;
const BODY_KEPT: usize = 400;

/// Whom to dial.
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
}

/// What to ask.
pub(super) struct Get<'a> {
    pub(super) path: &'a str,
    /// The name that the certificate must have, where it is not the host.
    pub(super) name: Option<&'a str>,
    pub(super) config: Arc<ClientConfig>,
    pub(super) token: Option<&'a HeaderValue>,
}

impl Target {
    /// Reads `ADDRESS:PORT`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Self { host: host.to_owned(), port: port.parse().ok()? })
    }

    /// Whether somebody takes a connection.
    pub(super) async fn knock(&self) -> Reach {
        match self.connect().await {
            Ok(_) => Reach::Answered,
            Err(reach) => reach,
        }
    }

    /// Whether somebody takes a connection and is who it should be. Nothing is sent.
    pub(super) async fn shake(&self, config: &Arc<ClientConfig>) -> Reach {
        match timeout(WHOLE_LIMIT, self.secure(config, None)).await {
            Ok(Ok(_)) => Reach::Answered,
            Ok(Err(reach)) => reach,
            Err(_) => Reach::TimedOut,
        }
    }

    /// Asks. The token goes out only after the peer has been verified.
    pub(super) async fn get(&self, get: &Get<'_>) -> Reach {
        timeout(WHOLE_LIMIT, self.exchange(get)).await.unwrap_or(Reach::TimedOut)
    }

    async fn connect(&self) -> Result<TcpStream, Reach> {
        let addresses = self.addresses().await?;
        let attempts = async {
            let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
            for address in &addresses {
                match TcpStream::connect(address).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => last = error,
                }
            }
            Err(last)
        };
        match timeout(CONNECT_LIMIT, attempts).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(of_io(&error)),
            Err(_) => Err(Reach::TimedOut),
        }
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, Reach> {
        let addresses: Vec<SocketAddr> = if let Ok(address) = self.host.parse::<IpAddr>() {
            vec![SocketAddr::new(address, self.port)]
        } else {
            let found = timeout(NAME_LIMIT, tokio::net::lookup_host((self.host.as_str(), self.port))).await;
            let Ok(Ok(found)) = found else { return Err(Reach::NameNotResolved) };
            found.take(8).collect()
        };
        if addresses.is_empty() {
            return Err(Reach::NameNotResolved);
        }
        if addresses.iter().any(|address| is_forbidden(address.ip())) {
            return Err(Reach::Failed("a loopback or link-local address, which is never dialled".to_owned()));
        }
        Ok(addresses)
    }

    async fn secure(
        &self,
        config: &Arc<ClientConfig>,
        name: Option<&str>,
    ) -> Result<TlsStream<TcpStream>, Reach> {
        let name = name.unwrap_or(&self.host).to_owned();
        let name =
            ServerName::try_from(name).map_err(|_| Reach::Failed("no name that TLS can carry".to_owned()))?;
        let tcp = self.connect().await?;
        TlsConnector::from(Arc::clone(config)).connect(name, tcp).await.map_err(|error| of_io(&error))
    }

    async fn exchange(&self, get: &Get<'_>) -> Reach {
        let stream = match self.secure(&get.config, get.name).await {
            Ok(stream) => stream,
            Err(reach) => return reach,
        };
        match self.ask(stream, get).await {
            Ok(reach) => reach,
            // The connection stood, so the network did its part.
            Err(error) => Reach::Failed(format!("no HTTP answer: {error}")),
        }
    }

    async fn ask(&self, stream: TlsStream<TcpStream>, get: &Get<'_>) -> Result<Reach, String> {
        let words = |error: hyper::Error| error.to_string();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(words)?;
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let mut request = http::Request::get(get.path)
            .header(http::header::HOST, format!("{host}:{}", self.port))
            .header(http::header::USER_AGENT, concat!("metrics-preflight/", env!("CARGO_PKG_VERSION")))
            .header(http::header::CONNECTION, "close");
        if let Some(token) = get.token {
            request = request.header(http::header::AUTHORIZATION, token);
        }
        let request = request.body(Empty::<hyper::body::Bytes>::new()).map_err(|error| error.to_string())?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(words)?;
            let status = i64::from(response.status().as_u16());
            if status == 200 {
                return Ok(Reach::Http { status, message: String::new() });
            }
            let mut body = response.into_body();
            let mut bytes = Vec::new();
            while let Some(Ok(frame)) = body.frame().await {
                bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                if bytes.len() >= BODY_READ {
                    break;
                }
            }
            Ok(Reach::Http { status, message: words_of(&bytes, get.token) })
        };
        // The connection makes progress only while it is polled, and may end before the answer is taken.
        let (mut connection, mut answer) = (std::pin::pin!(connection), std::pin::pin!(answer));
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            _ = &mut connection => answer.await,
        }
    }
}

/// The beginning of a refusal, on one line, without our own token. Of a Status object its message.
fn words_of(body: &[u8], token: Option<&HeaderValue>) -> String {
    let text = String::from_utf8_lossy(body);
    let status: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let text =
        status.and_then(|status| status["message"].as_str().map(str::to_owned)).unwrap_or(text.into_owned());
    let token = token.and_then(|token| token.to_str().ok()?.strip_prefix("Bearer ").map(str::to_owned));
    let text = match token.filter(|token| !token.is_empty()) {
        Some(token) => text.replace(&token, crate::source::redact::sweep::MASKED),
        None => text,
    };
    let (text, _) = crate::source::redact::message(text.trim());
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(BODY_KEPT).collect()
}

/// What an error of a connection is.
fn of_io(error: &io::Error) -> Reach {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(tls) = tls {
        return Reach::Tls(tls_words(tls));
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Reach::Refused,
        io::ErrorKind::TimedOut => Reach::TimedOut,
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::NetworkDown
        // What iptables' REJECT with `icmp-admin-prohibited` comes to.
        | io::ErrorKind::PermissionDenied => Reach::NoRoute,
        _ => Reach::Failed(error.to_string()),
    }
}

/// What TLS failed with, in the words of Go's `crypto/x509` where it has some.
fn tls_words(error: &rustls::Error) -> String {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage as Message};
    match error {
        InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "certificate signed by unknown authority".to_owned()
        }
        InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => "certificate has expired or is not yet valid".to_owned(),
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "certificate is not valid for this address".to_owned(),
        AlertReceived(alert) => format!("remote error: {alert:?}"),
        Message(InvalidMessage::InvalidContentType) => {
            "first record does not look like a TLS handshake".to_owned()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_token_never_comes_back() {
        let token = HeaderValue::from_static("Bearer abcdef0123456789");
        let words = words_of(b"you sent\n abcdef0123456789, which is wrong", Some(&token));
        assert_eq!(words, "you sent <masked>, which is wrong");
    }

    #[test]
    fn a_status_object_is_told_by_its_message() {
        let body = br#"{"kind":"Status","message":"Unauthorized","code":401}"#;
        assert_eq!(words_of(body, None), "Unauthorized");
    }

    #[test]
    fn addresses_are_read_with_and_without_brackets() {
        let read = |text| Target::parse(text).map(|target| (target.host, target.port));
        assert_eq!(read("10.0.0.1:6443"), Some(("10.0.0.1".to_owned(), 6443)));
        assert_eq!(read("[fd00::1]:443"), Some(("fd00::1".to_owned(), 443)));
        assert_eq!(read("10.0.0.1"), None);
    }

    #[tokio::test]
    async fn loopback_is_never_dialled() {
        let target = Target { host: "127.0.0.1".to_owned(), port: 1 };
        assert!(matches!(target.knock().await, Reach::Failed(_)));
    }
}
