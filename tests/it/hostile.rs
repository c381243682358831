//! The built program against servers that do not behave: it ends in time, says what is wrong, never calls it a pass,
//! and never repeats the credential, not even one that the server sends back.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Output, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::program::{Scratch, closed_port, code, command, document, stderr};

/// The token of the kubeconfig. No pattern of secrets matches it, so only where it comes from can give it away.
const CANARY: &str = "canary-5ecret-of-the-caller";
/// After this long a program that still runs hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the program may take of memory: it reads up to eight answers of 64 MiB at a time, and their buffers grow by
/// doubling.
const MEMORY_KIB: u64 = 1 << 20;

/// What a server sends for a request whose head this is; nothing more comes after [`Reply::Flood`] and
/// [`Reply::Silence`].
#[derive(Clone)]
enum Reply {
    Whole(u16, &'static str, Vec<u8>),
    Dated(u16, String, Vec<u8>),
    Raw(&'static [u8]),
    Flood,
    Silence,
}

/// A certificate authority, and a server's configuration with a certificate of it for the loopback.
struct Pki {
    ca: String,
    server: Arc<ServerConfig>,
}

impl Pki {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA");
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
        let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .expect("a certificate with its key");
        Self { ca: issuer.pem(), server: Arc::new(server) }
    }
}

/// Serves each connection on a thread of its own until the tests end; the port.
fn serve(connection: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let connection = Arc::new(connection);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = Arc::clone(&connection);
            thread::spawn(move || connection(stream));
        }
    });
    port
}

/// A server that speaks TLS and HTTP, and sends what this function says for the head of a request.
fn serve_https(pki: &Pki, reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> u16 {
    let config = Arc::clone(&pki.server);
    serve(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).expect("a configuration");
        let mut stream = StreamOwned::new(connection, stream);
        // A client that goes away ends the connection, which is no failure of the server.
        while let Some(head) = read_request(&mut stream) {
            if send(&mut stream, reply(&head)).is_err() {
                break;
            }
        }
    })
}

/// Reads a request with its body; its head.
fn read_request(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    stream.read_exact(&mut vec![0; length.unwrap_or(0)]).ok()?;
    Some(head)
}

fn send(stream: &mut impl Write, reply: Reply) -> std::io::Result<()> {
    let whole = |status: u16, header: &str, body: Vec<u8>| {
        let head = format!("HTTP/1.1 {status} Word\r\n{header}\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.into_bytes(), body].concat()
    };
    match reply {
        Reply::Whole(status, kind, body) => {
            stream.write_all(&whole(status, &format!("Content-Type: {kind}"), body))?;
        }
        Reply::Dated(status, date, body) => {
            let headers = format!("Content-Type: application/json\r\nDate: {date}");
            stream.write_all(&whole(status, &headers, body))?;
        }
        Reply::Raw(bytes) => {
            stream.write_all(bytes)?;
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        Reply::Flood => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")?;
            let chunk = vec![b'['; 1 << 16];
            loop {
                stream.write_all(&chunk)?;
            }
        }
        Reply::Silence => thread::sleep(4 * PATIENCE),
    }
    stream.flush()
}

/// The value of a header in the head of a request.
fn header<'h>(head: &'h str, name: &str) -> &'h str {
    let value = |line: &'h str| line.split_once(':').filter(|(key, _)| key.eq_ignore_ascii_case(name));
    head.lines().find_map(value).map_or("", |(_, value)| value.trim())
}

/// A `Status` as an API server writes it.
fn status(code: u16, message: &str) -> Vec<u8> {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        _ => "InternalError",
    };
    serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
    .to_string()
    .into_bytes()
}

/// A kubeconfig for a local port, with the canary as its token.
fn kubeconfig(scratch: &Scratch, port: u16, ca: &str) -> String {
    let ca = scratch.file("ca.pem", ca);
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: lab\n\
         contexts: [{{name: lab, context: {{cluster: lab, user: lab}}}}]\n\
         clusters: [{{name: lab, cluster: {{server: \"https://127.0.0.1:{port}\", certificate-authority: {ca:?}}}}}]\n\
         users: [{{name: lab, user: {{token: {CANARY}}}}}]\n"
    );
    scratch.file("kubeconfig", &text)
}

/// Reads a pipe to its end, beside the program.
fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    let mut pipe = pipe.expect("a pipe");
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("it can be read");
        bytes
    })
}

/// What the program has taken of memory so far, at most; nothing where the system does not tell.
fn peak_kib(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}

/// Runs the program to its end, and fails when it hangs, takes too much memory, panics or tells the canary.
fn run(args: &[&str]) -> Output {
    run_within(MEMORY_KIB, args)
}

fn run_within(memory_kib: u64, args: &[&str]) -> Output {
    let mut command = command(args);
    let mut child = command
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let begin = Instant::now();
    let status = loop {
        let peak = peak_kib(&child);
        let hangs = begin.elapsed() > PATIENCE;
        if hangs || peak > memory_kib {
            child.kill().expect("it ends");
            child.wait().expect("it has ended");
            panic!("{args:?}: {}", if hangs { "it hangs".to_owned() } else { format!("{peak} KiB") });
        }
        match child.try_wait().expect("a child") {
            Some(status) => break status,
            None => thread::sleep(Duration::from_millis(10)),
        }
    };
    let output =
        Output { status, stdout: stdout.join().expect("its end"), stderr: stderr.join().expect("its end") };
    for text in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(text);
        for word in ["panicked", "defect", "RUST_BACKTRACE", CANARY] {
            assert!(!text.contains(word), "{args:?} says {word:?}: {text}");
        }
    }
    output
}

/// What every server must come to, whichever format is asked for; the document.
#[track_caller]
fn judge(name: &str, port: u16, ca: &str, expected: i32) -> (Value, String) {
    let scratch = Scratch::new();
    let config = kubeconfig(&scratch, port, ca);
    let common = ["--kubeconfig", &config, "--timeout", "1s"];
    let with = |args: &[&str]| run(&[args, &common].concat());

    let output = with(&["check", "-o", "json"]);
    let errors = stderr(&output);
    let report = document(&output);
    assert_eq!(code(&output), expected, "{name}: {report:#}\n{errors}");
    assert_ne!(report["verdict"], "pass", "{name}");
    assert_eq!(report["verdict"].is_null(), expected == 4, "{name}");
    assert_eq!(report["error"]["kind"] == "unreachable", expected == 4, "{name}");
    for check in report["checks"].as_array().expect("a list") {
        assert!(check["panic"].is_null(), "{name}: {check:#}");
        assert!(expected == 1 || check["worst"] != "fail", "{name}: {check:#}");
    }

    let table = with(&["check", "-v"]);
    assert_eq!(code(&table), expected, "{name}: {}", stderr(&table));
    assert_eq!(table.stdout.is_empty(), expected == 4, "{name}");
    assert!(stderr(&table).contains("GET /version -> "), "{name}: {}", stderr(&table));
    assert_ne!(code(&with(&["check", "--before-install", "--strict"])), 0, "{name}");

    // What was seen is what a recording of it shows, and where nothing was seen there is no recording.
    let file = scratch.file("recording", "");
    std::fs::remove_file(&file).expect("it was there");
    let captured = with(&["capture", "-o", &file]);
    assert_eq!(code(&captured), if expected == 4 { 4 } else { 0 }, "{name}: {}", stderr(&captured));
    assert_eq!(std::fs::exists(&file).expect("a folder"), expected != 4, "{name}");
    if expected != 4 {
        let recording = std::fs::read_to_string(&file).expect("a recording");
        assert!(!recording.contains(CANARY), "{name}: {recording}");
        let replayed = run(&["check", "-o", "json", "--replay", &file]);
        assert_eq!(code(&replayed), expected, "{name}");
        assert_eq!(document(&replayed)["verdict"], report["verdict"], "{name}");
    }
    (report, errors)
}

/// As [`judge`], for a server that answers each request by this function.
#[track_caller]
fn judge_https(
    name: &str,
    expected: i32,
    reply: impl Fn(&str) -> Reply + Send + Sync + 'static,
) -> (Value, String) {
    let pki = Pki::new();
    judge(name, serve_https(&pki, reply), &pki.ca, expected)
}

#[test]
fn a_refused_connection() {
    let (_, errors) = judge("refused", closed_port(), &Pki::new().ca, 4);
    assert!(errors.contains("the connection was refused"), "{errors}");
}

#[test]
fn a_server_that_accepts_and_never_answers() {
    let port = serve(|stream| {
        thread::sleep(4 * PATIENCE);
        drop(stream);
    });
    let (_, errors) = judge("silent", port, &Pki::new().ca, 4);
    assert!(errors.contains("no answer came in time"), "{errors}");
    let (_, errors) = judge_https("silent behind TLS", 4, |_| Reply::Silence);
    assert!(errors.contains("no answer came in time"), "{errors}");
}

#[test]
fn a_server_that_closes_at_once() {
    let port = serve(|stream| drop(stream.shutdown(Shutdown::Both)));
    let (_, errors) = judge("closes", port, &Pki::new().ca, 4);
    assert!(errors.contains("the connection broke off"), "{errors}");
    let (_, errors) = judge_https("closes behind TLS", 4, |_| Reply::Raw(b""));
    assert!(errors.contains("the connection broke off"), "{errors}");
}

#[test]
fn a_server_that_does_not_speak_tls() {
    const PLAIN: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
    for (name, bytes) in [
        ("plain HTTP", PLAIN),
        ("TLS garbage", b"\x16\x03\x03\x00\x05\xff\xff\xff\xff\xff\x00\x01\x02"),
        ("noise", &[0xa5; 4096]),
    ] {
        let port = serve(move |mut stream| {
            // The program may be gone by then.
            let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(bytes));
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let (_, errors) = judge(name, port, &Pki::new().ca, 4);
        assert!(errors.contains("TLS failed"), "{name}: {errors}");
    }
}

#[test]
fn a_server_that_does_not_speak_http() {
    judge_https("noise behind TLS", 4, |_| Reply::Raw(&[0xa5; 4096]));
    judge_https("half an answer", 4, |_| {
        Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"kind\"")
    });
}

#[test]
fn a_server_of_another_authority() {
    let port = serve_https(&Pki::new(), |_| unreachable!("the handshake fails"));
    let (report, errors) = judge("wrong CA", port, &Pki::new().ca, 4);
    for text in [errors.as_str(), report["error"]["message"].as_str().expect("a message")] {
        assert!(text.contains("the certificate of https://127.0.0.1"), "{text}");
        assert!(
            text.contains("the kubeconfig's certificate authority is not the one that signed it"),
            "{text}"
        );
    }
}

/// The server writes the credential into its answer, as a proxy that is being debugged does.
#[test]
fn a_server_that_accepts_no_credential() {
    let (report, _) = judge_https("401", 3, |head| {
        let message = format!("{} is not known: {CANARY}", header(head, "authorization"));
        Reply::Whole(401, "application/json", status(401, &message))
    });
    let open = report["undecided"].as_array().expect("a list");
    assert!(open.iter().any(|open| open["deciding"] == true), "{report:#}");
    let words = |open: &Value| open["would_decide"].as_str().unwrap_or_default().contains("--context");
    assert!(open.iter().any(words), "{report:#}");
}

#[test]
fn a_server_that_forbids_everything() {
    let (report, _) = judge_https("403", 3, |head| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let message = format!("forbidden: User \"lab\" cannot get path {path:?}");
        Reply::Whole(403, "application/json", status(403, &message))
    });
    let open = report["undecided"].as_array().expect("a list");
    let lacks = |verb: &str, resource: &str| {
        open.iter()
            .map(|open| &open["permission"])
            .any(|lacking| lacking["verb"] == verb && lacking["resource"] == resource)
    };
    assert!(lacks("list", "nodes"), "{report:#}");
    assert!(lacks("get", "apiservices.apiregistration.k8s.io"), "{report:#}");
}

#[test]
fn a_server_with_an_internal_error() {
    judge_https("500", 3, |_| {
        Reply::Whole(500, "application/json", b"{\"kind\":\"Status\",\"message\":\"".to_vec())
    });
}

#[test]
fn an_answer_without_end() {
    judge_https("flood", 4, |_| Reply::Flood);
    // With more time the limit of the size ends it, unless the machine is slow.
    let pki = Pki::new();
    let scratch = Scratch::new();
    let config = kubeconfig(&scratch, serve_https(&pki, |_| Reply::Flood), &pki.ca);
    let output = run_within(256 << 10, &["check", "--kubeconfig", &config, "--timeout", "25s"]);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    let ends = ["larger than 64 MiB", "no answer came in time"];
    assert!(ends.iter().any(|end| stderr(&output).contains(end)), "{}", stderr(&output));
    judge_https("flood of all but the version", 3, |head| match head {
        head if head.starts_with("GET /version ") => Reply::Whole(
            200,
            "application/json",
            b"{\"major\":\"1\",\"minor\":\"34\",\"gitVersion\":\"v1.34.1\"}".to_vec(),
        ),
        _ => Reply::Flood,
    });
}

#[test]
fn an_answer_nested_ten_thousand_deep() {
    const DEPTH: usize = 10_000;
    judge_https("arrays", 3, |_| {
        let body = "[".repeat(DEPTH) + &"]".repeat(DEPTH);
        Reply::Whole(200, "application/json", body.into_bytes())
    });
    judge_https("objects", 3, |_| {
        let body = "{\"kind\":\"List\",\"items\":".repeat(DEPTH) + "1" + &"}".repeat(DEPTH);
        Reply::Whole(200, "application/json", body.into_bytes())
    });
}

#[test]
fn a_page_for_a_browser() {
    let (_, errors) = judge_https("HTML", 4, |_| {
        Reply::Whole(200, "text/html", b"<!DOCTYPE html><title>Sign in</title>".to_vec())
    });
    assert!(errors.contains("what answers is not an API server"), "{errors}");
}

#[test]
fn a_clock_that_is_hours_ahead() {
    const HOURS: i64 = 5;
    let (report, _) = judge_https("Date", 1, |_| {
        let date = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(HOURS);
        Reply::Dated(404, date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(), status(404, "not found"))
    });
    let offset = report["vantage"]["clock_offset_s"].as_i64().expect("a number");
    assert!((offset + HOURS * 3600).abs() <= 5, "the local clock is behind by {offset} s");
    let taken: jiff::Timestamp = report["taken_at"].as_str().expect("a time").parse().expect("a time");
    assert!(taken > jiff::Timestamp::now() + jiff::SignedDuration::from_hours(HOURS - 1), "{taken}");
}

#[test]
fn requests_are_told_of_as_they_are_answered() {
    let pki = Pki::new();
    let scratch = Scratch::new();
    let port = serve_https(&pki, |head| {
        if head.starts_with("GET /version ") {
            Reply::Whole(200, "application/json", b"{}".to_vec())
        } else {
            Reply::Silence
        }
    });
    let config = kubeconfig(&scratch, port, &pki.ca);
    let mut child = command(&["check", "-v", "--kubeconfig", &config, "--timeout", "60s"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    BufReader::new(child.stderr.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let running = child.try_wait().expect("a child").is_none();
    child.kill().expect("it ends");
    child.wait().expect("it has ended");
    assert_eq!(line, "GET /version -> 200\n");
    assert!(running);
}
