//! What a run of `check` or `gate` goes by: flags before the environment before the configuration file.

use std::path::{Path, PathBuf};

use checks::check::Severity;
use checks::diagnosis::Policy;
use clap::{Args, ValueEnum};

use super::baseline::{self, Baseline};
use super::environment::{self, Defaults};
use super::failure::{Failure, Kind};
use crate::config::{self, Config};
use crate::ui::Ui;

/// The configuration file, and what goes before it.
#[derive(Debug, Args)]
pub(super) struct SettingArgs {
    /// The least severity that fails; error if nothing says otherwise. `METRICS_PREFLIGHT_FAIL_ON` stands in for it
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<FailOn>,
    /// Let every open question leave the verdict undecided; `METRICS_PREFLIGHT_STRICT` stands in for it
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true
    )]
    strict: Option<bool>,
    /// Exit with 0 instead of 3 when the verdict is undecided; `METRICS_PREFLIGHT_ALLOW_UNDECIDED` stands in for it
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true
    )]
    allow_undecided: Option<bool>,
    /// The configuration file, instead of `metrics-preflight.yaml` in the current directory;
    /// `METRICS_PREFLIGHT_CONFIG` stands in for it
    #[arg(long, value_name = "FILE", conflicts_with = "no_config")]
    config: Option<PathBuf>,
    /// Read no configuration file
    #[arg(long)]
    no_config: bool,
    /// Fail on what is new only: on no finding of this earlier report, which `-o json` wrote
    #[arg(long, value_name = "FILE")]
    pub(super) baseline: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum FailOn {
    /// What is broken now, or open to anyone on the network
    Error,
    /// Also what works but is unsafe or going to break
    Warning,
}

impl From<FailOn> for Severity {
    fn from(fail_on: FailOn) -> Self {
        match fail_on {
            FailOn::Error => Self::Error,
            FailOn::Warning => Self::Warning,
        }
    }
}

/// What a run goes by.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// What counts as a failure.
    pub(super) policy: Policy,
    /// Whether an undecided verdict is good enough.
    pub(super) allow_undecided: bool,
    /// The configuration file, for what has no flag here.
    pub(super) config: Config,
    /// What holds where no flag of the command says otherwise.
    pub(super) defaults: Defaults,
    /// What was known before.
    pub(super) baseline: Option<Baseline>,
}

impl SettingArgs {
    /// The configuration file that will be read.
    pub(super) fn file(&self) -> Option<PathBuf> {
        let named = self.config.clone().or_else(environment::config);
        if self.no_config { None } else { config::find(named.as_deref()) }
    }

    /// Reads the file, and puts flags and environment before it. What the file sets is told.
    pub(super) fn load(&self, file: Option<&Path>, mode: &str, ui: Ui) -> Result<Settings, Failure> {
        let config = match file {
            Some(path) => read(path)?,
            None => Config::default(),
        };
        if file.is_some() {
            let set = config.settings();
            let what = if set.is_empty() { "nothing".to_owned() } else { set.join(", ") };
            ui.note(&format!("{} sets: {what}.", config.name));
        }
        let fail_on = environment::or(self.fail_on, environment::fail_on)?.map(Severity::from);
        let strict = environment::or(self.strict, environment::strict)?;
        let allow_undecided = environment::or(self.allow_undecided, environment::allow_undecided)?;
        let policy = Policy {
            fail_on: fail_on.or(config.fail_on).unwrap_or(Severity::Error),
            strict: strict.or(config.strict).unwrap_or(false),
        };
        let allow_undecided = allow_undecided.or(config.allow_undecided).unwrap_or(false);
        let baseline = self.baseline.as_deref().map(|path| baseline::read(path, mode)).transpose()?;
        let defaults = Defaults::read(&config)?;
        Ok(Settings { policy, allow_undecided, config, defaults, baseline })
    }
}

fn read(path: &Path) -> Result<Config, Failure> {
    config::read(path).map_err(|problems| {
        let failure = Failure::new(Kind::Configuration, "the configuration file cannot be used");
        let failure = problems
            .iter()
            .fold(failure, |failure, problem| problem.to_string().lines().fold(failure, Failure::context));
        failure.hint("docs/src/configuration.md shows what it may say; `--no-config` goes without it.")
    })
}
