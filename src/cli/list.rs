//! `list`: all checks.

use checks::diagnosis::{EXPIRED, UNUSED};
use clap::{Args, ValueEnum};

use super::failure::{Failure, no_output};
use super::rules::RuleArgs;
use crate::exit::Exit;
use crate::report::{catalogue, clean};
use crate::ui::Ui;

/// List all checks
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// How to print them
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    #[command(flatten)]
    rules: RuleArgs,
}

/// How the list is printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// One JSON document
    Json,
}

pub(super) fn run(args: &ListArgs, ui: Ui) -> Exit {
    match print(args, ui) {
        Ok(()) => Exit::Clean,
        Err(failure) => failure.tell(ui),
    }
}

fn print(args: &ListArgs, ui: Ui) -> Result<(), Failure> {
    let mut checks = args.rules.checks()?;
    // They are of no link of the chain, and found wherever there are waivers.
    checks.extend([EXPIRED, UNUSED]);
    let written = match args.output {
        Format::Table => ui.out(&clean(&catalogue::table(&checks))),
        Format::Json => Ui::out_bytes(catalogue::json(&checks).as_bytes()),
    };
    written.map_err(|error| no_output(&error))
}
