//! Writing a file so that its reader sees the old or the new one, never half of it.

use std::io::Write as _;
use std::path::Path;

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
    replace(path, &bytes).map_err(|error| {
        Failure::new(Kind::Output, format!("cannot write {}", path.display())).context(error.to_string())
    })
}

/// Writes beside the file and renames; what was begun is removed when that fails.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().ok_or(std::io::ErrorKind::InvalidFilename)?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(name);
    let written = create(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // The first error is the one to tell of.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

/// A new file that only its owner reads: a recording describes a cluster.
fn create(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let directory = std::env::temp_dir().join(format!("metrics-preflight-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a scratch directory");
        let path = directory.join("recording.json");
        replace(&path, b"one").expect("a new file");
        replace(&path, b"two").expect("a changed file");
        assert_eq!(std::fs::read_to_string(&path).expect("the file"), "two");
        assert_eq!(std::fs::read_dir(&directory).expect("the directory").count(), 1);
        std::fs::remove_dir_all(&directory).expect("its end");
        assert!(replace(&path, b"three").is_err());
    }
}
