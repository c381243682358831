//! Reads the manifests that a user names: files, directories and standard input, YAML and JSON, with the place of every
//! field.
//!
//! All of it may come from a stranger, such as the author of a pull request. So everything is bounded, nothing outside
//! of a named directory is followed, and what cannot be read is a problem with a place, or an error, and never nothing.

mod edit;
mod files;
mod objects;
mod pieces;
mod scalar;
mod scalar_text;
mod snippet;
mod tree;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Read;
use std::path::PathBuf;

use checks::evidence::{Manifests, Odd, Place, Problem, ProblemKind};

pub(crate) use edit::{Change, Draft, Line};
pub(crate) use snippet::snippet;

/// A file may have so many bytes.
const FILE_BYTES: u64 = 16 << 20;
/// All files together may have so many bytes.
const ALL_BYTES: usize = 64 << 20;
/// So many files are read.
const FILES: usize = 10_000;
/// So many lines are kept.
const LINES: usize = 1_000_000;
/// So many documents are kept.
const DOCUMENTS: usize = 10_000;
/// A value may have so many levels around it, with the aliases on the way.
const DEPTH: usize = 100;
/// So many lists may lie in each other.
const LISTS: usize = 5;
/// So many problems are told of; there is one more for those left out.
const PROBLEMS: usize = 1_000;
/// The values of one piece of a file, and those of all objects that are kept, may take about so much memory, aliases
/// written out.
const MEMORY: usize = 128 << 20;
/// What a value takes besides its text.
const VALUE: usize = 200;

/// What was read.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// The objects and the problems.
    pub(crate) manifests: Manifests,
    /// Documents in directories that are no objects of Kubernetes and do not look like ones.
    pub(crate) passed_over: usize,
}

/// Why nothing could be read at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManifestError {
    /// The file as the user named it.
    pub(crate) file: String,
    /// What failed, as a sentence without a full stop.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: String,
}

impl ManifestError {
    fn new(file: impl fmt::Display, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { file: file.to_string(), message: message.into(), hint: hint.into() }
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read the manifests in {}: {}", self.file, self.message)
    }
}

impl std::error::Error for ManifestError {}

impl Reading {
    /// What was passed over, for a person; nothing when there is nothing to tell.
    pub(crate) fn note(&self) -> Option<String> {
        match self.passed_over {
            0 => None,
            1 => Some("1 document is no object of Kubernetes and was passed over".to_owned()),
            n => Some(format!("{n} documents are no objects of Kubernetes and were passed over")),
        }
    }
}

/// Reads what `inputs` name: files, directories with everything below them, and `-` for `stdin`.
///
/// # Errors
///
/// When a name leads to nothing that can be read. What is wrong inside of a file is a [`Problem`] in the result.
pub(crate) fn read(inputs: &[PathBuf], mut stdin: impl Read) -> Result<Reading, ManifestError> {
    let inputs = files::Inputs::find(inputs)?;
    let mut reader = Reader::default();
    for (name, what) in &inputs.refused {
        let message = format!("it is {what}, which is not followed");
        reader.problem(
            start_of(name),
            ProblemKind::Unreadable,
            message,
            "name it by a `-f` of its own, or remove it",
        );
    }
    for input in &inputs.files {
        match input.read(&mut stdin)? {
            files::Content::Bytes(bytes) => reader.file(&input.name, &bytes, input.is_named),
            files::Content::TooLong => {
                let message = format!("the file is larger than {} MiB", FILE_BYTES >> 20);
                reader.problem(start_of(&input.name), ProblemKind::TooLarge, message, "split it");
            }
        }
    }
    Ok(reader.reading)
}

/// Reads one text as the named file. For what is not in a file.
pub(crate) fn read_text(name: &str, text: &str) -> Reading {
    let mut reader = Reader::default();
    reader.file(name, text.as_bytes(), true);
    reader.reading
}

/// A budget of memory.
#[derive(Clone)]
pub(crate) struct Memory {
    left: usize,
}

impl Memory {
    fn new() -> Self {
        Self { left: MEMORY }
    }

    /// Half of it.
    fn halved(self) -> Self {
        Self { left: self.left / 2 }
    }

    /// Takes what a value with so many bytes of text needs.
    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        let left = self.left.checked_sub(VALUE.saturating_add(bytes));
        self.left = left.unwrap_or(0);
        let error = || format!("it takes more than {} MiB of memory", MEMORY >> 20);
        left.map(|_| ()).ok_or_else(error)
    }
}

/// Reads file after file.
struct Reader {
    reading: Reading,
    /// What may still be kept.
    memory: Memory,
    bytes: usize,
    lines: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self { reading: Reading::default(), memory: Memory::new(), bytes: 0, lines: 0 }
    }
}

impl Reader {
    fn problem(
        &mut self,
        place: Place,
        kind: ProblemKind,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let problems = &mut self.reading.manifests.problems;
        if problems.len() < PROBLEMS {
            problems.push(Problem { place, kind, message: message.into(), hint: hint.into() });
        } else if problems.len() == PROBLEMS {
            let message =
                format!("there are more than {PROBLEMS} problems; this one and those behind it are left out");
            problems.push(Problem { place, kind: ProblemKind::TooLarge, message, hint: String::new() });
        }
    }

    fn file(&mut self, name: &str, bytes: &[u8], is_named: bool) {
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > ALL_BYTES {
            let message = format!("with this file there are more than {} MiB", ALL_BYTES >> 20);
            let hint = "name the directories that hold autoscalers and their targets";
            return self.problem(start_of(name), ProblemKind::TooLarge, message, hint);
        }
        let Ok(text) = str::from_utf8(bytes) else {
            let place = end_of(name, &String::from_utf8_lossy(&bytes[..valid(bytes)]));
            return self.problem(
                place,
                ProblemKind::Syntax,
                "this is not text in UTF-8",
                "save the file as UTF-8",
            );
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (documents, problems) =
            (self.reading.manifests.documents.len(), self.reading.manifests.problems.len());
        let count = pieces::lines(text).count();
        if self.lines + count > LINES {
            let message = format!("with this file there are more than {LINES} lines");
            return self.problem(start_of(name), ProblemKind::TooLarge, message, "name fewer files");
        }
        objects::read_file(self, name, text, is_named);
        let manifests = &mut self.reading.manifests;
        if manifests.documents.len() > documents || manifests.problems.len() > problems {
            self.lines += count;
            if bytes.len() > text.len() || text.contains('\r') {
                manifests.odd.insert(name.to_owned(), Odd::Other);
            } else if !text.ends_with('\n') {
                manifests.odd.insert(name.to_owned(), Odd::OpenEnd);
            }
            manifests.files.insert(name.to_owned(), pieces::lines(text).map(str::to_owned).collect());
        }
    }
}

/// How many of the first bytes are UTF-8.
fn valid(bytes: &[u8]) -> usize {
    str::from_utf8(bytes).err().map_or(bytes.len(), |error| error.valid_up_to())
}

fn start_of(file: &str) -> Place {
    Place { file: file.to_owned(), line: 1, column: 1, end_line: 1, end_column: 1 }
}

/// Behind the end of a text.
fn end_of(file: &str, text: &str) -> Place {
    let breaks = text.ends_with(['\n', '\r']);
    let lines = pieces::lines(text).count();
    let line = if breaks { lines + 1 } else { lines.max(1) };
    let column =
        if breaks { 1 } else { pieces::lines(text).last().map_or(1, |line| line.chars().count() + 1) };
    Place { file: file.to_owned(), line, column, end_line: line, end_column: column }
}
