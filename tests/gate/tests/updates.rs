//! Changes of autoscalers that run, and the number of pods that the HPA controller makes of each, held against what the gate
//! says before. It starts a cluster:
//! `METRICS_PREFLIGHT=target/debug/metrics-preflight cargo test -p gate-cases --features run --test updates -- --ignored`.
//! `RECORD=1` writes the recordings `tests/gate/warned/replicas-*.jsonl` anew.
//!
//! `tests/gate/warned/replicas-NAME.yaml` is the change. Its comments say what is in the cluster before (`# before:`, a
//! field of the autoscaler and its value; `# replicas:`, how many pods run), and the numbers that the controller wants one
//! after another (`# becomes:`). The first is the one that the gate foretells.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cluster::{Adapter, Cluster, MetricsServer, Options, Serving, User, Vantage};
use gate_cases::Case;
use serde_json::{Value, json};

const MINUTES: Duration = Duration::from_mins(4);
/// So old are pods of which the gate says something: two scrapes at the slowest usual resolution.
const OLD: Duration = Duration::from_mins(2);
/// The controller has decided when it wants the same for so long: longer than its memory here.
const QUIET: Duration = Duration::from_secs(30);
/// It looks every 5 seconds instead of 15, and remembers recommendations for 10 seconds instead of 5 minutes.
const FLAGS: [&str; 2] =
    ["--horizontal-pod-autoscaler-sync-period=5s", "--horizontal-pod-autoscaler-downscale-stabilization=10s"];

/// A change of an autoscaler.
struct Update {
    case: Case,
    namespace: String,
    expect: String,
    before: Vec<(String, Value)>,
    replicas: i64,
    becomes: Vec<i64>,
}

impl Update {
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)?;
        let said = |key: &str| {
            let prefix = format!("# {key}: ");
            text.lines().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect::<Vec<_>>()
        };
        let one = |key: &str| {
            said(key).into_iter().next().with_context(|| format!("no {key} in {}", path.display()))
        };
        let before = said("before").into_iter().map(|line| {
            let (pointer, value) = line.split_once(' ').context("before: wants POINTER VALUE")?;
            Ok((pointer.to_owned(), serde_json::from_str(value)?))
        });
        let case = Case::read(path)?;
        Ok(Self {
            namespace: format!("warned-{}", case.name),
            expect: one("expect")?,
            before: before.collect::<Result<_>>()?,
            replicas: one("replicas")?.parse()?,
            becomes: one("becomes")?.split(' ').map(str::parse).collect::<Result<_, _>>()?,
            case,
        })
    }

    /// The autoscaler of the manifest, and as it is in the cluster before.
    fn hpas(&self) -> Result<(Value, Value)> {
        let mut after = self.case.hpas().next().context("no autoscaler")?.clone();
        after["metadata"]["namespace"] = json!(self.namespace);
        let mut before = after.clone();
        for (pointer, value) in &self.before {
            *before.pointer_mut(pointer).with_context(|| format!("no {pointer}"))? = value.clone();
        }
        Ok((before, after))
    }

    fn create(&self, cluster: &Cluster) -> Result<()> {
        let mut objects =
            vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})];
        for object in self.case.workload() {
            let mut object = object.clone();
            object["metadata"]["namespace"] = json!(self.namespace);
            object["spec"]["replicas"] = json!(self.replicas);
            objects.push(object);
        }
        cluster.create(&json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())?.ok()?;
        Ok(())
    }

    /// Whether the controller has read every metric and has what it wants.
    fn is_steady(&self, cluster: &Cluster) -> Result<bool> {
        let status = &cluster.get(&["-n", &self.namespace, "hpa", "web"])?["status"];
        let entries = status["currentMetrics"].as_array().map(Vec::as_slice).unwrap_or_default();
        let filled = !entries.is_empty() && entries.iter().all(|entry| entry["type"] != "");
        Ok(filled && status["currentReplicas"] == self.replicas && status["desiredReplicas"] == self.replicas)
    }

    /// What the gate says of the change: the result of the check, and its sentence.
    fn gate(&self, cluster: &Cluster) -> Result<(String, String)> {
        let program = std::env::var("METRICS_PREFLIGHT").context("METRICS_PREFLIGHT names the program")?;
        let program =
            Path::new(&program).canonicalize().with_context(|| format!("{program} is not there"))?;
        let mut command = Command::new(program);
        command.args(["gate", "-o", "json", "-n", &self.namespace, "-f"]).arg(&self.case.path);
        if std::env::var_os("RECORD").is_some() {
            command.arg("--record").arg(self.case.path.with_extension("jsonl"));
        }
        command.env("KUBECONFIG", cluster.kubeconfig(&User::Admin)?);
        let output = cluster.in_namespace(&Vantage::Nodes, &command)?.output()?;
        let document: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        let checks = document["checks"].as_array().context("no checks")?;
        let check = checks.iter().find(|check| check["code"] == "MP931").context("no MP931")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok((text(&check["worst"]), text(&check["groups"][0]["reason"])))
    }
}

/// Makes all changes; the numbers of pods that the controller wants for each, until it wants no others.
fn apply(cluster: &Cluster, updates: &[Update]) -> Result<Vec<Vec<i64>>> {
    for update in updates {
        cluster.apply(&update.hpas()?.1.to_string())?;
    }
    let mut wanted: Vec<Vec<i64>> = updates.iter().map(|update| vec![update.replicas]).collect();
    let (started, mut since) = (Instant::now(), Instant::now());
    while since.elapsed() < QUIET {
        ensure!(started.elapsed() < MINUTES, "they come to no rest: {wanted:?}");
        std::thread::sleep(Duration::from_millis(500));
        let hpas = cluster.get(&["hpa", "-A"])?;
        for (update, wanted) in updates.iter().zip(&mut wanted) {
            let mut hpas = hpas["items"].as_array().into_iter().flatten();
            let own = hpas.find(|hpa| hpa["metadata"]["namespace"] == update.namespace.as_str());
            let now = own.and_then(|own| own["status"]["desiredReplicas"].as_i64()).unwrap_or_default();
            if wanted.last() != Some(&now) {
                wanted.push(now);
                since = Instant::now();
            }
        }
    }
    // A number that stays is one that is wanted too.
    Ok(wanted
        .into_iter()
        .map(|numbers| if numbers.len() > 1 { numbers[1..].to_vec() } else { numbers })
        .collect())
}

/// The number of pods that a sentence of the gate foretells: what a bound makes of it, or else what is asked for.
fn foretold(sentence: &str) -> Option<i64> {
    let marks = ["stops it at ", "minReplicas keeps ", "another metric for ", "asks for "];
    let cut = sentence.split_once("maxReplicas falls from ").and_then(|(_, rest)| rest.split_once(" to "));
    let rest = cut.or_else(|| marks.iter().find_map(|mark| sentence.split_once(mark)))?.1;
    let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

fn updates() -> Result<Vec<Update>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("warned");
    let paths: Result<Vec<PathBuf>, _> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let is_update = |path: &&PathBuf| {
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("replicas-") && path.extension().is_some_and(|ending| ending == "yaml")
    };
    let mut updates: Vec<Update> =
        paths?.iter().filter(is_update).map(|path| Update::read(path)).collect::<Result<_>>()?;
    updates.sort_by(|one, other| one.case.name.cmp(&other.case.name));
    Ok(updates)
}

#[test]
fn sentences_are_read() {
    for (sentence, pods) in [
        ("a target of 500m asks for 88 pods, and maxReplicas stops it at 6; 2 run now, with 44", Some(6)),
        ("a target of 110 a pod asks for 1 pod; 4 run now, with 11 a pod", Some(1)),
        ("4 pods run now, and maxReplicas falls from 6 to 3: the controller removes 1 at once", Some(3)),
        ("", None),
    ] {
        assert_eq!(foretold(sentence), pods, "{sentence}");
    }
}

#[test]
fn every_change_says_what_comes_of_it() -> Result<()> {
    let updates = updates()?;
    ensure!(updates.len() >= 9, "there are {} changes", updates.len());
    for update in updates {
        let (before, after) = update.hpas()?;
        ensure!(before != after, "{} changes nothing", update.case.name);
        let (from, to) = (update.replicas, update.becomes[0]);
        let is_far = to >= 2 * from || 2 * to <= from || after["spec"]["maxReplicas"].as_i64() < Some(from);
        assert_eq!(is_far, update.expect == "MP931", "{}: {from} to {to}", update.case.name);
    }
    Ok(())
}

#[test]
#[ignore = "it starts a cluster"]
fn the_controller_does_what_was_foretold() -> Result<()> {
    let options = Options::new("updates").nodes(2).serving(&Serving::Bootstrapped);
    let options = FLAGS.iter().fold(options, |options, flag| options.controller_manager_flag(*flag));
    let cluster = Cluster::up(&options)?;
    let adapter = Adapter::default();
    cluster.install_metrics_server(&MetricsServer::default())?;
    cluster.install_adapter(&adapter)?;
    cluster.wait_metrics_available(MINUTES)?;
    cluster.wait_adapter_available(&adapter, MINUTES)?;
    let updates = updates()?;
    for update in &updates {
        update.create(&cluster)?;
    }
    let all: i64 = updates.iter().map(|update| update.replicas).sum();
    cluster.wait("the pods", MINUTES, || {
        let pods = cluster.get(&["pods", "-A"])?;
        let pods = pods["items"].as_array().into_iter().flatten();
        let ours = pods.filter(|pod| pod["metadata"]["labels"]["app"] == "web");
        let ready = ours.filter(|pod| pod["status"]["containerStatuses"][0]["ready"] == true);
        Ok(i64::try_from(ready.count())? == all)
    })?;
    let born = Instant::now();
    for update in &updates {
        for value in &update.case.serve {
            let pods = cluster.get(&["-n", &update.namespace, "pods"])?;
            for pod in pods["items"].as_array().into_iter().flatten() {
                let name = pod["metadata"]["name"].as_str().unwrap_or_default();
                let path = format!("namespaces/{}/pods/{name}/{}", update.namespace, value.metric);
                cluster.write_metric(&path, &value.value)?;
            }
        }
        cluster.create(&update.hpas()?.0.to_string())?.ok()?;
    }
    for update in &updates {
        cluster.wait(&format!("the autoscaler of {}", update.case.name), MINUTES, || {
            update.is_steady(&cluster)
        })?;
    }
    std::thread::sleep(OLD.saturating_sub(born.elapsed()) + Duration::from_secs(5));
    let said: Vec<(String, String)> =
        updates.iter().map(|update| update.gate(&cluster)).collect::<Result<_>>()?;
    let wanted = apply(&cluster, &updates)?;
    let mut wrong = Vec::new();
    for ((update, (result, sentence)), wanted) in updates.iter().zip(&said).zip(&wanted) {
        let name = &update.case.name;
        println!("{name}: {} to {wanted:?}; {result}: {sentence}", update.replicas);
        let expected = if update.expect == "MP931" { "fail" } else { "pass" };
        if result != expected || *wanted != update.becomes {
            let becomes = &update.becomes;
            wrong.push(format!(
                "{name}: {result} instead of {expected}, {wanted:?} pods instead of {becomes:?}"
            ));
        }
        // Of a number that the controller cannot hold nobody foretells what it makes.
        let is_beyond = sentence.contains("more than the controller can hold");
        if result == "fail" && !is_beyond && foretold(sentence) != wanted.first().copied() {
            wrong.push(format!("{name}: {wanted:?} pods, and it was said: {sentence}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    cluster.down()
}
