//! Runs scenarios on the real cluster.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use scenarios::run::{Plan, are_current, run};

/// Inject faults into real clusters, look at them, and run the printed cures.
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
#[derive(Debug, Parser)]
struct Arguments {
    /// The scenarios to run; all of them when none is named.
    names: Vec<String>,
    /// The fixed core, and those whose checks have changed since the results were written.
    #[arg(long, conflicts_with = "names")]
    core: bool,
    /// How many clusters run side by side; one takes 2 GB of memory.
    #[arg(long, default_value_t = 3)]
    jobs: usize,
    /// The program to test.
    #[arg(long, default_value = "target/release/metrics-preflight")]
    program: PathBuf,
    /// Write the recordings and the results of passing scenarios into the repository.
    #[arg(long)]
    record: bool,
    /// Leave the cluster of a failing scenario running, to look at it.
    #[arg(long)]
    keep: bool,
    /// List the scenarios.
    #[arg(long)]
    list: bool,
    /// Run nothing, and fail when a result is older than the checks that it stands for.
    #[arg(long)]
    stale: bool,
}

fn main() -> ExitCode {
    cluster::hook();
    let arguments = Arguments::parse();
    if arguments.list {
        for scenario in scenarios::SCENARIOS {
            let core = if scenario.core { "core" } else { "" };
            println!("{:36}{core:6}{}", scenario.name, scenario.about);
        }
        return ExitCode::SUCCESS;
    }
    if arguments.stale {
        return exit(are_current());
    }
    let plan = Plan {
        names: arguments.names,
        core: arguments.core,
        jobs: arguments.jobs.max(1),
        // It runs on hosts too, whose working directory is another.
        program: std::path::absolute(&arguments.program).unwrap_or(arguments.program),
        record: arguments.record,
        keep: arguments.keep,
    };
    exit(run(&plan))
}

fn exit(outcome: anyhow::Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
