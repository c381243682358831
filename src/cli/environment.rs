//! Variables of the environment that stand in for flags.
//!
//! They are not declared to the parser of arguments: it could not tell a variable of the job from a flag that was given
//! beside `--replay` or `--no-config`, which it contradicts, and it blames the flag for what a variable holds.

use std::path::PathBuf;

use clap::ValueEnum as _;

use super::check::Kubelets;
use super::failure::{Failure, Kind};
use super::settings::FailOn;
use crate::collect::KubeletLook;
use crate::config::{self, Config};

/// The variables, by the flag that each stands in for.
const FAIL_ON: &str = "METRICS_PREFLIGHT_FAIL_ON";
const STRICT: &str = "METRICS_PREFLIGHT_STRICT";
const ALLOW_UNDECIDED: &str = "METRICS_PREFLIGHT_ALLOW_UNDECIDED";
const CONFIG: &str = "METRICS_PREFLIGHT_CONFIG";
const KUBELETS: &str = "METRICS_PREFLIGHT_KUBELETS";
const NAMESPACE: &str = "METRICS_PREFLIGHT_NAMESPACE";
const TARGET_VERSION: &str = "METRICS_PREFLIGHT_TARGET_VERSION";

/// What holds where no flag says otherwise.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    /// Whether to dial the kubelets.
    pub(super) kubelets: Option<KubeletLook>,
    /// The namespace.
    pub(super) namespace: Option<String>,
    /// The minor version of Kubernetes 1 that manifests are for.
    pub(super) target_minor: Option<u32>,
}

/// The configuration file that the environment names.
pub(super) fn config() -> Option<PathBuf> {
    std::env::var_os(CONFIG).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// What a flag says; where it is not given, what the environment does.
pub(super) fn or<T>(
    flag: Option<T>,
    variable: impl FnOnce() -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    match flag {
        Some(value) => Ok(Some(value)),
        None => variable(),
    }
}

/// The least severity that fails.
pub(super) fn fail_on() -> Result<Option<FailOn>, Failure> {
    value(FAIL_ON, "error or warning", |text| FailOn::from_str(text, false).ok())
}

/// Whether every open question counts.
pub(super) fn strict() -> Result<Option<bool>, Failure> {
    value(STRICT, "true or false", |text| text.parse().ok())
}

/// Whether an undecided verdict is good enough.
pub(super) fn allow_undecided() -> Result<Option<bool>, Failure> {
    value(ALLOW_UNDECIDED, "true or false", |text| text.parse().ok())
}

impl Defaults {
    /// Reads the environment, and behind it the file.
    pub(super) fn read(config: &Config) -> Result<Self, Failure> {
        let kubelets = |text: &str| Kubelets::from_str(text, false).ok().map(KubeletLook::from);
        let namespace = |text: &str| config::is_label(text).then(|| text.to_owned());
        Ok(Self {
            kubelets: value(KUBELETS, "auto, always or never", kubelets)?.or(config.kubelets),
            namespace: value(NAMESPACE, "the name of a namespace", namespace)?
                .or_else(|| config.namespace.clone()),
            target_minor: value(TARGET_VERSION, "a version such as 1.34", config::minor)?
                .or(config.target_minor),
        })
    }
}

/// A variable of the environment; an empty one is none.
fn value<T>(name: &str, wanted: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Failure> {
    let Some(text) = std::env::var_os(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let text = text.to_string_lossy();
    match read(&text) {
        Some(value) => Ok(Some(value)),
        None => Err(Failure::new(Kind::Usage, format!("{name} is {text:?}"))
            .hint(format!("Give {wanted}, or unset it."))),
    }
}
