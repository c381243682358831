//! `probe` against an end in every state, on a cluster: whatever is left, the next run removes.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cluster::{Cluster, MetricsServer, Options, PROGRAM_IMAGE, Serving, User, Vantage, static_program};

use super::MINUTES;

const RUNS: u32 = 20;
const MARK: &str = "metrics-preflight/probe";

/// A running cluster, and the program.
struct World {
    cluster: Cluster,
    program: PathBuf,
}

impl World {
    fn start(&self, more: &[&str]) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command.arg("probe").args(more).env("KUBECONFIG", self.cluster.kubeconfig(&User::Admin)?);
        let mut command = self.cluster.in_namespace(&Vantage::Nodes, &command)?;
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().context("cannot start the program")
    }

    /// A run with pods in metrics-server's place and pods that look at machines.
    fn probe(&self) -> Result<Child> {
        self.start(&["--image", PROGRAM_IMAGE, "--host", "--all-nodes", "-o", "short"])
    }

    /// Every pod and namespace with the mark of a probe.
    fn marked(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for kind in [&["pods", "-A"][..], &["namespaces"]] {
            let list = self.cluster.get(&[kind, &["-l", MARK]].concat())?;
            for object in list["items"].as_array().into_iter().flatten() {
                all.push(format!("{} {}", object["kind"], object["metadata"]["name"]));
            }
        }
        Ok(all)
    }
}

fn signal(child: &Child, signal: &str) -> Result<()> {
    // It may have ended just then.
    Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status()
        .map(drop)
        .context("cannot start kill")
}

/// Twenty runs that are ended at moments spread over the whole of one, by Ctrl-C and by SIGKILL in turn: half with a Metrics
/// API that works, half without one, when no namespace goes by itself.
#[test]
#[ignore = "it takes about eight minutes: run it with `--ignored probe`; PROBE_PROGRAM names a static program"]
fn nothing_of_a_probe_is_left_after_twenty_ends() -> Result<()> {
    let options = Options::new("harness-probe").serving(&Serving::Bootstrapped);
    let cluster = Cluster::up(&options)?;
    let program = match std::env::var_os("PROBE_PROGRAM") {
        Some(program) => PathBuf::from(program),
        None => static_program()?,
    };
    cluster.load_program_image(&program, PROGRAM_IMAGE)?;
    cluster.install_metrics_server(&MetricsServer::default())?;
    cluster.wait_metrics_available(MINUTES)?;
    let world = World { cluster, program };

    let started = Instant::now();
    let whole = world.probe()?.wait_with_output()?;
    let whole_said = String::from_utf8_lossy(&whole.stderr).into_owned();
    let length = started.elapsed();
    ensure!(whole.status.code() == Some(0), "{:?}: {whole_said}", whole.status);
    ensure!(whole_said.contains("Of the machine node2"), "{whole_said}");
    ensure!(world.marked()?.is_empty(), "after a whole run: {:?}", world.marked()?);
    println!("a whole run takes {length:?}");

    let mut left_by_kills = 0;
    let mut caught = 0;
    for run in 0..RUNS {
        if run == RUNS / 2 {
            // From here on the Metrics API does not answer.
            world.cluster.kubectl(&[
                "-n",
                "kube-system",
                "scale",
                "deployment/metrics-server",
                "--replicas=0",
            ])?;
            std::thread::sleep(Duration::from_secs(10));
        }
        let child = world.probe()?;
        std::thread::sleep(length.mul_f64(f64::from(run % (RUNS / 2)) + 0.5).div_f64(f64::from(RUNS / 2)));
        let kills = run % 2 == 1;
        signal(&child, if kills { "-KILL" } else { "-INT" })?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let left = world.marked()?;
        println!("run {run}: {:?}, left {left:?}", output.status);
        if kills {
            left_by_kills += usize::from(!left.is_empty());
            let cleaned = world.start(&["--clean-up"])?.wait_with_output()?;
            let cleaned_said = String::from_utf8_lossy(&cleaned.stderr).into_owned();
            ensure!(cleaned.status.code() == Some(0), "run {run}: {cleaned_said}");
            ensure!(
                world.marked()?.is_empty(),
                "run {run}, after the next: {:?}\n{cleaned_said}",
                world.marked()?
            );
        } else {
            caught += usize::from(output.status.code() == Some(130));
            ensure!(left.is_empty(), "run {run}: {left:?}\n{said}");
        }
    }
    // Otherwise nothing was ended in the middle, and all of this proves nothing.
    ensure!(left_by_kills >= 3 && caught >= 3, "{left_by_kills} kills left something, {caught} were caught");
    world.cluster.down()
}
