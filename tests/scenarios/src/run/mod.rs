//! The runner: a cluster a scenario, several side by side.

mod autoscalers;
mod by_hand;
mod cure;
mod fault;
mod look;
mod machines;
mod pods;
mod policies;
mod probes;
mod results;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Result, bail};
use cluster::Cluster;

use crate::{Cure, SCENARIOS, Scenario};

/// What to run.
#[derive(Debug)]
pub struct Plan {
    /// These scenarios; all when empty.
    pub names: Vec<String>,
    /// The core instead, and what has changed.
    pub core: bool,
    /// How many at a time.
    pub jobs: usize,
    /// The program under test.
    pub program: PathBuf,
    /// Whether recordings and results are written.
    pub record: bool,
    /// Whether the cluster of a failing scenario stays.
    pub keep: bool,
}

/// The repository's root, seen from this crate.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Runs the scenarios; whether all passed.
///
/// # Errors
/// When a name is unknown, the program is not there, or the results cannot be read or written.
pub fn run(plan: &Plan) -> Result<bool> {
    if !plan.program.is_file() {
        bail!("{} is not there; build it first: cargo build --release", plan.program.display());
    }
    let chosen = choose(plan)?;
    let total = chosen.len();
    cluster::install()?;
    let queue = Mutex::new(chosen.into_iter().collect::<VecDeque<_>>());
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs.min(total) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.pop_front());
                    let Some(scenario) = next else { return };
                    let started = Instant::now();
                    let outcome = one(scenario, plan);
                    let seconds = started.elapsed().as_secs();
                    match &outcome {
                        Ok(()) => println!("PASS {} ({seconds} s)", scenario.name),
                        Err(error) => println!("FAIL {} ({seconds} s)\n{error:#}\n", scenario.name),
                    }
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.push((scenario, outcome.is_ok(), seconds));
                    }
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_default();
    let passed = outcomes.iter().filter(|(_, passed, _)| *passed).count();
    if plan.record {
        results::write(&outcomes)?;
    }
    let current = !plan.core || are_current()?;
    println!("{passed} passed, {} failed", total - passed);
    Ok(passed == total && total > 0 && current)
}

/// Whether every scenario has a passing result for its checks as they are now; those without are named.
///
/// # Errors
/// When the results or the checks cannot be read.
pub fn are_current() -> Result<bool> {
    let stale = results::stale()?;
    if !stale.is_empty() {
        println!("the results file is older than the checks of: {}", stale.join(", "));
        println!("run them with --record, and commit the results and recordings");
    }
    Ok(stale.is_empty())
}

fn choose(plan: &Plan) -> Result<Vec<&'static Scenario>> {
    if let Some(unknown) = plan.names.iter().find(|name| SCENARIOS.iter().all(|known| known.name != **name)) {
        bail!("there is no scenario {unknown}; `--list` shows them");
    }
    if plan.core {
        let stale = results::stale()?;
        return Ok(SCENARIOS
            .iter()
            .filter(|scenario| scenario.core || stale.contains(&scenario.name.to_owned()))
            .collect());
    }
    let wanted =
        |scenario: &&Scenario| plan.names.is_empty() || plan.names.iter().any(|name| name == scenario.name);
    Ok(SCENARIOS.iter().filter(wanted).collect())
}

/// One scenario from the start of its cluster to its end.
fn one(scenario: &'static Scenario, plan: &Plan) -> Result<()> {
    let mut cluster = Cluster::up(&fault::options(scenario))?;
    let outcome = on(&cluster, scenario, plan);
    if outcome.is_err() && plan.keep {
        cluster.keep(true);
        println!("     {} stays: cluster exec --name {} cp -- sh", scenario.name, cluster.name());
        return outcome;
    }
    let down = cluster.down();
    outcome.and(down)
}

fn on(cluster: &Cluster, scenario: &'static Scenario, plan: &Plan) -> Result<()> {
    if scenario.looks.iter().any(|look| look.probe.is_some()) {
        probes::load_image(cluster, plan)?;
    }
    fault::inject(cluster, scenario.name)?;
    fault::settle(cluster, scenario.name)?;
    let mut looked = Vec::new();
    for look in scenario.looks {
        looked.push(look::look(cluster, plan, scenario, look)?);
    }
    if scenario.cure == Cure::None {
        return Ok(());
    }
    let Some(document) = looked.first() else { bail!("a scenario without a look has nothing to cure") };
    cure::cure(cluster, plan, scenario, document)
}
