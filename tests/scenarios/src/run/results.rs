//! The results file: what passed, with which versions, and which checks it stood for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::root;
use crate::{SCENARIOS, Scenario};

/// What the last runs said.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Results {
    /// The scenarios by name.
    scenarios: BTreeMap<String, Verdict>,
}

/// What the last run of a scenario said.
#[derive(Debug, Serialize, Deserialize)]
struct Verdict {
    /// Whether it passed.
    passed: bool,
    /// How long it took, in seconds.
    seconds: u64,
    /// The commit that it ran on; with `+` when there were changes.
    commit: String,
    /// Kubernetes and metrics-server.
    versions: String,
    /// The sources of the checks that it stands for, as they were: SHA-256 by name.
    checks: BTreeMap<String, String>,
}

fn file() -> PathBuf {
    root().join("tests/scenarios/results.json")
}

fn read() -> Result<Results> {
    match std::fs::read(file()) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).with_context(|| format!("{} is no results file", file().display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Results::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file().display())),
    }
}

/// The checks that a scenario stands for, each with the digest of its source.
fn checks(scenario: &Scenario) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for name in scenario.looks.iter().flat_map(|look| look.expect.roots) {
        let path = source(name).with_context(|| format!("no check is called {name}"))?;
        let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let digest = Sha256::digest(&text).iter().fold(String::new(), |mut digest, byte| {
            // Writing to a String cannot fail.
            let _ = write!(digest, "{byte:02x}");
            digest
        });
        found.insert((*name).to_owned(), digest);
    }
    Ok(found)
}

/// The file of a check: its name with underscores, in the folder of its hop.
fn source(name: &str) -> Option<PathBuf> {
    let file = format!("{}.rs", name.replace('-', "_"));
    let hops = std::fs::read_dir(root().join("checks")).ok()?;
    hops.flatten().map(|hop| hop.path().join(&file)).find(|path| path.is_file())
}

/// The scenarios without a passing result for their checks as they are now.
pub(super) fn stale() -> Result<Vec<String>> {
    let results = read()?;
    let mut stale = Vec::new();
    for scenario in SCENARIOS {
        let last = results.scenarios.get(scenario.name).filter(|last| last.passed);
        if last.is_none_or(|last| checks(scenario).map_or(true, |now| now != last.checks)) {
            stale.push(scenario.name.to_owned());
        }
    }
    Ok(stale)
}

/// Adds the outcomes to the results file.
pub(super) fn write(outcomes: &[(&'static Scenario, bool, u64)]) -> Result<()> {
    let mut results = read()?;
    let commit = commit();
    for (scenario, passed, seconds) in outcomes {
        let verdict = Verdict {
            passed: *passed,
            seconds: *seconds,
            commit: commit.clone(),
            versions: format!(
                "Kubernetes {}, metrics-server {}",
                cluster::KUBERNETES_VERSION,
                cluster::METRICS_SERVER_VERSION
            ),
            checks: checks(scenario)?,
        };
        results.scenarios.insert(scenario.name.to_owned(), verdict);
    }
    results.scenarios.retain(|name, _| SCENARIOS.iter().any(|scenario| scenario.name == *name));
    let text = serde_json::to_string_pretty(&results)?;
    std::fs::write(file(), text + "\n").with_context(|| format!("cannot write {}", file().display()))
}

fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root()).args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let mut commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    if git(&["status", "--porcelain", "--", "src", "checks"]).is_some_and(|changes| !changes.is_empty()) {
        commit.push('+');
    }
    commit
}
