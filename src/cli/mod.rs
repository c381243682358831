//! The command line, one file a subcommand. The doc comments are the help text.

mod baseline;
mod bug;
mod capture;
mod check;
mod config_map;
mod confirm;
mod duration;
mod environment;
mod explain;
mod failure;
mod files;
mod gate;
mod host;
mod interrupt;
mod list;
mod look;
mod observe;
mod open;
mod output;
mod probe;
mod probe_inside;
#[cfg(target_os = "linux")]
mod probe_machine;
mod probe_said;
mod rbac;
mod rule_files;
mod rules;
mod settings;
mod target;
mod with;

use std::path::PathBuf;
use std::time::Duration;

use anstream::ColorChoice;
use checks::check::Check;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use failure::Failure;

use crate::exit::Exit;
use crate::ui::Ui;

/// Diagnoses the Kubernetes metrics pipeline, from the kubelet to the HPA
///
/// Finds out why the Metrics API, metrics-server or an autoscaler does not work on a cluster: names the root
/// cause, its proof and its cure. Every subcommand but `probe` only reads; nothing in the cluster is changed.
#[derive(Debug, Parser)]
#[command(name = "metrics-preflight", version, propagate_version = true, after_long_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes:
  0    nothing was found at or above the threshold
  1    something was found
  2    the arguments, a configuration or an input file cannot be used
  3    undecided: a question that the verdict rests on is open
  4    the cluster cannot be reached
  5    a defect of this program
  130  interrupted";

/// What every subcommand understands.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The context of the kubeconfig to use, instead of the current one
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// The kubeconfig to read, instead of `$KUBECONFIG` or `~/.kube/config`
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// How long a single request may take, such as 30s
    #[arg(long, global = true, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    timeout: Duration,
    /// Tell of every request on standard error
    #[arg(short, long, global = true)]
    verbose: bool,
    /// When to colour the output
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Color {
    /// On a terminal, unless the environment forbids it (`NO_COLOR`, `CLICOLOR=0`, `TERM=dumb`)
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl From<Color> for ColorChoice {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => Self::Auto,
            Color::Always => Self::Always,
            Color::Never => Self::Never,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::CheckArgs),
    Gate(gate::GateArgs),
    Host(host::HostArgs),
    Capture(capture::CaptureArgs),
    Probe(probe::ProbeArgs),
    #[command(hide = true)]
    ProbeInside(probe_inside::InsideArgs),
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    ProbeMachine(probe_machine::MachineArgs),
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    ProbePage(probe_machine::PageArgs),
    Explain(explain::ExplainArgs),
    List(list::ListArgs),
    Rbac(rbac::RbacArgs),
    Rules(rules::RulesArgs),
}

/// Parses the arguments and runs the subcommand.
pub(crate) fn main() -> Exit {
    bug::be_quiet();
    let cli = match parse(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(error) => {
            // A reader of the help who has gone away is no error.
            let _ = error.print();
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
                return Exit::Clean;
            }
            refused(&error);
            return Exit::Usage;
        }
    };
    let ui = Ui::new(cli.global.color.into(), cli.global.verbose);
    match cli.command {
        Command::Check(args) => check::run(&args, &cli.global, ui),
        Command::Gate(args) => gate::run(&args, &cli.global, ui),
        Command::Host(args) => host::run(args, ui),
        Command::Probe(args) => probe::run(&args, &cli.global, ui),
        Command::ProbeInside(args) => probe_inside::run(&args, ui),
        #[cfg(target_os = "linux")]
        Command::ProbeMachine(args) => probe_machine::look(args, ui),
        #[cfg(target_os = "linux")]
        Command::ProbePage(args) => probe_machine::page(&args, ui),
        Command::Capture(args) => capture::run(&args, &cli.global, ui),
        Command::Explain(args) => explain::run(&args, ui),
        Command::List(args) => list::run(&args, ui),
        Command::Rbac(args) => rbac::run(&args, ui),
        Command::Rules(args) => rules::run(&args, ui),
    }
}

/// Whoever asked for a document gets one, although the other arguments cannot be used.
fn refused(error: &clap::Error) {
    let args: Vec<String> = std::env::args_os().filter_map(|arg| arg.into_string().ok()).collect();
    if args.iter().any(|arg| ["check", "gate", "host", "probe"].contains(&arg.as_str())) {
        check::refused(&args, &Failure::of_arguments(error));
    }
}

fn parse(args: Vec<std::ffi::OsString>) -> Result<Cli, clap::Error> {
    let called = args.first().map(PathBuf::from).unwrap_or_default();
    let stem = called.file_stem().unwrap_or_default().to_string_lossy();
    let plugin = stem.starts_with("kubectl-");
    let name = if plugin { "kubectl metrics-preflight" } else { "metrics-preflight" };
    let matches = Cli::command().bin_name(name).try_get_matches_from(args)?;
    Cli::from_arg_matches(&matches)
}

/// Every check of this program.
fn catalogue() -> &'static [Check] {
    checks::registry::CHECKS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(name: &str) -> String {
        parse(vec![name.into(), "check".into(), "--help".into()]).expect_err("help").to_string()
    }

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_plugin_of_kubectl_says_so() {
        assert!(help("/opt/kubectl-metrics_preflight").contains("Usage: kubectl metrics-preflight check"));
        assert!(help("metrics-preflight").contains("Usage: metrics-preflight check"));
    }
}
