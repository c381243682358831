//! A look at a cluster with the program under test, and whether it saw what it must.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use cluster::{Cluster, PROGRAM_IMAGE, User, Vantage};
use serde_json::Value;

use super::{Plan, root};
use crate::{Look, Mode, Scenario};

/// Where a look's recording is kept.
fn recording(scenario: &Scenario, look: &Look) -> PathBuf {
    root().join("tests/recordings").join(format!("{}.{}.jsonl", scenario.name, look.name))
}

/// Looks, compares, and gives the document.
pub(super) fn look(cluster: &Cluster, plan: &Plan, scenario: &Scenario, look: &Look) -> Result<Value> {
    let fresh =
        std::env::temp_dir().join(format!("{}-{}.{}.jsonl", cluster.name(), std::process::id(), look.name));
    let mut command = Command::new(&plan.program);
    match look.probe {
        None => command.arg("check"),
        Some(more) => command.args(["probe", "--image", PROGRAM_IMAGE]).args(more),
    };
    command.args(["-o", "json", "--record"]).arg(&fresh);
    if look.mode == Mode::BeforeInstall {
        command.arg("--before-install");
    }
    for machine in look.machines {
        command.arg("--with").arg(within(cluster, plan, machine)?);
    }
    let user = match look.user {
        "admin" => User::Admin,
        "masters" => User::SystemMasters,
        "edit" => User::Edit { namespace: "team".to_owned() },
        "nobody" => User::Nobody,
        other => bail!("nobody is called {other}"),
    };
    let vantage = if look.api_only { Vantage::ApiOnly } else { Vantage::Nodes };
    let (code, printed) = check(cluster, &mut command, &user, look.through, &vantage)?;
    let document: Value = serde_json::from_slice(&printed)?;
    look.expect
        .verify(code, &document)
        .map_err(anyhow::Error::msg)
        .with_context(|| format!("look {} ({} from {vantage:?})", look.name, look.user))
        .map_err(|error| {
            anyhow::anyhow!("{error:#}\n{}\nrecording: {}", report(plan, &fresh), fresh.display())
        })?;
    replays_alike(plan, &fresh, &printed)?;
    if plan.record {
        let target = recording(scenario, look);
        std::fs::create_dir_all(target.parent().context("a recording has a folder")?)?;
        std::fs::copy(&fresh, &target).with_context(|| format!("cannot write {}", target.display()))?;
    }
    for machine in look.machines {
        std::fs::remove_file(host_file(cluster, machine)).ok();
    }
    std::fs::remove_file(&fresh).ok();
    Ok(document)
}

/// Where a machine writes what it sees of itself.
fn host_file(cluster: &Cluster, machine: &str) -> PathBuf {
    std::env::temp_dir().join(format!("{}-{}.{machine}.host.jsonl", cluster.name(), std::process::id()))
}

/// What a machine sees of itself, in a file. A machine of the control plane is told to dial metrics-server's pods, as
/// the report says.
fn within(cluster: &Cluster, plan: &Plan, machine: &str) -> Result<PathBuf> {
    let file =
        std::env::temp_dir().join(format!("{}-{}.{machine}.host.jsonl", cluster.name(), std::process::id()));
    let mut command = Command::new(&plan.program);
    command.args(["host", "--output", "json", "--record"]).arg(&file);
    if machine.starts_with("cp") {
        let pods = cluster.get(&["pods", "-n", "kube-system", "-l", "k8s-app=metrics-server"])?;
        for pod in pods["items"].as_array().into_iter().flatten() {
            if let Some(address) = pod["status"]["podIP"].as_str() {
                command.args(["--dial", &format!("{address}:10250")]);
            }
        }
    }
    let output = cluster.in_namespace(&Vantage::Host(machine.to_owned()), &command)?.output()?;
    // Findings and open questions are for the look to judge; without a file there is nothing to join.
    ensure!(
        matches!(output.status.code(), Some(0 | 1 | 3)) && file.exists(),
        "host on {machine}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(file)
}

/// The report of a look for a person, who may see no more of a failure than what was printed.
fn report(plan: &Plan, recording: &std::path::Path) -> String {
    let output = Command::new(&plan.program).args(["check", "--replay"]).arg(recording).output();
    output
        .map_or_else(|error| error.to_string(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The recording of a look gives the same bytes as the look.
fn replays_alike(plan: &Plan, recording: &std::path::Path, printed: &[u8]) -> Result<()> {
    let output =
        Command::new(&plan.program).args(["check", "-o", "json", "--replay"]).arg(recording).output()?;
    ensure!(
        output.stdout == printed,
        "the replay of {} differs from the look:\n{}\n{}",
        recording.display(),
        String::from_utf8_lossy(printed),
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(())
}

/// Runs the program at a vantage; its exit code and the document that it printed.
pub(super) fn check(
    cluster: &Cluster,
    command: &mut Command,
    user: &User,
    through: &str,
    vantage: &Vantage,
) -> Result<(i32, Vec<u8>)> {
    command
        .env("KUBECONFIG", cluster.kubeconfig_through(user, through)?)
        .env_remove("HTTPS_PROXY")
        .env_remove("https_proxy");
    let output = cluster.in_namespace(vantage, command)?.output()?;
    let code = output.status.code().unwrap_or(-1);
    ensure!(
        output.stdout.starts_with(b"{"),
        "exit code {code} and no JSON document: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok((code, output.stdout))
}
