//! `--target-version` of looks at machines: which flags an upgrade would not know.

use clap::Args;

use super::environment::Defaults;

/// The version that machines are to get.
#[derive(Debug, Args)]
pub(super) struct TargetArgs {
    /// Before an upgrade: name what is set on machines and gone in this version of Kubernetes, such as 1.37;
    /// `METRICS_PREFLIGHT_TARGET_VERSION` stands in for it
    #[arg(long, value_name = "VERSION", value_parser = minor)]
    target_version: Option<u32>,
}

impl TargetArgs {
    /// Its minor number, or what holds where nothing is said.
    pub(super) fn minor(&self, defaults: &Defaults) -> Option<u32> {
        self.target_version.or(defaults.target_minor)
    }
}

/// The minor number of a version of Kubernetes 1.
pub(super) fn minor(text: &str) -> Result<u32, String> {
    crate::config::minor(text).ok_or_else(|| "give a version such as 1.34".to_owned())
}
