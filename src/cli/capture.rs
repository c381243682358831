//! `capture`: records what `check` would ask.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Global;
use super::check::{Scope, runtime};
use super::environment::Defaults;
use super::failure::Failure;
use super::interrupt::Interrupt;
use super::look::{arguments, gather};
use super::observe::connected;
use super::{bug, files};
use crate::config::Config;
use crate::exit::Exit;
use crate::source::Recording;
use crate::ui::Ui;

/// Record what `check` would ask, redacted, to be diagnosed elsewhere
///
/// The file holds the declared fields of the objects that the checks read, and no Secret, no log text and no
/// environment but what the checks know. `check --replay FILE` gives the report that `check` would have given.
#[derive(Debug, Args)]
pub(super) struct CaptureArgs {
    /// The file to write; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Record what `check --before-install` would ask
    #[arg(long)]
    before_install: bool,
    #[command(flatten)]
    scope: Scope,
}

pub(super) fn run(args: &CaptureArgs, global: &Global, ui: Ui) -> Exit {
    let result = bug::caught(|| {
        let runtime = runtime()?;
        let recorded = runtime.block_on(record(args, global, ui));
        runtime.shutdown_background();
        let (recording, interrupted) = recorded?;
        files::write_recording(&args.output, &recording)?;
        tell(&recording, &args.output, interrupted, ui);
        Ok(if interrupted { Exit::Interrupted } else { Exit::Clean })
    });
    result.unwrap_or_else(|failure| failure.tell(ui))
}

async fn record(args: &CaptureArgs, global: &Global, ui: Ui) -> Result<(Recording, bool), Failure> {
    let stop = Interrupt::listen().await;
    let options = args.scope.options(args.before_install, &Defaults::read(&Config::default())?);
    let source = connected(global, &stop, ui).await?;
    let (source, _, interrupted) = gather(source, &options, &stop, ui).await?;
    Ok((source.recording(arguments(&options)), interrupted))
}

/// Says what was written: on standard error, because standard output may be the recording.
fn tell(recording: &Recording, path: &Path, interrupted: bool, ui: Ui) {
    let where_to =
        if path == Path::new("-") { "standard output".to_owned() } else { path.display().to_string() };
    let count = recording.observations.len();
    ui.note(&format!("Wrote {count} observations to {where_to}."));
    match recording.header.masked {
        0 => ui.note("Nothing slipped through the list of fields that are kept."),
        1 => ui.note("1 string looked like a secret and was masked."),
        masked => ui.note(&format!("{masked} strings looked like secrets and were masked.")),
    }
    if interrupted {
        ui.note("It was interrupted: what was not asked by then is missing, and undecided in a replay.");
    }
}
