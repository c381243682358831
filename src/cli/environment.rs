//! Variables of the environment that stand in for flags which a recording does not take.
//!
//! They are not declared to the parser of arguments: it could not tell a variable of the job from a flag that was given
//! beside `--replay` or `--no-config`, which it contradicts.

use std::path::PathBuf;

use clap::ValueEnum as _;

use super::check::Kubelets;
use super::failure::{Failure, Kind};
use crate::collect::KubeletLook;
use crate::config::{self, Config};

/// The variables, by the flag that each stands in for.
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
