//! Observations as a file, and a file as a source.
//!
//! A recording is JSON Lines: a header, one observation a line in order of [`Request::key`], a trailer with their
//! count. Keys inside a line are sorted, so the same observations give the same bytes, and two recordings of one
//! cluster can be compared line by line.
//!
//! Reading one is reading a stranger's file. Everything is bounded before it is parsed, a gzip stream is bounded by
//! what it unpacks to, nothing in the file names a path or a host that would be used, and no input panics.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flate2::read::MultiGzDecoder;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::observation::{Connection, Observation, Outcome};
use super::request::{Request, canonical};

/// The version of the format that is written, and the only one that is read.
pub const FORMAT_VERSION: u32 = 1;
/// The longest line that is read, and so the largest observation that is ever made.
pub const LINE_LIMIT: usize = 16 << 20;
/// The largest recording that is read, compressed or not.
pub const FILE_LIMIT: u64 = 256 << 20;
/// The most observations that are read.
pub const COUNT_LIMIT: usize = 200_000;
/// The most JSON values that are read: what a value costs in memory is many times what it costs in the file.
const VALUE_LIMIT: usize = 4_000_000;
/// The name and version that are written.
pub(super) const TOOL: &str = concat!("metrics-preflight ", env!("CARGO_PKG_VERSION"));

/// The first line of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Name and version of the program that wrote it.
    pub tool: String,
    /// The time of the run on the API server's clock: what [`super::Source::now`] says when it is replayed.
    pub taken_at: Timestamp,
    /// The API server's clock less the local one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_seconds: Option<i64>,
    /// How many strings the pattern sweep masked.
    #[serde(default)]
    pub masked: u64,
    /// How the API server was reached.
    #[serde(default)]
    pub connection: Connection,
    /// What a replay needs to take the same path: mode, namespace, which kubelets were looked at, and so on.
    #[serde(default)]
    pub arguments: BTreeMap<String, String>,
}

/// Observations that were written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// When, by what, with which arguments.
    pub header: Header,
    /// One a request; in any order when built by hand, in order of request when read.
    pub observations: Vec<Observation>,
}

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file cannot be opened or read.
    #[error("cannot read the recording: {0}; check the path and its permissions")]
    Io(#[from] io::Error),
    /// Not a recording at all.
    #[error("line 1 is not the header of a recording ({reason}); give a file that `capture` wrote")]
    NotARecording {
        /// What is wrong with the first line.
        reason: String,
    },
    /// Written in another version of the format.
    #[error(
        "the recording has format version {found}, this program reads version {FORMAT_VERSION}; \
         replay it with the program that wrote it ({tool})"
    )]
    Version {
        /// The version in the file.
        found: String,
        /// The program that wrote it.
        tool: String,
    },
    /// A line is not an observation.
    #[error(
        "line {line} of the recording is not an observation ({reason}); the file is damaged, ask for a new one"
    )]
    Line {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The file ends before its trailer, or the trailer counts otherwise.
    #[error("the recording is cut off at line {line} ({reason}); ask for the whole file")]
    Truncated {
        /// The last line, counted from 1.
        line: usize,
        /// What is missing.
        reason: String,
    },
    /// Larger than anything that `capture` writes.
    #[error("line {line} of the recording goes beyond a limit ({limit}); `capture` writes no such file")]
    TooLarge {
        /// The line, counted from 1.
        line: usize,
        /// Which limit.
        limit: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trailer {
    end: usize,
}

impl Recording {
    /// Reads a recording, plain or gzip.
    ///
    /// # Errors
    /// When the file cannot be read, is no recording, is damaged, or is larger than the limits.
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        Self::from_reader(File::open(path)?)
    }

    /// Reads a recording, plain or gzip.
    ///
    /// # Errors
    /// As [`Recording::read`].
    pub fn from_reader(mut reader: impl Read) -> Result<Self, RecordingError> {
        let mut magic = [0; 2];
        let mut filled = 0;
        while filled < magic.len() {
            match reader.read(&mut magic[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        let whole = Cursor::new(magic).take(filled as u64).chain(reader).take(FILE_LIMIT + 1);
        if magic == [0x1f, 0x8b] {
            parse(BufReader::new(MultiGzDecoder::new(whole).take(FILE_LIMIT + 1)))
        } else {
            parse(BufReader::new(whole))
        }
    }

    /// Writes the recording.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn write_to(&self, mut writer: impl Write) -> io::Result<()> {
        let mut sorted: Vec<(String, &Observation)> =
            self.observations.iter().map(|seen| (seen.request.key(), seen)).collect();
        sorted.sort_by(|(left, _), (right, _)| left.cmp(right));
        writeln!(writer, "{}", line(&self.header)?)?;
        for (_, observation) in &sorted {
            writeln!(writer, "{}", line(observation)?)?;
        }
        writeln!(writer, "{}", line(&Trailer { end: sorted.len() })?)?;
        writer.flush()
    }

    /// The recording as it is written.
    ///
    /// # Errors
    /// When it cannot be serialized, which no recording that this program made can cause.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes)?;
        Ok(bytes)
    }
}

fn line(value: &impl Serialize) -> io::Result<String> {
    Ok(canonical(&serde_json::to_value(value)?))
}

/// What serde says about a line, without the text that it quotes: that may be long, and is a stranger's.
fn reason(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Syntax => "not JSON",
        serde_json::error::Category::Eof => "the JSON ends early",
        serde_json::error::Category::Data => "a field is missing, unknown or of the wrong kind",
        serde_json::error::Category::Io => "unreadable",
    };
    format!("{what}, at column {}", error.column())
}

/// Hands out lines within the limits.
struct Lines<R> {
    reader: R,
    number: usize,
    bytes: u64,
    values: usize,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The next line without its end; none at the end of the file.
    fn next(&mut self) -> Result<Option<&[u8]>, RecordingError> {
        self.buffer.clear();
        self.number += 1;
        let read = (&mut self.reader)
            .take(LINE_LIMIT as u64 + 1)
            .read_until(b'\n', &mut self.buffer)
            .map_err(|error| match error.kind() {
                // What the gzip decoder says about a damaged or shortened stream.
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                    RecordingError::Truncated {
                        line: self.number,
                        reason: "the gzip stream is damaged".to_owned(),
                    }
                }
                _ => RecordingError::Io(error),
            })?;
        self.bytes += read as u64;
        self.values += self.buffer.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
        let limit = |limit: String| Err(RecordingError::TooLarge { line: self.number, limit });
        if read > LINE_LIMIT {
            return limit(format!("{LINE_LIMIT} bytes a line"));
        }
        if self.bytes > FILE_LIMIT {
            return limit(format!("{FILE_LIMIT} bytes in all"));
        }
        if self.values > VALUE_LIMIT {
            return limit(format!("{VALUE_LIMIT} JSON values in all"));
        }
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        }
        Ok((read > 0).then_some(self.buffer.as_slice()))
    }
}

fn parse(reader: impl BufRead) -> Result<Recording, RecordingError> {
    let mut lines = Lines { reader, number: 0, bytes: 0, values: 0, buffer: Vec::new() };
    let header = header(lines.next()?.unwrap_or_default())?;
    let mut observations: Vec<Observation> = Vec::new();
    let mut seen = BTreeSet::new();
    loop {
        let number = lines.number + 1;
        let Some(text) = lines.next()? else {
            return Err(RecordingError::Truncated {
                line: number - 1,
                reason: "the last line is missing".to_owned(),
            });
        };
        if text.starts_with(b"{\"end\":") {
            let trailer: Trailer = serde_json::from_slice(text)
                .map_err(|error| RecordingError::Line { line: number, reason: reason(&error) })?;
            if trailer.end != observations.len() {
                let reason = format!("{} observations of {}", observations.len(), trailer.end);
                return Err(RecordingError::Truncated { line: number, reason });
            }
            break;
        }
        let observation: Observation = serde_json::from_slice(text)
            .map_err(|error| RecordingError::Line { line: number, reason: reason(&error) })?;
        if observations.len() == COUNT_LIMIT {
            return Err(RecordingError::TooLarge {
                line: number,
                limit: format!("{COUNT_LIMIT} observations"),
            });
        }
        if !seen.insert(observation.request.key()) {
            let reason = "the same request stands there twice".to_owned();
            return Err(RecordingError::Line { line: number, reason });
        }
        observations.push(observation);
    }
    let number = lines.number + 1;
    if lines.next()?.is_some() {
        return Err(RecordingError::Line {
            line: number,
            reason: "something follows the last line".to_owned(),
        });
    }
    observations.sort_by_cached_key(|observation| observation.request.key());
    Ok(Recording { header, observations })
}

fn header(text: &[u8]) -> Result<Header, RecordingError> {
    let value: Value = serde_json::from_slice(text)
        .map_err(|error| RecordingError::NotARecording { reason: reason(&error) })?;
    let Some(version) = value.get("formatVersion") else {
        return Err(RecordingError::NotARecording { reason: "it has no formatVersion".to_owned() });
    };
    if version.as_u64() != Some(u64::from(FORMAT_VERSION)) {
        let short = |value: &Value| value.to_string().chars().take(40).collect::<String>();
        return Err(RecordingError::Version {
            found: short(version),
            tool: value.get("tool").map_or_else(|| "unknown".to_owned(), short),
        });
    }
    serde_json::from_value(value).map_err(|error| RecordingError::NotARecording { reason: reason(&error) })
}

/// A recording as a source.
#[derive(Debug)]
pub struct Recorded {
    header: Header,
    answers: BTreeMap<String, Arc<Observation>>,
    asked: Mutex<BTreeMap<String, Arc<Observation>>>,
}

impl Recorded {
    /// A source that answers from this recording.
    #[must_use]
    pub fn new(recording: Recording) -> Self {
        let answers = recording
            .observations
            .into_iter()
            .map(|observation| (observation.request.key(), Arc::new(observation)))
            .collect();
        Self { header: recording.header, answers, asked: Mutex::default() }
    }

    fn asked(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Observation>>> {
        // Nothing that can panic runs under this lock.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ask(&self, request: &Request) -> Arc<Observation> {
        let key = request.key();
        let missing = || {
            let (request, seen_at) = (request.clone(), self.header.taken_at);
            Arc::new(Observation { request, seen_at, outcome: Outcome::NotRecorded })
        };
        let known = self.answers.get(&key).map(Arc::clone);
        Arc::clone(self.asked().entry(key).or_insert_with(|| known.unwrap_or_else(missing)))
    }

    pub(super) fn add(&mut self, observations: Vec<Observation>) {
        let keyed = observations.into_iter().map(|seen| (seen.request.key(), Arc::new(seen)));
        self.answers.extend(keyed);
    }

    pub(super) fn observations(&self) -> Vec<Arc<Observation>> {
        self.asked().values().map(Arc::clone).collect()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.header.taken_at
    }

    pub(super) fn clock_offset(&self) -> Option<SignedDuration> {
        self.header.clock_offset_seconds.map(SignedDuration::from_secs)
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.header.connection
    }

    pub(super) fn masked(&self) -> u64 {
        self.header.masked
    }
}

#[cfg(test)]
#[path = "recording_tests.rs"]
mod tests;
