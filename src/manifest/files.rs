//! Which files are meant, and their text.

use std::collections::BTreeSet;
use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{FILE_BYTES, FILES, ManifestError};

/// A file to be read.
#[derive(Debug)]
pub(super) struct Input {
    /// As the user knows it; `-` is standard input.
    pub(super) name: String,
    /// Where it is; `None` for standard input.
    path: Option<PathBuf>,
    /// Whether the user named it, and not a directory around it.
    pub(super) is_named: bool,
}

/// What the names of a user lead to.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) files: Vec<Input>,
    /// Links in directories that lead out of them, and what there is besides files.
    pub(super) refused: Vec<(String, &'static str)>,
    seen: BTreeSet<PathBuf>,
}

/// The content of a file, or that it is too long.
pub(super) enum Content {
    Bytes(Vec<u8>),
    TooLong,
}

impl Inputs {
    /// Follows what the user named.
    pub(super) fn find(named: &[PathBuf]) -> Result<Self, ManifestError> {
        let mut inputs = Self::default();
        for path in named {
            if path == Path::new("-") {
                if inputs.files.iter().any(|input| input.path.is_none()) {
                    return Err(ManifestError::new("-", "standard input is named twice", "name `-f -` once"));
                }
                inputs.files.push(Input { name: "-".to_owned(), path: None, is_named: true });
                continue;
            }
            let kind = fs::metadata(path).map_err(|error| unreadable(path, &error))?.file_type();
            if kind.is_dir() {
                let before = inputs.files.len();
                let root = path.canonicalize().map_err(|error| unreadable(path, &error))?;
                inputs.walk(path, &root)?;
                if inputs.files.len() == before && inputs.refused.is_empty() && !inputs.holds_any(&root) {
                    return Err(ManifestError::new(
                        path.display(),
                        "the directory holds no .yaml, .yml or .json file",
                        "name the directory that the manifests are in",
                    ));
                }
            } else if kind.is_file() {
                let real = path.canonicalize().map_err(|error| unreadable(path, &error))?;
                inputs.add(path, real, true)?;
            } else {
                return Err(ManifestError::new(
                    path.display(),
                    format!("it is {} and no file", word(kind)),
                    "name a file or a directory, or hand the manifests over by `-f -`",
                ));
            }
        }
        Ok(inputs)
    }

    fn holds_any(&self, root: &Path) -> bool {
        self.seen.iter().any(|path| path.starts_with(root))
    }

    fn add(&mut self, path: &Path, real: PathBuf, is_named: bool) -> Result<(), ManifestError> {
        if !self.seen.insert(real) {
            return Ok(());
        }
        if self.files.len() == FILES {
            return Err(ManifestError::new(
                path.display(),
                format!("there are more than {FILES} files"),
                "name the directories that hold manifests of Kubernetes",
            ));
        }
        let name = path.display().to_string();
        self.files.push(Input { name, path: Some(path.to_owned()), is_named });
        Ok(())
    }

    /// Adds the manifests in a directory that the user named; `root` is what that is called without links.
    fn walk(&mut self, directory: &Path, root: &Path) -> Result<(), ManifestError> {
        let mut waiting = vec![directory.to_owned()];
        while let Some(directory) = waiting.pop() {
            let entries = fs::read_dir(&directory).map_err(|error| unreadable(&directory, &error))?;
            let mut entries: Vec<_> = entries
                .map(|entry| entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))))
                .collect::<io::Result<_>>()
                .map_err(|error| unreadable(&directory, &error))?;
            entries.retain(|(path, _)| !is_hidden(path));
            entries.sort_by(|one, other| one.0.cmp(&other.0));
            let mut below = Vec::new();
            for (path, kind) in entries {
                if kind.is_dir() {
                    below.push(path);
                } else if kind.is_symlink() {
                    self.link(&path, root)?;
                } else if is_manifest(&path) && kind.is_file() {
                    let real = path.canonicalize().map_err(|error| unreadable(&path, &error))?;
                    self.add(&path, real, false)?;
                } else if is_manifest(&path) {
                    self.refused.push((path.display().to_string(), word(kind)));
                }
            }
            waiting.extend(below.into_iter().rev());
        }
        Ok(())
    }

    /// A link in a directory: to a file within it, as in a mounted `ConfigMap`, it is followed. Directories within are
    /// met without it.
    fn link(&mut self, path: &Path, root: &Path) -> Result<(), ManifestError> {
        let Ok(real) = path.canonicalize() else {
            if is_manifest(path) {
                self.refused.push((path.display().to_string(), "a symbolic link to nothing"));
            }
            return Ok(());
        };
        if !real.starts_with(root) {
            if real.is_dir() || is_manifest(path) {
                self.refused.push((path.display().to_string(), "a symbolic link out of its directory"));
            }
        } else if real.is_file() && is_manifest(path) {
            self.add(path, real, false)?;
        }
        Ok(())
    }
}

impl Input {
    /// Its content.
    pub(super) fn read(&self, stdin: impl Read) -> Result<Content, ManifestError> {
        let Some(path) = &self.path else {
            return read_all(stdin).map_err(|error| {
                let hint = "check the program that writes it";
                ManifestError::new("-", format!("standard input cannot be read: {error}"), hint)
            });
        };
        let failed = |error: io::Error| unreadable(path, &error);
        let file = File::open(path).map_err(failed)?;
        // Between the look and the opening something else may have taken its place.
        let kind = file.metadata().map_err(failed)?.file_type();
        if !kind.is_file() {
            return Err(ManifestError::new(
                &self.name,
                format!("it is {} and no file", word(kind)),
                "name a file",
            ));
        }
        read_all(file).map_err(failed)
    }
}

fn read_all(source: impl Read) -> io::Result<Content> {
    let mut bytes = Vec::new();
    source.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    let is_too_long = u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES);
    Ok(if is_too_long { Content::TooLong } else { Content::Bytes(bytes) })
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_manifest(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ["yaml", "yml", "json"].iter().any(|known| ending.eq_ignore_ascii_case(known))
}

fn word(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else if kind.is_dir() {
        "a directory"
    } else {
        "a special file"
    }
}

fn unreadable(path: &Path, error: &io::Error) -> ManifestError {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "check the path; a relative one begins where the program is started",
        io::ErrorKind::PermissionDenied => "let the user who runs this read it",
        _ => "check the path",
    };
    ManifestError::new(path.display(), format!("it cannot be read: {error}"), hint)
}
