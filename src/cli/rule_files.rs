//! Reading files of rules. A repository may be a stranger's: what is read is bounded, regular, and within the
//! directory that was named.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use checks::rules::{LARGEST_FILE, Text};

use super::failure::{Failure, Kind};

/// How many files there may be, and how many names are looked at in a directory.
const MOST_FILES: usize = 100;
const MOST_NAMES: usize = 10_000;
/// How much all of them may hold, in bytes.
const LARGEST_OF_ALL: usize = 4 * 1024 * 1024;

/// The files that these paths name: a file itself, or the `*.yaml` and `*.yml` files of a directory, sorted.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Text>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        let kind = std::fs::metadata(path).map_err(|error| unreadable(path, &error.to_string()))?;
        if kind.is_dir() {
            files.extend(listed(path)?);
        } else {
            files.push(path.clone());
        }
    }
    if files.len() > MOST_FILES {
        return Err(Failure::new(Kind::Input, format!("there are more than {MOST_FILES} files of rules")));
    }
    let mut texts = Vec::with_capacity(files.len());
    let mut total = 0;
    for path in files {
        let text = text(&path)?;
        total += text.len();
        if total > LARGEST_OF_ALL {
            return Err(Failure::new(
                Kind::Input,
                format!("the rules hold more than {LARGEST_OF_ALL} bytes"),
            ));
        }
        texts.push(Text { name: path.display().to_string(), text });
    }
    Ok(texts)
}

/// The path of a recording in a folder.
pub(super) fn recording(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let candidates = ["", ".jsonl", ".jsonl.gz"].map(|ending| folder.join(format!("{name}{ending}")));
    let Some(path) = candidates.iter().find(|path| path.symlink_metadata().is_ok()) else {
        let failure =
            Failure::new(Kind::Input, format!("there is no recording {name} in {}", folder.display()));
        return Err(failure.hint("`--recordings DIR` says where recordings are."));
    };
    within(folder, path)?;
    Ok(path.clone())
}

fn unreadable(path: &Path, why: &str) -> Failure {
    Failure::new(Kind::Input, format!("cannot read {}", path.display())).context(why.to_owned())
}

/// The files of rules in a directory.
fn listed(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error.to_string()))?;
    let mut files = Vec::new();
    for (index, entry) in entries.enumerate() {
        let entry = entry.map_err(|error| unreadable(folder, &error.to_string()))?;
        if index >= MOST_NAMES {
            return Err(unreadable(folder, &format!("it holds more than {MOST_NAMES} names")));
        }
        let path = entry.path();
        let is_rule = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        if is_rule && !is_hidden {
            within(folder, &path)?;
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Failure::new(Kind::Input, format!("there are no rules in {}", folder.display()))
            .hint("Rules are files of the name *.yaml or *.yml directly in the directory."));
    }
    files.sort();
    Ok(files)
}

/// Refuses what leads out of the directory that was named, and what is no file.
fn within(folder: &Path, path: &Path) -> Result<(), Failure> {
    let real = |path: &Path| path.canonicalize().map_err(|error| unreadable(path, &error.to_string()));
    if !real(path)?.starts_with(real(folder)?) {
        return Err(unreadable(path, "it is a link that leads out of the directory"));
    }
    match std::fs::metadata(path) {
        Ok(kind) if kind.is_file() => Ok(()),
        Ok(_) => Err(unreadable(path, "it is no regular file")),
        Err(error) => Err(unreadable(path, &error.to_string())),
    }
}

fn text(path: &Path) -> Result<String, Failure> {
    // A pipe would be waited for without end, so the kind is looked at before it is opened.
    let kind = std::fs::metadata(path).map_err(|error| unreadable(path, &error.to_string()))?;
    if !kind.is_file() {
        return Err(unreadable(path, "it is no regular file"));
    }
    let most = u64::try_from(LARGEST_FILE).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, &error.to_string()))?;
    if bytes.len() > LARGEST_FILE {
        return Err(unreadable(path, &format!("it holds more than {LARGEST_FILE} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| unreadable(path, "it is no text in UTF-8"))
}
