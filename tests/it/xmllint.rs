//! XML against its schema, by libxml2: a validator that knows all of XSD and that we did not write.
//!
//! The tests that use it are ignored unless they are asked for, since `xmllint` is not on every machine (Debian:
//! `libxml2-utils`). `.ci/run` installs it and asks for them. The unit tests of the formats use this file as well.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The schema by which the xUnit plugin of Jenkins takes or refuses a file.
const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemas/junit-10.xsd");

/// How many files one call reads: far below what an argument list may hold.
const AT_ONCE: usize = 500;

/// What `xmllint` says of the documents that do not keep to the schema, each with its name.
///
/// # Panics
/// When `xmllint` is not there or cannot read the schema: then nothing was validated.
pub(crate) fn refused(documents: &[(String, String)]) -> Vec<(String, String)> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("metrics-preflight-xsd-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a scratch directory");
    let numbered: Vec<(usize, &(String, String))> = documents.iter().enumerate().collect();
    let refused = numbered.chunks(AT_ONCE).flat_map(|chunk| of_chunk(&folder, chunk)).collect();
    // What stays behind in the directory for temporary files does no harm.
    let _ = std::fs::remove_dir_all(&folder);
    refused
}

fn of_chunk(folder: &Path, chunk: &[(usize, &(String, String))]) -> Vec<(String, String)> {
    let path = |number: usize| folder.join(format!("{number}.xml"));
    for (number, (_, text)) in chunk {
        std::fs::write(path(*number), text).expect("a scratch file");
    }
    let output = Command::new("xmllint")
        .args(["--nonet", "--noout", "--schema", SCHEMA])
        .args(chunk.iter().map(|(number, _)| path(*number)))
        .output()
        .unwrap_or_else(|error| panic!("cannot run xmllint, install libxml2-utils: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    let judged = |number: usize, words: &str| {
        said.lines().any(|line| line == format!("{} {words}", path(number).display()))
    };
    let mut refused = Vec::new();
    for (number, (name, _)) in chunk {
        // A file counts as valid only where that was said of it: whatever else happens is a refusal.
        if !judged(*number, "validates") {
            let start = format!("{}:", path(*number).display());
            let why: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix(&start)).collect();
            let why =
                if why.is_empty() { format!("{}: {said:.1000}", output.status) } else { why.join("; ") };
            refused.push((name.clone(), why));
        }
    }
    // 3 and 4: some file is invalid. Others mean that the schema itself or the arguments were not understood.
    let expected: &[i32] = if refused.is_empty() { &[0] } else { &[1, 3, 4] };
    assert!(
        output.status.code().is_some_and(|code| expected.contains(&code)),
        "{}: {said:.2000}",
        output.status
    );
    refused
}
