#![expect(clippy::unwrap_used, reason = "a test may")]

use std::sync::atomic::Ordering;
use std::time::Instant;

use serde_json::json;

use super::*;
use crate::source::testing::{Asked, Behaviour, Directory, Given, Pki, Server};
use crate::source::{Recording, Source};

fn environment() -> Environment {
    Environment {
        variables: BTreeMap::new(),
        service_account: PathBuf::from("/nonexistent"),
        exec_limit: Duration::from_secs(1),
    }
}

/// A source for this server with a token and a client certificate.
async fn live(server: &Server, trusted: &Pki, issuer: &Pki) -> Live {
    live_at(&format!("https://{}", server.address), trusted, issuer).await
}

pub(super) async fn live_at(url: &str, trusted: &Pki, issuer: &Pki) -> Live {
    live_within(Duration::from_secs(10), url, trusted, issuer).await
}

async fn live_within(timeout: Duration, url: &str, trusted: &Pki, issuer: &Pki) -> Live {
    let directory = Directory::new();
    let pair = issuer.pair(&["user"]);
    directory.file("ca", trusted.ca_pem());
    directory.file("cert", &pair.pem);
    directory.file("key", pair.key.serialize_pem());
    let config = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u, namespace: ns}}}}]\n\
         clusters: [{{name: k, cluster: {{server: '{url}', certificate-authority: ca}}}}]\n\
         users: [{{name: u, user: {{token: canary-5ecret, client-certificate: cert, client-key: key}}}}]\n"
    );
    let kubeconfig = Some(directory.file("config", config));
    let options = ConnectOptions { kubeconfig, timeout, ..ConnectOptions::default() };
    Live::connect_in(options, &environment()).await.unwrap()
}

async fn with(answer: fn(u32, &Asked) -> Given) -> (Server, Live) {
    let pki = Pki::new();
    let server = Server::start(&pki, Behaviour::Answer(answer)).await;
    let live = live(&server, &pki, &pki).await;
    (server, live)
}

fn failure(observation: &Observation) -> (FailureKind, &str) {
    match &observation.outcome {
        Outcome::Failed { kind, message } => {
            assert!(!message.contains("5ecret"), "{message}");
            (*kind, message)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn status_headers_and_body_are_kept_and_503_is_not_repeated() {
    let (server, live) = with(|_, _| {
        let status = json!({"kind": "Status", "message": "the server is currently unable to handle the request", "code": 503});
        let headers = &[("content-type", "application/json; charset=utf-8"), ("date", "Fri, 20 Nov 2026 12:00:00 GMT")];
        (503, headers, status.to_string().into_bytes())
    })
    .await;
    let seen = live.ask(Request::get("/apis/metrics.k8s.io/v1beta1")).await;
    let Outcome::Response { status, content_type, date, .. } = &seen.outcome else { panic!("{seen:?}") };
    assert_eq!((*status, content_type.as_str()), (503, "application/json"));
    assert_eq!(date.unwrap().to_string(), "2026-11-20T12:00:00Z");
    assert_eq!(seen.status_object().unwrap()["code"], 503);
    let asked = server.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].headers["authorization"], "Bearer canary-5ecret");
    assert!(!asked[0].headers.contains_key("upgrade"));
    // The Date of an aggregated server is not the API server's.
    assert_eq!(live.clock_offset(), None);
}

#[tokio::test]
async fn a_plain_text_error_stays_text() {
    let (_server, live) =
        with(|_, _| (502, &[("content-type", "text/plain")], b"error trying to reach service".to_vec()))
            .await;
    let seen = live.ask(Request::get("/apis/metrics.k8s.io/v1beta1/nodes")).await;
    assert_eq!(seen.response(), Some((502, &Body::Text("error trying to reach service".to_owned()))));
}

#[tokio::test]
async fn the_same_request_is_asked_once() {
    let (server, live) = with(|number, _| {
        (
            200,
            &[("date", "Fri, 20 Nov 2026 12:00:00 GMT")],
            json!({"major": number.to_string()}).to_string().into_bytes(),
        )
    })
    .await;
    assert!(live.now() > "2026-01-01T00:00:00Z".parse().unwrap());
    let version = Request::get("/version");
    let (first, second) = tokio::join!(live.ask(version.clone()), live.ask(version.clone()));
    assert_eq!(first, second);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(live.now().to_string(), "2026-11-20T12:00:00Z");
    assert!(live.clock_offset().is_some());
    assert_eq!(live.ask(version.clone()).await, first);
    assert_eq!(server.requests().len(), 1);

    // A recording of it takes the same way and is written with the same bytes again.
    let source = Source::from(live);
    let recording = source.recording([("mode".to_owned(), "check".to_owned())].into());
    let bytes = recording.to_bytes().unwrap();
    let read = Recording::from_reader(bytes.as_slice()).unwrap();
    assert_eq!(read, recording);
    assert_eq!(read.to_bytes().unwrap(), bytes);
    let replay = Source::from(read);
    assert_eq!(replay.now(), source.now());
    assert_eq!(replay.clock_offset(), source.clock_offset());
    assert_eq!(replay.context_namespace(), Some("ns"));
    assert_eq!(replay.ask(version.clone()).await, first);
    assert_eq!(replay.observations(), source.observations());
    let lacking = replay.ask(Request::get("/apis")).await;
    assert_eq!(lacking.outcome, Outcome::NotRecorded);
    assert_eq!(replay.recording(recording.header.arguments.clone()).to_bytes().unwrap(), bytes);
}

#[tokio::test]
async fn a_watcher_is_told_of_each_answer_once() {
    static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let pki = Pki::new();
    let server = Server::start(&pki, Behaviour::Answer(|_, _| (200, &[], b"{}".to_vec()))).await;
    let mut live = live(&server, &pki, &pki).await;
    live.watcher = Watcher::new(|seen| lock(&TOLD).push(seen.request.key()));
    for path in ["/version", "/apis", "/version"] {
        live.ask(Request::get(path)).await;
    }
    assert_eq!(*lock(&TOLD), ["GET /version", "GET /apis"]);
}

#[tokio::test]
async fn a_credential_that_comes_back_is_masked() {
    let (server, live) = with(|_, asked| match asked.path.as_str() {
        "/api" => (200, &[("content-type", "canary-5ecret")], b"canary-5ecret is known".to_vec()),
        _ => (401, &[], json!({"kind": "Status", "message": "no canary-5ecret"}).to_string().into_bytes()),
    })
    .await;
    let text = live.ask(Request::get("/api")).await;
    assert_eq!(text.response(), Some((200, &Body::Text("<masked> is known".to_owned()))));
    let status = live.ask(Request::get("/version")).await;
    assert_eq!(status.status_object().unwrap()["message"], "no <masked>");
    assert!(!format!("{text:?}{status:?}").contains("5ecret"));
    assert_eq!((live.masked(), server.requests().len()), (3, 2));
}

#[tokio::test]
async fn too_many_requests_is_asked_again_twice() {
    let (server, live) = with(|number, _| match number {
        1 | 2 => (429, &[("retry-after", "0")], Vec::new()),
        _ => (200, &[], b"{}".to_vec()),
    })
    .await;
    assert!(live.ask(Request::get("/version")).await.json().is_some());
    assert_eq!(server.requests().len(), 3);
    let (server, live) = with(|_, _| (429, &[("retry-after", "0")], Vec::new())).await;
    assert_eq!(live.ask(Request::get("/version")).await.response(), Some((429, &Body::None)));
    assert_eq!(server.requests().len(), 3);
    let header = |value| [(RETRY_AFTER, http::HeaderValue::from_static(value))].into_iter().collect();
    assert_eq!(retry_after(&header("3600")), RETRY_WAIT);
    assert_eq!(retry_after(&header("soon")), Duration::from_secs(1));
}

#[tokio::test]
async fn stalls_floods_and_cuts_end() {
    let pki = Pki::new();
    let start = Instant::now();
    for (behaviour, kinds) in [
        (Behaviour::Stall, &[FailureKind::TimedOut][..]),
        // Which of the two limits a flood meets first depends on the machine.
        (Behaviour::Flood, &[FailureKind::Other, FailureKind::TimedOut]),
        (Behaviour::Cut, &[FailureKind::Reset]),
    ] {
        let server = Server::start(&pki, behaviour).await;
        let url = format!("https://{}", server.address);
        let live = live_within(Duration::from_millis(800), &url, &pki, &pki).await;
        let seen = live.ask(Request::get("/version")).await;
        assert!(kinds.contains(&failure(&seen).0), "{behaviour:?}: {seen:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[tokio::test]
async fn compressed_answers_are_unpacked_and_bounded() {
    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    }
    let (_server, live) = with(|_, asked| match asked.path.as_str() {
        "/version" => (200, &[("content-encoding", "gzip")], packed(b"{\"major\":\"1\"}")),
        "/api" => (200, &[("content-encoding", "gzip")], packed(&vec![b' '; stack::BODY_LIMIT + 1])),
        _ => (200, &[("content-encoding", "gzip")], b"no gzip".to_vec()),
    })
    .await;
    assert_eq!(live.ask(Request::get("/version")).await.json().unwrap()["major"], "1");
    assert_eq!(
        failure(&*live.ask(Request::get("/api")).await),
        (FailureKind::Other, "the answer is larger than 64 MiB")
    );
    assert!(failure(&*live.ask(Request::get("/apis")).await).1.contains("gzip"));
}

#[tokio::test]
async fn an_untrusted_server_is_named_with_the_reason() {
    let pki = Pki::new();
    let server = Server::start(&pki, Behaviour::Answer(|_, _| (200, &[], Vec::new()))).await;
    let wrong = live(&server, &Pki::new(), &pki).await;
    let seen = wrong.ask(Request::get("/version")).await;
    let (kind, message) = failure(&seen);
    assert_eq!(kind, FailureKind::Tls);
    assert!(message.contains("was not accepted") && message.contains("certificate authority"), "{message}");
    assert!(message.contains("UnknownIssuer") || message.contains("BadSignature"), "{message}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_wrong_name_a_closed_port_and_an_unknown_name_are_told_apart() {
    let pki = Pki::new();
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let seen = live_at(&format!("https://{closed}"), &pki, &pki).await.ask(Request::get("/version")).await;
    assert_eq!(failure(&seen).0, FailureKind::Refused);
    let seen = live_at("https://nowhere.invalid:6443", &pki, &pki).await.ask(Request::get("/version")).await;
    assert!(matches!(failure(&seen).0, FailureKind::Dns | FailureKind::TimedOut), "{seen:?}");
    let server = Server::start(&pki, Behaviour::Answer(|_, _| (200, &[], Vec::new()))).await;
    let other = server.address.to_string().replace("127.0.0.1", "127.0.0.2");
    // 127.0.0.2 is the loopback as well where the system has all of 127.0.0.0/8; the server does not listen there.
    let seen = live_at(&format!("https://{other}"), &pki, &pki).await.ask(Request::get("/version")).await;
    assert!(matches!(failure(&seen).0, FailureKind::Refused | FailureKind::Unreachable), "{seen:?}");
}

#[tokio::test]
async fn without_a_credential_means_without_any() {
    let (server, live) = with(|_, asked| {
        assert!(!asked.path.contains("refused"));
        let review = json!({"kind": "SelfSubjectAccessReview", "spec": {"x": "canary-5ecret"}, "status": {"allowed": false}});
        (201, &[], review.to_string().into_bytes())
    })
    .await;
    let review = json!({"kind": "SelfSubjectAccessReview", "spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}});
    let seen = live.ask(Request::anonymous_access_review(review.clone())).await;
    assert_eq!(
        seen.json().unwrap(),
        &json!({"kind": "SelfSubjectAccessReview", "status": {"allowed": false}})
    );
    let asked = server.requests();
    assert!(!asked[0].headers.contains_key("authorization"));
    assert_eq!(serde_json::from_slice::<Value>(&asked[0].body).unwrap(), review);
    assert_eq!(server.client_certificates.load(Ordering::SeqCst), 0);
    // As the user, both.
    live.ask(Request::post(guard::ANONYMOUS_REVIEW, review)).await;
    assert_eq!(server.client_certificates.load(Ordering::SeqCst), 1);
    assert!(server.requests()[1].headers.contains_key("authorization"));
    let other = Request::AnonymousApi { method: Method::Get, path: "/refused".to_owned(), body: None };
    assert_eq!(failure(&*live.ask(other).await).0, FailureKind::Blocked);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn what_the_guard_refuses_never_leaves() {
    let (server, live) = with(|_, _| (200, &[], Vec::new())).await;
    for request in [
        Request::get("/api/v1/namespaces/a/secrets/b"),
        Request::get("/api/v1/nodes?watch=true"),
        Request::get("/api/v1/namespaces/a/pods/b/exec?command=sh"),
        Request::get("@elsewhere/version"),
        Request::get(".elsewhere/version"),
        Request::get(""),
        Request::post("/api/v1/nodes", json!({})),
        Request::Api { method: Method::Get, path: "/version".to_owned(), body: Some(json!({})) },
    ] {
        let seen = live.ask(request).await;
        assert_eq!(failure(&seen).0, FailureKind::Blocked);
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_server_below_a_path_is_asked_there() {
    let pki = Pki::new();
    let server = Server::start(&pki, Behaviour::Answer(|_, _| (200, &[], b"{}".to_vec()))).await;
    let live = live_at(&format!("https://{}/k8s/clusters/c-1", server.address), &pki, &pki).await;
    live.ask(Request::get("/api/v1/nodes?limit=500")).await;
    assert_eq!(server.requests()[0].path, "/k8s/clusters/c-1/api/v1/nodes?limit=500");
}

#[tokio::test]
async fn many_requests_share_few_connections() {
    let (server, live) = with(|_, _| (200, &[], b"{}".to_vec())).await;
    let live = Arc::new(live);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..100 {
        let live = Arc::clone(&live);
        tasks.spawn(async move { live.ask(Request::get(format!("/api/v1/nodes/n{number}"))).await });
    }
    while let Some(seen) = tasks.join_next().await {
        assert!(seen.unwrap().json().is_some());
    }
    assert_eq!(server.requests().len(), 100);
    assert!(server.client_certificates.load(Ordering::SeqCst) <= 16);
    let keys: Vec<_> = live.observations().iter().map(|seen| seen.request.key()).collect();
    assert!(keys.is_sorted());
}

#[tokio::test]
async fn kubelets_on_the_loopback_are_not_dialled() {
    let (server, live) = with(|_, _| (200, &[], Vec::new())).await;
    let address = server.address.ip();
    for request in [
        Request::handshake(address, server.address.port()),
        Request::kubelet_healthz(address, server.address.port()),
    ] {
        assert_eq!(failure(&*live.ask(request).await).0, FailureKind::Blocked);
    }
    assert!(server.requests().is_empty());
}

#[test]
fn offsets_are_whole_seconds() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    for (date, local, seconds) in [
        ("2026-11-20T12:00:00Z", "2026-11-20T12:00:00.001Z", 0),
        ("2026-11-20T12:00:00Z", "2026-11-20T12:00:00.999Z", 0),
        ("2026-11-20T12:00:07Z", "2026-11-20T12:00:00.5Z", 7),
        ("2026-11-20T12:00:00Z", "2026-11-20T12:01:00.5Z", -60),
    ] {
        assert_eq!(
            offset(at(date), at(local), at(local)),
            SignedDuration::from_secs(seconds),
            "{date} {local}"
        );
    }
}

#[tokio::test]
async fn a_dry_run_leaves_as_one_and_nothing_of_the_object_is_kept() {
    let (server, live) = with(|_, asked| {
        let refused = json!({"kind": "Status", "status": "Failure", "message": "denied", "reason": "Invalid", "code": 422});
        let given = json!({"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "secret"}});
        let (status, body) = if asked.path.contains("/bad?") { (422, refused) } else { (200, given) };
        (status, &[("content-type", "application/json")], body.to_string().into_bytes())
    })
    .await;
    let object = || json!({"kind": "ConfigMap", "data": {"a": "secret"}});
    let seen = live.ask(Request::dry_run("/api/v1/namespaces/shop/configmaps/good", object())).await;
    assert_eq!(seen.response(), Some((200, &Body::None)));
    let refused = live.ask(Request::dry_run("/api/v1/namespaces/shop/configmaps/bad", object())).await;
    assert_eq!(refused.status_object().unwrap()["message"], "denied");
    for path in [
        "/api/v1/namespaces/shop/configmaps/a?dryRun=",
        "/api/v1/namespaces/shop/pods/a/exec",
        "/api/v1/namespaces/shop/secrets/a",
        "/version",
    ] {
        let blocked = live.ask(Request::dry_run(path, object())).await;
        assert_eq!(failure(&blocked).0, FailureKind::Blocked, "{path}");
    }
    let asked = server.requests();
    let sent: Vec<&str> = asked.iter().map(|asked| asked.path.as_str()).collect();
    let query = "?dryRun=All&fieldManager=metrics-preflight&fieldValidation=Strict&force=true";
    let expected = ["good", "bad"].map(|name| format!("/api/v1/namespaces/shop/configmaps/{name}{query}"));
    assert_eq!(sent, expected);
    assert!(asked.iter().all(|asked| asked.method == "PATCH"));
    assert!(asked.iter().all(|asked| asked.headers["content-type"] == "application/apply-patch+yaml"));
    // Nothing else that is not a read can be asked for.
    assert!(super::guard::check("PATCH", "/api/v1/namespaces/shop/configmaps/good").is_err());
    let observations = live.observations();
    let recorded: String = observations.iter().map(|seen| serde_json::to_string(&**seen).unwrap()).collect();
    assert!(recorded.contains("configmaps/good") && !recorded.contains("secret\""), "{recorded}");
}
