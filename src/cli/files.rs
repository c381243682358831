//! Writing a file so that its reader sees the old or the new one, never half of it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::failure::{Failure, Kind, no_output};
use crate::source::Recording;
use crate::ui::Ui;

/// Writes a recording to the path, or to standard output for `-`.
pub(super) fn write_recording(path: &Path, recording: &Recording) -> Result<(), Failure> {
    let bytes = recording
        .to_bytes()
        .map_err(|error| Failure::new(Kind::Bug, "cannot write the recording").context(error.to_string()))?;
    if path == Path::new("-") {
        return Ui::out_bytes(&bytes).map_err(|error| no_output(&error));
    }
    let staged = Staged::new(path, &bytes, Readers::Owner).and_then(Staged::commit);
    staged.map_err(|error| cannot_write(path, &error))
}

/// Writes reports: when one of them cannot be written, none is.
pub(super) fn write_reports(reports: &[(&Path, String)]) -> Result<(), Failure> {
    let mut staged = Vec::new();
    for (path, text) in reports {
        let file = Staged::new(path, text.as_bytes(), Readers::Others);
        staged.push((path, file.map_err(|error| cannot_write(path, &error))?));
    }
    staged.into_iter().try_for_each(|(path, file)| file.commit().map_err(|error| cannot_write(path, &error)))
}

/// Whether a file can be written later; nothing stays behind.
pub(super) fn can_be_written(path: &Path) -> Result<(), Failure> {
    match Staged::new(path, b"", Readers::Others) {
        Ok(_) => Ok(()),
        Err(error) => Err(cannot_write(path, &error)),
    }
}

/// Whether two paths name one file.
pub(super) fn are_same(one: &Path, other: &Path) -> bool {
    resolved(one) == resolved(other)
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let failure =
        Failure::new(Kind::Output, format!("cannot write {}", path.display())).context(error.to_string());
    match folder(path) {
        folder if !folder.exists() => {
            failure.hint(format!("The folder {} does not exist; make it first.", folder.display()))
        }
        _ => failure,
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The path without links and dots, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| match (fs::canonicalize(folder(path)), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_path_buf(),
    })
}

/// Who may read a new file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    /// Its owner alone: a recording describes a cluster.
    Owner,
    /// Whoever the process's mask lets: a report is to be shown.
    Others,
}

/// A file that is written in full beside its place and only has to be renamed. Without that it goes again.
enum Staged {
    Beside {
        beside: Scratch,
        path: PathBuf,
    },
    /// A pipe, a terminal or `/dev/null`: renaming would put a file in its place.
    Direct {
        path: PathBuf,
        bytes: Vec<u8>,
    },
}

/// A file that is removed with this value.
struct Scratch(PathBuf);

impl Staged {
    fn new(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<Self> {
        let stands = fs::metadata(path).ok();
        if let Some(stands) = &stands
            && !stands.is_file()
        {
            if stands.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            return Ok(Self::Direct { path: path.to_path_buf(), bytes: bytes.to_vec() });
        }
        // What a link points to is replaced, not the link.
        let path = if stands.is_some() { fs::canonicalize(path)? } else { path.to_path_buf() };
        let beside = path.with_file_name(name_beside(&path)?);
        let mut file = create(&beside, readers)?;
        let beside = Scratch(beside);
        file.write_all(bytes)?;
        if let Some(stands) = stands
            && readers == Readers::Others
        {
            file.set_permissions(stands.permissions())?;
        }
        if readers == Readers::Owner {
            // What was seen cannot be seen again after a power failure; a report is made anew from it.
            file.sync_all()?;
        }
        Ok(Self::Beside { beside, path })
    }

    fn commit(self) -> io::Result<()> {
        match self {
            // The scratch file has moved when it is to be removed, and there is nothing to remove.
            Self::Beside { beside, path } => fs::rename(&beside.0, path),
            Self::Direct { path, bytes } => {
                let mut file = File::options().write(true).open(path)?;
                file.write_all(&bytes)
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The first error is the one to tell of.
        let _ = fs::remove_file(&self.0);
    }
}

fn name_beside(path: &Path) -> io::Result<OsString> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    Ok(name)
}

fn create(path: &Path, readers: Readers) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if readers == Readers::Owner {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own for a test, removed with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("metrics-preflight-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a scratch directory");
            Self(path)
        }

        fn entries(&self) -> usize {
            fs::read_dir(&self.0).expect("the directory").count()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn replace(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
        Staged::new(path, bytes, readers)?.commit()
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = Folder::new("replace");
        let path = folder.0.join("recording.json");
        replace(&path, b"one", Readers::Owner).expect("a new file");
        replace(&path, b"two", Readers::Owner).expect("a changed file");
        assert_eq!(fs::read_to_string(&path).expect("the file"), "two");
        assert_eq!(folder.entries(), 1);
        assert!(replace(&folder.0.join("missing/file"), b"three", Readers::Owner).is_err());
        assert!(replace(&folder.0, b"four", Readers::Others).is_err());
    }

    #[test]
    fn one_report_that_cannot_be_written_keeps_the_others_from_it() {
        let folder = Folder::new("none");
        let (good, bad) = (folder.0.join("good"), folder.0.join("missing/bad"));
        fs::write(&good, "old").expect("a file");
        let failure = write_reports(&[(&good, "new".to_owned()), (&bad, "new".to_owned())]);
        assert_eq!(failure.expect_err("no such folder").kind, Kind::Output);
        assert_eq!(fs::read_to_string(&good).expect("the file"), "old");
        assert_eq!(folder.entries(), 1);
        can_be_written(&good).expect("it can");
        assert_eq!(fs::read_to_string(&good).expect("the file"), "old");
        assert_eq!(folder.entries(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_stay_what_they_are() {
        use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
        let folder = Folder::new("links");
        let (file, link) = (folder.0.join("file"), folder.0.join("link"));
        fs::write(&file, "old").expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("its mode");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        assert!(are_same(&file, &link) && !are_same(&file, &folder.0.join("other")));
        assert!(are_same(&folder.0.join("new"), &folder.0.join("./new")));
        replace(&link, b"new", Readers::Others).expect("it can be written");
        assert!(fs::symlink_metadata(&link).expect("the link").is_symlink());
        assert_eq!(fs::read_to_string(&file).expect("the file"), "new");
        assert_eq!(fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o640);
        replace(Path::new("/dev/null"), b"gone", Readers::Others).expect("it takes everything");
        assert!(fs::metadata("/dev/null").expect("the device").file_type().is_char_device());
    }
}
