//! HTTP as an API server of the tests speaks it: one request, one answer, and the connection is closed.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use serde_json::Value;

/// A request: its method, its path with the query, and its body, `null` where that is no JSON.
pub(crate) fn read(stream: &TcpStream) -> Option<(String, String, Value)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((method, path, serde_json::from_slice(&body).unwrap_or_default()))
}

/// Answers it with this status and body.
pub(crate) fn answer(mut stream: &TcpStream, status: u64, body: &Value) -> Option<()> {
    let text = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    stream.write_all((head + &text).as_bytes()).ok()
}

/// What a recording holds: status and body by method and path. Of several answers to one path the last stands.
pub(crate) fn recorded(path: &Path) -> BTreeMap<String, (u64, Value)> {
    let text = std::fs::read_to_string(path).expect("a recording");
    let mut answers = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let (api, response) = (&line["request"]["api"], &line["outcome"]["response"]);
        if let (Some(path), Some(status)) = (api["path"].as_str(), response["status"].as_u64()) {
            let key = format!("{} {path}", api["method"].as_str().unwrap_or_default());
            answers.insert(key, (status, response["body"]["json"].clone()));
        }
    }
    answers
}
