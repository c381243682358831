#![expect(clippy::unwrap_used, reason = "a test may")]

use std::sync::atomic::Ordering;

use tokio_rustls::rustls::ALL_VERSIONS;

use super::super::tests::live_at;
use super::*;
use crate::source::testing::{Behaviour, Pki, Server, config, without_certificate};

const PATH: &str = "/apis/metrics.k8s.io/v1beta1";

/// What came of asking this server with a kubeconfig that names another, and how many bytes it was sent under TLS.
async fn asked(server: &Server, kubeconfig: &str, trusted: &Pki) -> (Result<u16, FailureKind>, u32) {
    let live = live_at(kubeconfig, trusted, trusted).await;
    let answer = live.instances.get_at(&server.address.to_string(), PATH).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let came = answer.map(|answer| answer.status).map_err(|failure| {
        assert!(!failure.message.contains("5ecret"), "{}", failure.message);
        failure.kind
    });
    (came, server.application_bytes.load(Ordering::SeqCst))
}

#[tokio::test]
async fn who_proves_to_be_of_the_cluster_is_asked_with_the_credential() {
    let pki = Pki::new();
    // By its address, and by the name in the kubeconfig, for which a load balancer stands.
    for (names, kubeconfig) in [
        (["127.0.0.1"], "https://api.example.org:6443"),
        (["api.example.org"], "https://api.example.org:6443"),
    ] {
        let tls = config(&pki.pair(&names), None, ALL_VERSIONS);
        let server = Server::start_as(tls, Behaviour::Answer(|_, _| (404, &[], Vec::new()))).await;
        let (came, _) = asked(&server, kubeconfig, &pki).await;
        assert_eq!(came, Ok(404), "{names:?}");
        let [request] = &server.requests()[..] else { panic!("{:?}", server.requests()) };
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", PATH));
        assert_eq!(request.headers["authorization"], "Bearer canary-5ecret");
    }
}

#[tokio::test]
async fn who_refuses_without_trying_is_asked_again_and_not_for_ever() {
    const TRIED: &[u8] = b"error trying to reach service: context deadline exceeded";
    let pki = Pki::new();
    let kubeconfig = "https://api.example.org:6443";
    for (answer, requests) in [
        // It tried the third time.
        (Behaviour::Answer(|n, _| (503, &[], if n < 3 { Vec::new() } else { TRIED.to_vec() })), 3),
        (Behaviour::Answer(|_, _| (503, &[], b"service unavailable".to_vec())), 4),
        (Behaviour::Answer(|_, _| (503, &[], TRIED.to_vec())), 1),
        (Behaviour::Answer(|_, _| (500, &[], Vec::new())), 1),
    ] {
        let tls = config(&pki.pair(&["127.0.0.1"]), None, ALL_VERSIONS);
        let server = Server::start_as(tls, answer).await;
        let (came, _) = asked(&server, kubeconfig, &pki).await;
        assert!(matches!(came, Ok(503 | 500)), "{came:?}");
        assert_eq!(server.requests().len(), requests);
    }
}

#[tokio::test]
async fn nobody_else_is_sent_anything() {
    let (pki, other) = (Pki::new(), Pki::new());
    let names = ["127.0.0.1", "api.example.org"];
    for (what, tls) in [
        ("a certificate of another CA", config(&other.pair(&names), None, ALL_VERSIONS)),
        ("a certificate for somebody else", config(&pki.pair(&["10.0.0.9", "kubelet"]), None, ALL_VERSIONS)),
        ("no certificate", without_certificate()),
    ] {
        let server = Server::start_silent(tls).await;
        let (came, bytes) = asked(&server, "https://api.example.org:6443", &pki).await;
        assert_eq!((came, bytes), (Err(FailureKind::Tls), 0), "{what}");
        assert_eq!(server.client_certificates.load(Ordering::SeqCst), 0, "{what}");
    }
}

#[tokio::test]
async fn nobody_is_asked_where_the_kubeconfig_verifies_nothing() {
    let pki = Pki::new();
    let server = Server::start_silent(config(&pki.pair(&["127.0.0.1"]), None, ALL_VERSIONS)).await;
    for kubeconfig in ["http://api.example.org:8080", "https://api.example.org:6443/clusters/a"] {
        let (came, bytes) = asked(&server, kubeconfig, &pki).await;
        assert_eq!((came, bytes), (Err(FailureKind::Blocked), 0), "{kubeconfig}");
    }
}

#[tokio::test]
async fn an_address_of_this_machine_is_never_asked() {
    let pki = Pki::new();
    let live = live_at("https://api.example.org:6443", &pki, &pki).await;
    for address in ["127.0.0.1", "169.254.169.254", "::1", "api.example.org"] {
        let host: Host = address.parse().unwrap();
        let failure = live.instances.get(&host, 6443, PATH).await.map(|_| ()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Blocked, "{address}");
    }
}
