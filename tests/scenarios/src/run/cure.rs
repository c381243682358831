//! Running what was printed, and seeing that it helped.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use cluster::{Cluster, User, Vantage};
use serde_json::Value;

use super::{Plan, by_hand, look};
use crate::{Cure, Scenario};

/// How long a cure may take to show: kubelets cache denials, CSRs are signed, pods start and scrape twice.
const HEALED_WITHIN: &str = "4m";

/// How long a command may take that shows whether a step worked, in seconds: those that wait would wait for minutes while
/// the fault is there, and after the cure may have to.
const FAILS_WITHIN_S: u32 = 40;
const SUCCEEDS_WITHIN_S: u32 = 330;

/// Runs the first remedy of the wanted kind of every root cause, then `check --wait`. What is printed to show that a cure
/// worked has to fail before it and to succeed after it.
pub(super) fn cure(cluster: &Cluster, plan: &Plan, scenario: &Scenario, document: &Value) -> Result<()> {
    let kind = scenario.cure;
    let audience = if kind == Cure::Lab { "lab" } else { "production" };
    let mut leaves: Vec<String> = Vec::new();
    let mut done: Vec<&Value> = Vec::new();
    for root in document["root_causes"].as_array().into_iter().flatten() {
        let name = root["name"].as_str().unwrap_or_default();
        let remedies = root["remedies"].as_array().map(Vec::as_slice).unwrap_or_default();
        let remedy = remedies.iter().find(|remedy| remedy["audience"] == audience);
        let remedy = remedy.with_context(|| format!("{name} has no remedy for {audience}"))?;
        // Several faults of one certificate have one cure; nobody runs it twice.
        if done.contains(&&remedy["steps"]) {
            continue;
        }
        done.push(&remedy["steps"]);
        let steps = remedy["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        // What only a person can do may show its success to nobody else.
        let shows = steps.iter().any(|step| step["verify"].as_str().is_some_and(|verify| !verify.is_empty()));
        ensure!(
            (kind == Cure::ByHand && !shows) || !unmet(cluster, steps, FAILS_WITHIN_S)?.is_empty(),
            "what is to show that the cure of {name} worked succeeds before it"
        );
        for step in steps {
            if kind == Cure::ByHand {
                let command = step["command"].as_str().unwrap_or_default();
                ensure!(command.is_empty(), "a step of the cure of {name} can be run: {step}");
                continue;
            }
            run_step(cluster, step).with_context(|| format!("the cure of {name}"))?;
        }
        leaves.extend(
            remedy["leaves"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|name| name.as_str().map(str::to_owned)),
        );
    }
    if kind == Cure::ByHand {
        by_hand::follow(cluster, scenario.name)?;
    }
    let mut command = Command::new(&plan.program);
    command.args(["check", "-o", "json", "--wait", HEALED_WITHIN]);
    let (code, printed) = look::check(cluster, &mut command, &User::Admin, "cp", &Vantage::Nodes)?;
    let healed: Value = serde_json::from_slice(&printed)?;
    let left: Vec<&str> = healed["root_causes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|root| root["name"].as_str())
        .collect();
    ensure!(
        code == 0 && left.iter().all(|name| leaves.iter().any(|leave| leave == name)),
        "after the printed cure: exit code {code}, root causes {left:?}, verdict {}, open {}",
        healed["verdict"],
        healed["undecided"]
    );
    for steps in done {
        let unmet =
            unmet(cluster, steps.as_array().map(Vec::as_slice).unwrap_or_default(), SUCCEEDS_WITHIN_S)?;
        ensure!(unmet.is_empty(), "after the cure this still fails:\n{}", unmet.join("\n"));
    }
    Ok(())
}

/// The commands of these steps that are to show that they worked, and fail.
fn unmet<'s>(cluster: &Cluster, steps: &'s [Value], within_s: u32) -> Result<Vec<&'s str>> {
    let mut unmet = Vec::new();
    for step in steps {
        let verify = step["verify"].as_str().unwrap_or_default();
        let place = step["run_on"].as_str().unwrap_or_default();
        let bounded = format!("timeout {within_s} sh <<'VERIFY'\n{verify}\nVERIFY");
        if !verify.is_empty() && run_at(cluster, place, &bounded)?.is_err() {
            unmet.push(verify);
        }
    }
    Ok(unmet)
}

/// Runs one step where it says; a step that only a person can do is an error in a cure that is run.
fn run_step(cluster: &Cluster, step: &Value) -> Result<()> {
    let script = step["command"].as_str().unwrap_or_default();
    let place = step["run_on"].as_str().unwrap_or_default();
    if script.is_empty() {
        bail!("only a person can do this step: {}", step["manual"]);
    }
    run_at(cluster, place, script)??;
    if place == "every control-plane host"
        || cluster.control_planes().iter().any(|host| place == format!("host {host}"))
    {
        cluster.wait_api(Duration::from_mins(1))?;
        cluster.wait_apiservers(Duration::from_mins(1))?;
    }
    Ok(())
}

/// Runs a script where a step says; the inner error is that of the script.
fn run_at(cluster: &Cluster, place: &str, script: &str) -> Result<Result<()>> {
    let hosts: Vec<String> = match place {
        "workstation" => return workstation(cluster, script),
        "every node" => cluster.nodes(),
        "every control-plane host" => cluster.control_planes(),
        one => {
            let places = ["node ", "host ", "the machine "];
            let name = places.iter().find_map(|place| one.strip_prefix(place));
            vec![name.with_context(|| format!("where is {one:?}?"))?.to_owned()]
        }
    };
    for host in hosts {
        let outcome = cluster.shell(&host, script)?.ok().with_context(|| format!("on {host}:\n{script}"));
        if outcome.is_err() {
            return Ok(outcome.map(drop));
        }
    }
    Ok(Ok(()))
}

/// A workstation has the administrator's kubeconfig, kubectl, and the program in its path.
fn workstation(cluster: &Cluster, script: &str) -> Result<Result<()>> {
    let directory = tempfile(cluster)?;
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(&directory);
    command.env("KUBECONFIG", cluster.kubeconfig(&User::Admin)?).env("PATH", cluster.workstation_path());
    let output = cluster.in_namespace(&Vantage::Nodes, &command)?.output()?;
    std::fs::remove_dir_all(&directory).ok();
    if output.status.success() {
        return Ok(Ok(()));
    }
    Ok(Err(anyhow!(
        "on the workstation:\n{script}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )))
}

fn tempfile(cluster: &Cluster) -> Result<std::path::PathBuf> {
    let directory =
        std::env::temp_dir().join(format!("{}-workstation-{}", cluster.name(), std::process::id()));
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}
