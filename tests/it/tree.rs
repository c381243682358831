//! The files of the repository.

use std::path::{Path, PathBuf};

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names of the files and folders in a folder, sorted; none when there is no such folder.
pub(crate) fn entries(folder: &Path) -> Vec<String> {
    let Ok(list) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        list.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The files in a folder whose names have this ending, without it, sorted.
pub(crate) fn stems(folder: &Path, ending: &str) -> Vec<String> {
    entries(folder).iter().filter_map(|name| name.strip_suffix(ending)).map(str::to_owned).collect()
}

/// The text of a file of the repository.
pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file below a folder.
pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in entries(folder) {
        let path = folder.join(&name);
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}
