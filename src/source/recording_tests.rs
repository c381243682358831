#![expect(clippy::unwrap_used, reason = "a test may")]

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::source::observation::{Body, FailureKind};
use crate::source::request::Method;

fn recording() -> Recording {
    let observation = |request: Request, outcome: Outcome| Observation {
        request,
        seen_at: "2026-11-20T12:00:00.123Z".parse().unwrap(),
        outcome,
    };
    let response = |body: Body| Outcome::Response {
        status: 200,
        content_type: "application/json".to_owned(),
        date: Some("2026-11-20T12:00:00Z".parse().unwrap()),
        body,
    };
    let review = json!({"spec": {"b": 1, "a": [true, null, "é\n"]}});
    Recording {
        header: Header {
            format_version: FORMAT_VERSION,
            tool: TOOL.to_owned(),
            taken_at: "2026-11-20T12:00:00Z".parse().unwrap(),
            clock_offset_seconds: Some(-3),
            masked: 1,
            connection: Connection { server: "https://10.0.0.1".to_owned(), ..Connection::default() },
            arguments: [("mode".to_owned(), "check".to_owned())].into(),
        },
        observations: vec![
            observation(Request::get("/apis"), response(Body::Text("text".to_owned()))),
            observation(Request::get("/version"), response(Body::Json(json!({"b": 1, "a": 2})))),
            observation(Request::get("/api"), response(Body::None)),
            observation(Request::anonymous_access_review(review), response(Body::None)),
            observation(
                Request::kubelet_healthz("fd00::1".parse::<std::net::IpAddr>().unwrap(), 10250),
                Outcome::Failed { kind: FailureKind::TimedOut, message: "m".to_owned() },
            ),
            observation(
                Request::handshake("node.example".parse::<crate::source::Host>().unwrap(), 10250),
                Outcome::Certificates { chain_der_base64: vec!["AA==".to_owned()], unproven: None },
            ),
            observation(
                Request::handshake("10.0.0.2".parse::<std::net::IpAddr>().unwrap(), 10250),
                Outcome::TlsAlert { alert: "internal_error".to_owned(), chain_der_base64: Vec::new() },
            ),
            observation(
                Request::handshake("10.0.0.3".parse::<std::net::IpAddr>().unwrap(), 1),
                Outcome::NotTls,
            ),
        ],
    }
}

fn text() -> String {
    String::from_utf8(recording().to_bytes().unwrap()).unwrap()
}

fn read(bytes: &[u8]) -> Result<Recording, RecordingError> {
    Recording::from_reader(bytes)
}

fn error(bytes: &[u8]) -> RecordingError {
    read(bytes).unwrap_err()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_recording_survives_being_written_and_read() {
    let bytes = recording().to_bytes().unwrap();
    let whole = read(&bytes).unwrap();
    assert_eq!(whole.to_bytes().unwrap(), bytes);
    let keys: Vec<_> = whole.observations.iter().map(|one| one.request.key()).collect();
    assert!(keys.is_sorted(), "{keys:?}");
    let mut backwards = recording();
    backwards.observations.reverse();
    assert_eq!(backwards.to_bytes().unwrap(), bytes, "the order of observing changes nothing");
    assert_eq!(read(&gzip(&bytes)).unwrap(), whole);
}

#[test]
fn the_recordings_of_the_repository_are_written_as_they_were_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "jsonl") {
            let bytes = std::fs::read(&path).unwrap();
            assert!(read(&bytes).unwrap().to_bytes().unwrap() == bytes, "{}", path.display());
        }
    }
}

#[test]
fn keys_are_stable_and_readable() {
    let keys: Vec<_> = recording().observations.iter().map(|one| one.request.key()).collect();
    assert_eq!(
        keys,
        [
            "GET /apis",
            "GET /version",
            "GET /api",
            "anonymous POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews {\"spec\":{\"a\":[true,null,\"é\\n\"],\"b\":1}}",
            "anonymous GET https://[fd00::1]:10250/healthz",
            "handshake node.example:10250",
            "handshake 10.0.0.2:10250",
            "handshake 10.0.0.3:1",
        ]
    );
    let request = Request::Api { method: Method::Get, path: "/version".to_owned(), body: None };
    assert_eq!(request, Request::get("/version"));
    assert_eq!(
        serde_json::to_value(&request).unwrap(),
        json!({"api": {"method": "GET", "path": "/version"}})
    );
}

#[test]
fn what_is_no_recording_is_said_to_be_none() {
    for bytes in [&b""[..], b"\n", b"\x00\x01", b"{}", b"[]", b"{\"kind\":\"Config\"}", b"\x1f", b"\xff\xfe{"]
    {
        assert!(
            matches!(error(bytes), RecordingError::NotARecording { .. }),
            "{bytes:?}: {:?}",
            error(bytes)
        );
    }
    for version in ["2", "0", "-1", "1.5", "\"1\"", "null", "99999999999999999999"] {
        let bytes = text().replacen("\"formatVersion\":1", &format!("\"formatVersion\":{version}"), 1);
        assert!(matches!(error(bytes.as_bytes()), RecordingError::Version { .. }), "{version}");
    }
    assert!(matches!(Recording::read(Path::new("/nonexistent")), Err(RecordingError::Io(_))));
}

#[test]
fn damage_is_located() {
    let text = text();
    let lines: Vec<&str> = text.lines().collect();
    let with = |index: usize, line: &str| {
        let mut lines = lines.clone();
        lines[index] = line;
        lines.join("\n") + "\n"
    };
    let cases: Vec<(String, usize)> = vec![
        (with(3, "garbage canary-5ecret"), 4),
        (with(3, ""), 4),
        (with(3, "{\"request\":{}}"), 4),
        (with(3, lines[2]), 4),
        (with(3, &lines[3].replace("\"api\"", "\"elsewhere\"")), 4),
        (with(9, "{\"end\":-1}"), 10),
        (with(9, "{\"end\":8,\"x\":1}"), 10),
        (text.clone() + "\n", 11),
        (text.clone() + "x", 11),
    ];
    for (damaged, line) in cases {
        match error(damaged.as_bytes()) {
            RecordingError::Line { line: found, reason } => {
                assert_eq!(found, line, "{reason}");
                assert!(!reason.contains("5ecret"));
            }
            other => panic!("{other}"),
        }
    }
    assert!(error(with(2, "x").as_bytes()).to_string().contains("line 3"));
}

#[test]
fn every_cut_is_noticed() {
    let bytes = recording().to_bytes().unwrap();
    // The last line feed alone may be missing.
    for end in 0..bytes.len() - 1 {
        assert!(read(&bytes[..end]).is_err(), "cut at {end}");
    }
    let packed = gzip(&bytes);
    for end in 0..packed.len() {
        assert!(read(&packed[..end]).is_err(), "cut at {end}");
    }
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    lines.remove(3);
    assert!(matches!(error(&lines.concat()), RecordingError::Truncated { line: 9, .. }));
}

#[test]
fn sizes_are_bounded() {
    let head = text().lines().next().unwrap().to_owned() + "\n";
    let long = head.clone() + &" ".repeat(LINE_LIMIT + 1);
    assert!(matches!(error(long.as_bytes()), RecordingError::TooLarge { line: 2, .. }));
    // A bomb: gigabytes in a few megabytes, on one line and on many.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(head.as_bytes()).unwrap();
    for _ in 0..64 {
        encoder.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    assert!(matches!(error(&encoder.finish().unwrap()), RecordingError::TooLarge { line: 2, .. }));
    // Values that are small in the file and large in memory.
    let values = head.clone() + &"[".repeat(VALUE_LIMIT + 1);
    assert!(matches!(error(values.as_bytes()), RecordingError::TooLarge { line: 2, .. }));
    // Nesting.
    let deep = head + &"[".repeat(100_000);
    assert!(matches!(error(deep.as_bytes()), RecordingError::Line { line: 2, .. }));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
        let _ = read(&[b"\x1f\x8b", bytes.as_slice()].concat());
        let header = text().lines().next().unwrap().to_owned() + "\n";
        let _ = read(&[header.as_bytes(), bytes.as_slice()].concat());
    }

    #[test]
    fn no_change_of_a_byte_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = recording().to_bytes().unwrap();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        if let Ok(whole) = read(&bytes) {
            // Whatever is accepted is written and read again without a change.
            let written = whole.to_bytes().unwrap();
            prop_assert_eq!(read(&written).unwrap(), whole);
        }
    }
}
