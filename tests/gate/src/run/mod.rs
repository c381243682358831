//! The runner: all cases side by side, each in a namespace of its own, step by step.
//!
//! The namespace and its surroundings come first, then the workload, and the HPAs when every pod is there. At the two
//! moments before an HPA is created a program under test may be asked what will come of it.

mod ask;
mod deploy;
mod settle;
mod state;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use cluster::{Cluster, Options, Serving};

use crate::{Case, Oracle, Outcome, State, Versions, cases};
use ask::{Answers, Moment};

/// What differs from the controller's defaults. None of it changes what is said in the end: the controller looks
/// every 5 seconds instead of 15, and forgives the CPU samples of a starting pod for 30 seconds instead of 5 minutes.
/// The second only shortens the time after which an unready pod is judged for good.
const FLAGS: [&str; 2] = [
    "--horizontal-pod-autoscaler-sync-period=5s",
    "--horizontal-pod-autoscaler-cpu-initialization-period=30s",
];

/// The clusters that run side by side: the name, how many nodes, and which states it is brought into one after another.
const CLUSTERS: [(&str, usize, &[State]); 3] = [
    ("oracle-full", 3, &[State::Full]),
    ("oracle-without", 1, &[State::Bare, State::Broken]),
    ("oracle-forbidden", 1, &[State::Forbidden]),
];

/// What to run.
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
#[derive(Debug)]
pub struct Plan {
    /// These cases; all when empty.
    pub names: Vec<String>,
    /// The program under test.
    pub program: Option<PathBuf>,
    /// Where its answers are written.
    pub answers: Option<PathBuf>,
    /// Whether the oracle as it is written stands in for the controller.
    pub recorded: bool,
    /// Where its recordings are written.
    pub recordings: Option<PathBuf>,
    /// Whether the oracle is written.
    pub record: bool,
    /// Whether the clusters stay.
    pub keep: bool,
    /// Whether the cases are listed instead.
    pub list: bool,
}

/// What came of one cluster: the outcomes by case, and what the program answered.
type Seen = (BTreeMap<String, Outcome>, Answers);

/// Runs the cases; whether all settled, and the program under test did not contradict the controller.
///
/// # Errors
/// When a name is unknown, a cluster does not come up, or a file cannot be read or written.
pub fn run(plan: &Plan) -> Result<bool> {
    let chosen = choose(&plan.names)?;
    if plan.list {
        for case in &chosen {
            println!("{:36}{}", case.name, case.about);
        }
        return Ok(true);
    }
    if let Some(program) = &plan.program {
        ensure!(ask::has_gate(program), "{} has no command gate", program.display());
    }
    cluster::install()?;
    let seen: Vec<Result<Seen>> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            CLUSTERS.iter().map(|cluster| scope.spawn(|| on_cluster(cluster, &chosen, plan))).collect();
        let panicked = || Err(anyhow!("the thread of a cluster panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| panicked())).collect()
    });
    let (mut outcomes, mut answers) = Seen::default();
    if plan.recorded {
        outcomes = Oracle::read()?.cases;
        outcomes.retain(|name, _| chosen.iter().any(|case| case.name == *name));
    }
    for seen in seen {
        let (more, answered) = seen?;
        outcomes.extend(more);
        answers.extend(answered);
    }
    if !plan.recorded {
        print(&outcomes);
    }
    if plan.record {
        record(outcomes.clone())?;
    }
    if let Some(path) = &plan.answers {
        std::fs::write(path, serde_json::to_string_pretty(&answers)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let contradictions = ask::compare(&answers, &outcomes, &chosen);
    let unsettled = outcomes.values().flat_map(|outcome| &outcome.hpas).filter(|hpa| hpa.unsettled).count();
    println!("{} cases, {unsettled} HPAs unsettled, {contradictions} contradictions", outcomes.len());
    Ok(unsettled == 0 && contradictions == 0)
}

fn choose(names: &[String]) -> Result<Vec<Case>> {
    let mut all = cases()?;
    if let Some(unknown) = names.iter().find(|name| all.iter().all(|case| case.name != **name)) {
        bail!("there is no case {unknown}; `--list` shows them");
    }
    all.retain(|case| names.is_empty() || names.contains(&case.name));
    Ok(all)
}

/// Runs the cases of a cluster, those of one state after those of another.
fn on_cluster((name, nodes, states): &(&str, usize, &[State]), cases: &[Case], plan: &Plan) -> Result<Seen> {
    let mut seen = Seen::default();
    if !cases.iter().any(|case| states.contains(&case.state)) {
        return Ok(seen);
    }
    let started = Instant::now();
    let say = |what: &str| eprintln!("{name} [{:3} s] {what}", started.elapsed().as_secs());
    let options = Options::new(*name).nodes(*nodes).serving(&Serving::Bootstrapped).keep(plan.keep);
    let options = FLAGS.iter().fold(options, |options, flag| options.controller_manager_flag(*flag));
    let cluster = Cluster::up(&options)?;
    for state in *states {
        let cases: Vec<&Case> = cases.iter().filter(|case| case.state == *state).collect();
        if cases.is_empty() {
            continue;
        }
        state::prepare(&cluster, *state)?;
        say(&format!("the cluster is {state:?}"));
        deploy::surroundings(&cluster, &cases)?;
        say("asking before anything is there");
        ask::ask(&cluster, plan, Moment::Before, &cases, &mut seen.1)?;
        deploy::workloads(&cluster, &cases)?;
        say("the workloads run");
        ask::ask(&cluster, plan, Moment::Running, &cases, &mut seen.1)?;
        if plan.recorded {
            continue;
        }
        let refused = deploy::hpas(&cluster, &cases)?;
        say("the HPAs are created");
        seen.0.extend(settle::settle(&cluster, &cases, &refused)?);
        say("the controller has decided");
    }
    if !plan.keep {
        cluster.down()?;
    }
    Ok(seen)
}

fn print(outcomes: &BTreeMap<String, Outcome>) {
    for (name, outcome) in outcomes {
        for hpa in &outcome.hpas {
            let metrics: Vec<String> = hpa
                .metrics
                .iter()
                .map(|metric| format!("{}{}", if metric.filled { "+" } else { "-" }, metric.name))
                .collect();
            let said = hpa.refused.clone().unwrap_or_else(|| {
                let wrong = hpa
                    .conditions
                    .iter()
                    .find(|condition| condition.status == "False" && condition.kind != "ScalingLimited");
                wrong.map_or_else(String::new, |condition| {
                    format!("{}: {}", condition.reason, condition.message)
                })
            });
            println!("{name}/{} {} {said}", hpa.name, metrics.join(" "));
        }
    }
}

/// Writes the outcomes into `oracle.json`; cases that did not run keep theirs, cases that are gone go.
fn record(outcomes: BTreeMap<String, Outcome>) -> Result<()> {
    let mut oracle = Oracle::read().unwrap_or_default();
    oracle.versions = Versions {
        kubernetes: cluster::KUBERNETES_VERSION.to_owned(),
        metrics_server: cluster::METRICS_SERVER_VERSION.to_owned(),
        adapter: cluster::ADAPTER_VERSION.to_owned(),
    };
    oracle.taken_at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    oracle.flags = FLAGS.map(str::to_owned).to_vec();
    oracle.cases.extend(outcomes);
    let known = cases()?;
    oracle.cases.retain(|name, _| known.iter().any(|case| case.name == *name));
    let path = crate::folder().join("oracle.json");
    std::fs::write(&path, serde_json::to_string_pretty(&oracle)? + "\n")
        .with_context(|| format!("cannot write {}", path.display()))
}
