//! Kubelets, seen from here: the certificate, and whether they answer somebody without a credential.
//!
//! A node's address comes from the API and may be anybody's, so nothing is sent that could be worth anything: no
//! credential, no client certificate, no application data in a handshake. The verifier trusts nobody; it only records
//! the chain, and still checks the handshake's signature, by which the peer proves that it holds the certificate's
//! key. Loopback, link-local, multicast and unspecified addresses are never dialled, in no spelling. The way is direct,
//! as metrics-server's is; no proxy is used.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, AlertDescription, InvalidMessage};

use super::any_server::{Witness, connector};
use super::stack::{Failure, io_kind};
use crate::source::guard::KUBELET_PATH;
use crate::source::observation::{Body, FailureKind, Outcome};
use crate::source::request::{Host, authority};

/// How long a TCP connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// How long all of it may take.
const WHOLE_LIMIT: Duration = Duration::from_secs(5);
/// How many certificates are recorded of one peer.
const CHAIN_LIMIT: usize = 16;

/// Whether this address is one that is never dialled.
pub(crate) fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || address.octets()[0] == 0
        }
        IpAddr::V6(address) => {
            let parts = address.segments();
            let low = || Ipv4Addr::from((u32::from(parts[6]) << 16) | u32::from(parts[7]));
            // ::ffff:0:0/96 is IPv4, as is the old ::/96, which holds :: and ::1; 64:ff9b::/96 is translated to it.
            let is_v4 = parts[..5] == [0; 5] && (parts[5] == 0xffff || parts[5] == 0)
                || parts[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unicast_link_local()
                || is_v4 && is_forbidden(low().into())
        }
    }
}

/// One handshake.
pub(super) async fn handshake(address: &Host, port: u16) -> Outcome {
    match reach(address, port).await {
        Err(failure) => failed(failure),
        Ok(addresses) => handshake_with(&addresses, address, port).await,
    }
}

/// GET `/healthz`, of which only the status is kept.
pub(super) async fn anonymous_get(address: &Host, port: u16, path: &str) -> Outcome {
    if path != KUBELET_PATH {
        let message =
            format!("refused before it was sent: a kubelet is asked for {KUBELET_PATH} and nothing else");
        return failed(Failure::new(FailureKind::Blocked, message));
    }
    match reach(address, port).await {
        Err(failure) => failed(failure),
        Ok(addresses) => get_from(&addresses, address, port).await,
    }
}

fn failed(Failure { kind, message }: Failure) -> Outcome {
    Outcome::Failed { kind, message }
}

/// Resolves a name and refuses it when any of its addresses is forbidden.
async fn reach(host: &Host, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    let addresses: Vec<SocketAddr> = match host {
        Host::Ip(address) => vec![SocketAddr::new(*address, port)],
        Host::Name(name) => {
            let found = timeout(CONNECT_LIMIT, tokio::net::lookup_host((name.as_str(), port))).await;
            let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            let found = found.map_err(|error| {
                Failure::new(FailureKind::Dns, format!("the name {name} could not be resolved: {error}"))
            })?;
            found.take(8).collect()
        }
    };
    permitted(host, port, addresses)
}

fn permitted(host: &Host, port: u16, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Failure> {
    if port == 0 {
        return Err(Failure::new(FailureKind::Blocked, format!("{host} has port 0, which is no port")));
    }
    if addresses.is_empty() {
        return Err(Failure::new(FailureKind::Dns, format!("the name {host} has no address")));
    }
    if let Some(bad) = addresses.iter().find(|address| is_forbidden(address.ip())) {
        let message = format!(
            "not dialled: {} of {host} is a loopback, link-local, multicast or unspecified address, which from here \
             is not the node",
            bad.ip()
        );
        return Err(Failure::new(FailureKind::Blocked, message));
    }
    Ok(addresses)
}

async fn connect(addresses: &[SocketAddr], target: &str) -> Result<TcpStream, Failure> {
    let attempts = async {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    match timeout(CONNECT_LIMIT, attempts).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(Failure::new(
            io_kind(error.kind()).unwrap_or(FailureKind::Other),
            format!("{target}: {error}"),
        )),
        Err(_) => Err(Failure::new(
            FailureKind::TimedOut,
            format!("{target}: no connection within {} seconds", CONNECT_LIMIT.as_secs()),
        )),
    }
}

/// Records the chain, as base64 of DER.
#[derive(Debug, Default)]
struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    fn chain(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Witness for Recorder {
    fn see(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _now: UnixTime,
    ) {
        let chain = std::iter::once(leaf).chain(intermediates).take(CHAIN_LIMIT);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            chain.map(|one| STANDARD.encode(one)).collect();
    }
}

/// As Go does it: a name is sent as SNI, an address is not.
fn server_name(host: &Host) -> Result<ServerName<'static>, Failure> {
    match host {
        Host::Ip(address) => Ok(ServerName::IpAddress((*address).into())),
        Host::Name(name) => ServerName::try_from(name.clone())
            .map_err(|_| Failure::new(FailureKind::Other, format!("{name} is no name that TLS can carry"))),
    }
}

/// A handshake that was begun, with what was seen of the peer whether or not it came to its end.
struct Seen {
    chain: Vec<String>,
    stream: Result<TlsStream<TcpStream>, io::Error>,
}

async fn shake(addresses: &[SocketAddr], host: &Host, target: &str) -> Result<Seen, Failure> {
    let tcp = connect(addresses, target).await?;
    shake_on(tcp, host).await
}

async fn shake_on(tcp: TcpStream, host: &Host) -> Result<Seen, Failure> {
    let recorder = Arc::<Recorder>::default();
    let connector = connector(&recorder, &[])
        .map_err(|error| Failure::new(FailureKind::Other, format!("TLS cannot be set up: {error}")))?;
    let stream = connector.connect(server_name(host)?, tcp).await;
    Ok(Seen { chain: recorder.chain(), stream })
}

/// A handshake on a connection that stands, with whoever it is; nothing is sent but what a handshake takes.
pub async fn recorded_handshake(tcp: TcpStream, host: &Host, port: u16) -> Outcome {
    let target = authority(host, port);
    finished(shake_on(tcp, host), &target).await
}

async fn handshake_with(addresses: &[SocketAddr], host: &Host, port: u16) -> Outcome {
    let target = authority(host, port);
    finished(shake(addresses, host, &target), &target).await
}

/// What a handshake comes to.
async fn finished(shake: impl Future<Output = Result<Seen, Failure>>, target: &str) -> Outcome {
    let seen = async {
        let mut seen = shake.await?;
        if let Ok(stream) = &mut seen.stream {
            // A close_notify; whether it arrives changes nothing that was seen.
            let _ = timeout(Duration::from_millis(200), stream.shutdown()).await;
        }
        Ok(seen)
    };
    match timeout(WHOLE_LIMIT, seen).await {
        Err(_) => failed(no_handshake(target)),
        Ok(Err(failure)) => failed(failure),
        Ok(Ok(Seen { chain, stream: Ok(_) })) => {
            Outcome::Certificates { chain_der_base64: chain, unproven: None }
        }
        Ok(Ok(Seen { chain, stream: Err(error) })) => broken(chain, &error, target),
    }
}

fn no_handshake(target: &str) -> Failure {
    let message = format!("{target}: no complete answer within {} seconds", WHOLE_LIMIT.as_secs());
    Failure::new(FailureKind::TimedOut, message)
}

/// What a handshake that failed says.
fn broken(chain: Vec<String>, error: &io::Error, target: &str) -> Outcome {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::AlertReceived(alert)) => {
            Outcome::TlsAlert { alert: alert_name(*alert), chain_der_base64: chain }
        }
        // The peer showed a certificate that could not be used, by a key that ring does not know, for one.
        Some(tls) if !chain.is_empty() => {
            Outcome::Certificates { chain_der_base64: chain, unproven: Some(tls.to_string()) }
        }
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => Outcome::NotTls,
        Some(tls) => failed(Failure::new(FailureKind::Tls, format!("{target}: {tls}"))),
        None => failed(Failure::new(
            io_kind(error.kind()).unwrap_or(FailureKind::Other),
            format!("{target}: {error}"),
        )),
    }
}

/// The name as RFC 8446 spells it. rustls writes `InternalError`, and two names in its own way.
fn alert_name(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA => "unknown_ca".to_owned(),
        AlertDescription::UnrecognisedName => "unrecognized_name".to_owned(),
        AlertDescription::UnknownPSKIdentity => "unknown_psk_identity".to_owned(),
        AlertDescription::Unknown(code) => format!("unknown_{code}"),
        other => format!("{other:?}").char_indices().fold(String::new(), |mut name, (index, letter)| {
            if letter.is_ascii_uppercase() && index > 0 {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
            name
        }),
    }
}

async fn get_from(addresses: &[SocketAddr], host: &Host, port: u16) -> Outcome {
    let target = authority(host, port);
    let exchange = async {
        let Seen { chain, stream } = shake(addresses, host, &target).await?;
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => return Ok(broken(chain, &error, &target)),
        };
        let lost = |error: hyper::Error| {
            // A peer that demands a client certificate says so in an alert after the handshake, with TLS 1.3.
            let io = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<io::Error>());
            match io {
                Some(io) => broken(Vec::new(), io, &target),
                None => failed(Failure::new(FailureKind::Reset, format!("{target}: {error}"))),
            }
        };
        let (mut sender, connection) = match hyper::client::conn::http1::handshake(TokioIo::new(stream)).await
        {
            Ok(pair) => pair,
            Err(error) => return Ok(lost(error)),
        };
        let request = http::Request::get(KUBELET_PATH)
            .header(http::header::HOST, &target)
            .header(http::header::CONNECTION, "close")
            .body(Empty::<hyper::body::Bytes>::new())
            .map_err(|error| Failure::new(FailureKind::Other, error.to_string()))?;
        let answer = sender.send_request(request);
        // The connection makes progress only while it is polled, and may end before the answer is taken.
        let (answer, broke) = drive(connection, answer).await;
        Ok(match answer {
            Ok(response) => Outcome::Response {
                status: response.status().as_u16(),
                content_type: String::new(),
                date: None,
                body: Body::None,
            },
            Err(error) => lost(broke.unwrap_or(error)),
        })
    };
    match timeout(WHOLE_LIMIT, exchange).await {
        Err(_) => failed(no_handshake(&target)),
        Ok(Err(failure)) => failed(failure),
        Ok(Ok(outcome)) => outcome,
    }
}

/// Polls the connection beside the answer, and says with what error the connection ended, if it did.
async fn drive<T>(
    connection: impl Future<Output = Result<(), hyper::Error>>,
    answer: impl Future<Output = Result<T, hyper::Error>>,
) -> (Result<T, hyper::Error>, Option<hyper::Error>) {
    let (mut connection, mut answer) = (std::pin::pin!(connection), std::pin::pin!(answer));
    tokio::select! {
        biased;
        answer = &mut answer => (answer, None),
        ended = &mut connection => (answer.await, ended.err()),
    }
}

#[cfg(test)]
#[path = "kubelet_tests.rs"]
mod tests;
