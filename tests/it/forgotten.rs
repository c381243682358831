//! A file that nobody declares is never compiled, and nobody notices: its tests never fail.

use std::path::{Path, PathBuf};

use crate::tree::{entries, read, root, rust_files};

/// The folders of sources, each with the file that its crate begins with.
const CRATES: &[(&str, &[&str])] = &[
    ("src", &["main.rs"]),
    ("checks", &["lib.rs"]),
    ("tests/it", &["main.rs"]),
    ("tests/scenarios/src", &["lib.rs", "main.rs"]),
    ("tests/cluster/src", &["lib.rs", "main.rs"]),
    ("tests/filter/src", &["main.rs"]),
    ("tests/gate/src", &["lib.rs", "main.rs"]),
];

/// The files in which a module can be declared that lives in this file.
fn parents(folder: &Path, file: &Path, roots: &[&str]) -> Vec<PathBuf> {
    let parent = file.parent().expect("a folder");
    let above = if file.ends_with("mod.rs") { parent.parent().expect("a folder") } else { parent };
    if above == folder {
        return roots.iter().map(|name| folder.join(name)).collect();
    }
    vec![above.join("mod.rs"), above.with_extension("rs")]
}

/// The name of the module that lives in this file.
fn module(file: &Path) -> String {
    let named = if file.ends_with("mod.rs") { file.parent().expect("a folder") } else { file };
    named.file_stem().expect("a name").to_string_lossy().into_owned()
}

/// Whether a neighbour declares the file by its name: `#[path = "..."]`.
fn is_named_by_a_neighbour(file: &Path) -> bool {
    let folder = file.parent().expect("a folder");
    let attribute = format!("#[path = \"{}\"]", file.file_name().expect("a name").display());
    let neighbours = entries(folder).into_iter().map(|name| folder.join(name)).filter(|path| path.is_file());
    neighbours.filter(|path| path != file).any(|path| read(&path).contains(&attribute))
}

/// Whether a text declares a module, with whatever visibility.
fn declares(text: &str, module: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim();
        let rest = line.strip_prefix("mod ").or_else(|| line.split_once(") mod ").map(|(_, rest)| rest));
        let rest = rest.or_else(|| line.strip_prefix("pub mod "));
        rest.and_then(|rest| rest.strip_suffix(';')) == Some(module)
    })
}

#[test]
fn every_source_file_is_declared() {
    let mut forgotten = Vec::new();
    for (folder, roots) in CRATES {
        let folder = root().join(folder);
        for file in rust_files(&folder) {
            if roots.iter().any(|name| file == folder.join(name)) {
                continue;
            }
            let module = module(&file);
            let declared = parents(&folder, &file, roots)
                .iter()
                .filter(|parent| parent.exists())
                .any(|parent| declares(&read(parent), &module));
            if !declared && !is_named_by_a_neighbour(&file) {
                forgotten.push(file);
            }
        }
    }
    assert!(forgotten.is_empty(), "no `mod` names these files, so they are never compiled: {forgotten:#?}");
}

#[test]
fn every_member_of_the_workspace_is_known_here() {
    let manifest = read(&root().join("Cargo.toml"));
    let (_, rest) = manifest.split_once("members = [").expect("a list of members");
    let (members, _) = rest.split_once(']').expect("its end");
    for member in members.split(',').map(|member| member.trim().trim_matches('"')) {
        let known = CRATES.iter().any(|(folder, _)| folder.trim_end_matches("/src") == member);
        assert!(known, "add {member} to the folders that this test looks at");
    }
}
