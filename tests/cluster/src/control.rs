//! What a host's `systemctl` and the cluster's handle ask of the supervisor: one JSON line each way.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// What to do with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verb {
    Start,
    Stop,
    Restart,
    /// Tells how it is, and does nothing.
    Status,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) verb: Verb,
    pub(crate) host: String,
    pub(crate) unit: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reply {
    /// Absent when the request was carried out.
    pub(crate) error: Option<String>,
    pub(crate) pid: Option<u32>,
    /// How often its process has been started.
    pub(crate) starts: u32,
    /// The hash of the static pod that it runs.
    pub(crate) manifest: Option<u64>,
}

pub(crate) fn ask(socket: &Path, verb: Verb, host: &str, unit: &str) -> Result<Reply> {
    let mut stream = UnixStream::connect(socket).context("the cluster's supervisor does not answer")?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let request = Request { verb, host: host.to_owned(), unit: unit.to_owned() };
    writeln!(stream, "{}", serde_json::to_string(&request)?)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let reply: Reply = serde_json::from_str(&line).context("the supervisor ended in mid-answer")?;
    ensure!(reply.error.is_none(), "{}", reply.error.unwrap_or_default());
    Ok(reply)
}
