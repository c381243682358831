//! Asks the HPA controller of a real cluster about every case.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use gate_cases::run::{Plan, run};

/// Apply the cases to real clusters and write down what the HPA controller does with them.
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
#[derive(Debug, Parser)]
struct Arguments {
    /// The cases to run; all of them when none is named.
    names: Vec<String>,
    /// A program whose `gate` is asked about each case before its HPAs are created, and compared with the controller.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Where to write what that program answered.
    #[arg(long, requires = "program")]
    answers: Option<PathBuf>,
    /// Compare that program with oracle.json, and do not ask the controller anew.
    #[arg(long, requires = "program", conflicts_with = "record")]
    recorded: bool,
    /// A folder for the recordings of that program, one for each case and moment.
    #[arg(long, requires = "program")]
    recordings: Option<PathBuf>,
    /// Write the outcome of the cases that ran into oracle.json.
    #[arg(long)]
    record: bool,
    /// Leave the clusters running.
    #[arg(long)]
    keep: bool,
    /// List the cases.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    cluster::hook();
    let arguments = Arguments::parse();
    let plan = Plan {
        names: arguments.names,
        program: arguments.program,
        answers: arguments.answers,
        recorded: arguments.recorded,
        recordings: arguments.recordings,
        record: arguments.record,
        keep: arguments.keep,
        list: arguments.list,
    };
    match run(&plan) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
