//! `--config-map`: the report is kept in the cluster too.

use clap::Args;

use super::check::runtime;
use super::failure::{Failure, Kind};
use super::output::WIDTH;
use super::{Global, open};
use crate::config_map::{self, Content, Place, Trouble};
use crate::report::{Report, json, terminal};

/// Where else the report goes.
#[derive(Debug, Args)]
pub(super) struct ConfigMapArgs {
    /// Also keep the report in this ConfigMap, in place of an earlier one
    ///
    /// This is the one thing that `check` writes into a cluster. A ConfigMap that holds anything else is left alone.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub(super) config_map: Option<Place>,
}

impl ConfigMapArgs {
    /// Keeps the report, where that is wanted.
    pub(super) fn keep(&self, report: &Report, global: &Global) -> Result<(), Failure> {
        let Some(place) = &self.config_map else { return Ok(()) };
        let content = Content {
            table: anstream::adapter::strip_str(&terminal::render(report, WIDTH)).to_string(),
            document: json::render(&json::document(report, None)),
            exit: report.exit.code(),
            looked_at: report.evidence.taken_at.to_string(),
        };
        let runtime = runtime()?;
        let written = runtime.block_on(config_map::write(&open::options(global), place, &content));
        runtime.shutdown_background();
        written.map_err(|trouble| explain(place, trouble))
    }
}

fn explain(place: &Place, trouble: Trouble) -> Failure {
    let failed = |why: String| {
        Failure::new(Kind::Output, format!("cannot keep the report in ConfigMap {place}")).context(why)
    };
    match trouble {
        Trouble::Configuration(error) => Failure::from_sentence(Kind::Configuration, &error.to_string()),
        Trouble::Foreign => failed("it holds something that is no report of this program".to_owned())
            .hint("Name another ConfigMap; one that is empty or not there yet will do."),
        Trouble::Lost(words) => failed(words),
        Trouble::Refused(verb, status, words) => {
            let failure = failed(format!("status {status} to the verb {verb}: {words}"));
            match status {
                403 => failure.hint(format!(
                    "`metrics-preflight rbac --config-map {place}` prints a role that allows it."
                )),
                404 => failure.hint(format!("Is there a namespace {}?", place.namespace)),
                409 => failure.hint("Somebody else has written to it at the same time."),
                _ => failure,
            }
        }
    }
}
