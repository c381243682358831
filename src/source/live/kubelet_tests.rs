#![expect(clippy::unwrap_used, reason = "a test may")]

use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio_rustls::rustls::{ALL_VERSIONS, version};

use super::*;
use crate::source::testing::{Behaviour, Pki, Server, config, demanding, without_certificate};

fn loopback() -> Host {
    "127.0.0.1".parse().unwrap()
}

async fn shaken(server: &Server) -> Outcome {
    handshake_with(&[server.address], &loopback(), server.address.port()).await
}

#[tokio::test]
async fn a_handshake_records_the_chain_and_sends_nothing() {
    let pki = Pki::new();
    let pair = pki.pair(&["10.0.0.7"]);
    for versions in [ALL_VERSIONS, &[&version::TLS12]] {
        let server = Server::start_silent(config(&pair, Some(&pki), versions)).await;
        let Outcome::Certificates { chain_der_base64, unproven: None } = shaken(&server).await else {
            panic!()
        };
        assert_eq!(STANDARD.decode(&chain_der_base64[0]).unwrap(), pair.der.to_vec());
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(server.application_bytes.load(Ordering::SeqCst), 0);
        assert_eq!(server.client_certificates.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn a_kubelet_that_demands_a_certificate_still_shows_its_own() {
    let pki = Pki::new();
    let pair = pki.pair(&["10.0.0.7"]);
    let server = Server::start_silent(demanding(&pair, &pki, &[&version::TLS13])).await;
    assert!(matches!(shaken(&server).await, Outcome::Certificates { .. }));
    let server = Server::start_silent(demanding(&pair, &pki, &[&version::TLS12])).await;
    match shaken(&server).await {
        Outcome::TlsAlert { chain_der_base64, .. } => assert_eq!(chain_der_base64.len(), 1),
        other => panic!("{other:?}"),
    }
}

/// Answers a connection with these bytes and closes or waits.
async fn raw(bytes: &'static [u8], wait: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = tokio::io::AsyncReadExt::read(&mut tcp, &mut [0; 1024]).await;
                let _ = tcp.write_all(bytes).await;
                if wait {
                    tokio::time::sleep(Duration::from_mins(1)).await;
                }
            });
        }
    });
    address
}

async fn raw_handshake(bytes: &'static [u8]) -> Outcome {
    let address = raw(bytes, false).await;
    handshake_with(&[address], &loopback(), address.port()).await
}

#[tokio::test]
async fn an_alert_is_recorded_by_its_name() {
    // What Go sends when a kubelet has no certificate yet: fatal (2), internal_error (80).
    let go = raw_handshake(&[0x15, 3, 3, 0, 2, 2, 80]).await;
    assert_eq!(go, Outcome::TlsAlert { alert: "internal_error".to_owned(), chain_der_base64: Vec::new() });
    // rustls's server calls the same fault access_denied.
    let server = Server::start_silent(without_certificate()).await;
    assert!(matches!(shaken(&server).await, Outcome::TlsAlert { .. }));
    assert_eq!(alert_name(AlertDescription::UnknownCA), "unknown_ca");
    assert_eq!(alert_name(AlertDescription::CertificateRequired), "certificate_required");
    assert_eq!(alert_name(AlertDescription::HandshakeFailure), "handshake_failure");
    assert_eq!(alert_name(AlertDescription::Unknown(7)), "unknown_7");
}

#[tokio::test]
async fn a_peer_without_tls_is_said_to_be_one() {
    assert_eq!(raw_handshake(b"HTTP/1.1 400 Bad Request\r\n\r\n").await, Outcome::NotTls);
    assert_eq!(raw_handshake(b"SSH-2.0-OpenSSH_9.9\r\n").await, Outcome::NotTls);
    let closed = raw_handshake(b"").await;
    assert!(matches!(closed, Outcome::Failed { kind: FailureKind::Reset, .. }), "{closed:?}");
}

#[tokio::test]
async fn a_closed_port_and_a_stalled_peer_are_told_apart() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = handshake_with(&[address], &loopback(), address.port()).await;
    assert!(matches!(refused, Outcome::Failed { kind: FailureKind::Refused, .. }), "{refused:?}");
    let address = raw(b"", true).await;
    let start = Instant::now();
    let (addresses, host) = ([address], loopback());
    let (stalled, get) = tokio::join!(
        handshake_with(&addresses, &host, address.port()),
        get_from(&addresses, &host, address.port()),
    );
    assert!(matches!(stalled, Outcome::Failed { kind: FailureKind::TimedOut, .. }), "{stalled:?}");
    assert!(matches!(get, Outcome::Failed { kind: FailureKind::TimedOut, .. }), "{get:?}");
    assert!(start.elapsed() < WHOLE_LIMIT + Duration::from_secs(2));
}

#[tokio::test]
async fn an_anonymous_get_keeps_the_status_alone() {
    let pki = Pki::new();
    let server =
        Server::start(&pki, Behaviour::Answer(|_, _| (401, &[("x", "y")], b"Unauthorized".to_vec()))).await;
    let outcome = get_from(&[server.address], &loopback(), server.address.port()).await;
    assert_eq!(
        outcome,
        Outcome::Response { status: 401, content_type: String::new(), date: None, body: Body::None }
    );
    let asked = server.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].method.as_str(), asked[0].path.as_str()), ("GET", "/healthz"));
    assert!(!asked[0].headers.contains_key("authorization"));
    assert_eq!(server.client_certificates.load(Ordering::SeqCst), 0);
    for behaviour in [Behaviour::Cut, Behaviour::Flood] {
        let server = Server::start(&pki, behaviour).await;
        let outcome = get_from(&[server.address], &loopback(), server.address.port()).await;
        assert!(matches!(outcome, Outcome::Response { status: 200, body: Body::None, .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn only_healthz_is_asked() {
    let address: Host = "10.255.255.1".parse().unwrap();
    for path in ["/pods", "/healthz/x", "/run/a/b/c", "", "/healthz?x"] {
        let outcome = anonymous_get(&address, 10250, path).await;
        assert!(matches!(outcome, Outcome::Failed { kind: FailureKind::Blocked, .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn what_is_not_a_node_is_never_dialled() {
    for text in [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "::",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "fe80::1",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "localhost",
    ] {
        let host: Host = text.parse().unwrap();
        for outcome in [handshake(&host, 10250).await, anonymous_get(&host, 10250, KUBELET_PATH).await] {
            assert!(
                matches!(outcome, Outcome::Failed { kind: FailureKind::Blocked, .. }),
                "{text}: {outcome:?}"
            );
        }
    }
    for text in ["127.1", "0x7f000001", "2130706433", "a b", "", "a/b", "-a", "a..b", "user@host"] {
        assert!(text.parse::<Host>().is_err(), "{text}");
    }
    for text in
        ["10.0.0.1", "172.18.0.2", "192.168.1.1", "100.64.0.1", "fd00::1", "2001:db8::1", "::ffff:10.0.0.1"]
    {
        assert!(!is_forbidden(text.parse().unwrap()), "{text}");
    }
}

#[test]
fn one_forbidden_address_of_a_name_forbids_the_name() {
    let host: Host = "node.example".parse().unwrap();
    let good: SocketAddr = "10.0.0.1:10250".parse().unwrap();
    let bad: SocketAddr = "169.254.169.254:10250".parse().unwrap();
    assert!(permitted(&host, 10250, vec![good]).is_ok());
    assert_eq!(permitted(&host, 10250, vec![good, bad]).unwrap_err().kind, FailureKind::Blocked);
    assert_eq!(permitted(&host, 10250, vec![]).unwrap_err().kind, FailureKind::Dns);
    assert_eq!(permitted(&host, 0, vec![good]).unwrap_err().kind, FailureKind::Blocked);
}
