//! Running what was printed, and seeing that it helped.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cluster::{Cluster, User, Vantage};
use serde_json::Value;

use super::{Plan, by_hand, look};
use crate::{Cure, Scenario};

/// How long a cure may take to show: kubelets cache denials, CSRs are signed, pods start and scrape twice.
const HEALED_WITHIN: &str = "4m";

/// Runs the first remedy of the wanted kind of every root cause, then `check --wait`.
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
        for step in remedy["steps"].as_array().into_iter().flatten() {
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
    Ok(())
}

/// Runs one step where it says; a step that only a person can do is an error in a cure that is run.
fn run_step(cluster: &Cluster, step: &Value) -> Result<()> {
    let script = step["command"].as_str().unwrap_or_default();
    let place = step["run_on"].as_str().unwrap_or_default();
    if script.is_empty() {
        bail!("only a person can do this step: {}", step["manual"]);
    }
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
    for host in &hosts {
        cluster.shell(host, script)?.ok().with_context(|| format!("on {host}:\n{script}"))?;
    }
    if place == "every control-plane host" || cluster.control_planes().iter().any(|host| hosts.contains(host))
    {
        cluster.wait_api(Duration::from_mins(1))?;
        cluster.wait_apiservers(Duration::from_mins(1))?;
    }
    Ok(())
}

/// A workstation has the administrator's kubeconfig, kubectl, and the program in its path.
fn workstation(cluster: &Cluster, script: &str) -> Result<()> {
    let directory = tempfile(cluster)?;
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(&directory);
    command.env("KUBECONFIG", cluster.kubeconfig(&User::Admin)?).env("PATH", cluster.workstation_path());
    let output = cluster.in_namespace(&Vantage::Nodes, &command)?.output()?;
    std::fs::remove_dir_all(&directory).ok();
    ensure!(
        output.status.success(),
        "on the workstation:\n{script}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn tempfile(cluster: &Cluster) -> Result<std::path::PathBuf> {
    let directory =
        std::env::temp_dir().join(format!("{}-workstation-{}", cluster.name(), std::process::id()));
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}
