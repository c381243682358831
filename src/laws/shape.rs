//! What the manifests must say for the laws to hold in the program that users run.

use std::path::Path;

fn manifest(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The keys of a table of a manifest.
fn keys(manifest: &str, table: &str) -> Vec<String> {
    let body = manifest.lines().skip_while(|line| line.trim() != table).skip(1);
    body.take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['=', '.', ' ']).next())
        .filter(|key| !key.is_empty() && !key.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_panic_can_be_caught_in_the_release_too() {
    let keys = keys(&manifest("Cargo.toml"), "[profile.release]");
    assert!(keys.contains(&"lto".to_owned()), "{keys:?}");
    assert!(!keys.contains(&"panic".to_owned()), "with panic=abort one check ends the whole program");
}

#[test]
fn the_checks_cannot_reach_the_world() {
    let keys = keys(&manifest("checks/Cargo.toml"), "[dependencies]");
    assert!(keys.contains(&"serde".to_owned()), "{keys:?}");
    for forbidden in ["tokio", "kube", "reqwest", "hyper", "rustls", "futures", "http"] {
        assert!(!keys.contains(&forbidden.to_owned()), "the checks depend on {forbidden}");
    }
}
