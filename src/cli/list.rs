//! `list`: all checks.

use clap::{Args, ValueEnum};

use super::failure::no_output;
use crate::exit::Exit;
use crate::report::catalogue;
use crate::ui::Ui;

/// List all checks
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// How to print them
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
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
    let written = match args.output {
        Format::Table => ui.out(&catalogue::table(super::catalogue())),
        Format::Json => Ui::out_bytes(catalogue::json(super::catalogue()).as_bytes()),
    };
    match written {
        Ok(()) => Exit::Clean,
        Err(error) => no_output(&error).tell(ui),
    }
}
