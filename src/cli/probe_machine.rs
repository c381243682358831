//! `probe-machine` and `probe-page`: what runs in the pod of `probe --host`. Hidden: nobody calls them but the manifest.

use std::path::PathBuf;

use clap::Args;

use super::check::runtime;
use super::probe_inside::say;
use crate::exit::Exit;
use crate::probe::machine::inside;
use crate::source::MachineOptions;
use crate::ui::Ui;

/// Look at the machine whose root is mounted, and say what it is
#[derive(Debug, Args)]
pub(super) struct MachineArgs {
    /// Where its root is
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// What it is called
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Where the pages lie that other containers say
    #[arg(long, value_name = "DIR")]
    pages: PathBuf,
    /// Dial an address from there
    #[arg(long, value_name = "ADDRESS:PORT")]
    dial: Vec<String>,
}

/// Say a page of what another container has seen
#[derive(Debug, Args)]
pub(super) struct PageArgs {
    /// Where the pages lie
    #[arg(long, value_name = "DIR")]
    pages: PathBuf,
    /// Which of them
    #[arg(long, value_name = "NUMBER")]
    number: usize,
}

pub(super) fn look(args: MachineArgs, ui: Ui) -> Exit {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(failure) => return failure.tell(ui),
    };
    let options = MachineOptions { root: args.root, name: Some(args.name), dials: args.dial };
    let said = runtime.block_on(inside::look(&options, &args.pages));
    // A file system that hangs must not hold up the end.
    runtime.shutdown_background();
    match said {
        Ok(said) => say(&said, ui),
        Err(why) => {
            say(&why, ui);
            Exit::Undecided
        }
    }
}

pub(super) fn page(args: &PageArgs, ui: Ui) -> Exit {
    match inside::page(&args.pages, args.number) {
        Some(said) => say(&said, ui),
        None => Exit::Clean,
    }
}
