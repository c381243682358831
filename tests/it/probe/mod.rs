//! `probe` leaves nothing behind, whatever happens to it: against an API server that strikes at every request.

mod fake;

use std::process::{Child, Output, Stdio};

use serde_json::json;

use crate::program::{Scratch, code, command, stderr};
use crate::tree::{read, root, rust_files};
use fake::{Fake, Fate, Strike, When};

const RECORDING: &str = "healthy-signed.nodes.jsonl";
/// What a pod says that reached everything; its checksum is that of `src/probe/message.rs`.
const GOOD: &str = include_str!("good.txt");

/// A cluster, and what a run against it takes.
struct World {
    fake: Fake,
    scratch: Scratch,
}

impl World {
    fn new(fate: Fate) -> Self {
        Self { fake: Fake::start(RECORDING, fate), scratch: Scratch::new() }
    }

    fn start(&self, more: &[&str]) -> Child {
        let kubeconfig = self.scratch.file("kubeconfig", &self.fake.kubeconfig());
        let config = self.scratch.file("config.yaml", "version: 1\nkubelets: never\n");
        let mut args = vec!["probe", "--kubeconfig", &kubeconfig];
        if !more.contains(&"--clean-up") {
            args.extend(["--config", &config, "-o", "short", "--deadline", "10s"]);
            args.extend((!more.contains(&"--nodes")).then_some("--all-nodes"));
        }
        args.extend(more);
        let mut command = command(&args);
        let child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        self.fake.strikes(child.id());
        child
    }

    fn run(&self, more: &[&str]) -> Output {
        self.start(more).wait_with_output().expect("the program ends")
    }

    /// The pods and namespaces that are there.
    fn left(&self) -> Vec<String> {
        [self.fake.pods(), self.fake.namespaces()].concat()
    }
}

fn good() -> Fate {
    Fate::Says(GOOD.trim().to_owned())
}

#[test]
fn a_node_that_is_not_there_is_a_slip_and_nothing_is_made() {
    let world = World::new(good());
    let output = world.run(&["--nodes", "nodel"]);
    let said = stderr(&output);
    assert_eq!(code(&output), 2, "{said}");
    assert!(said.contains("--nodes names nodel") && said.contains("The cluster has node1, node2."), "{said}");
    assert_eq!(world.left(), Vec::<String>::new());
}

#[test]
fn pods_are_made_read_and_removed() {
    let world = World::new(good());
    let output = world.run(&[]);
    let said = stderr(&output);
    assert!(
        said.contains("From node1: the API server answers; 2 of 2 kubelets give their metrics."),
        "{said}"
    );
    assert!(said.contains("From node2: "), "{said}");
    let seen = world.fake.seen();
    assert_eq!(seen[..4], ["GET", "GET", "POST", "POST"], "{seen:?}");
    assert_eq!(seen[seen.len() - 3..], ["DELETE", "DELETE", "GET"], "{seen:?}");
    assert_eq!(world.fake.pods(), Vec::<String>::new());
}

#[test]
fn what_would_be_created_can_be_seen_first() {
    let world = World::new(good());
    let output = world.run(&["--print-manifests"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text.matches("kind: Pod\n").count(), 2, "{text}");
    assert!(text.contains("serviceAccountName: metrics-server\n"), "{text}");
    assert_eq!(world.fake.seen(), Vec::<String>::new(), "nothing was created");
}

/// What may leave for a probe or a report leaves from nowhere else.
#[test]
fn only_probe_and_the_report_of_a_config_map_go_round_the_read_only_guard() {
    let src = root().join("src");
    let mut callers: Vec<String> = rust_files(&src)
        .iter()
        .filter(|path| read(path).contains("guarded_client"))
        .map(|path| path.strip_prefix(&src).expect("below src").display().to_string())
        .collect();
    callers.sort();
    assert_eq!(callers, ["config_map.rs", "probe/client.rs", "source/live/mod.rs"]);
}

/// The requests of an undisturbed run: two looks for leftovers, two creations, one look at the pods, two deletions, and a
/// look whether all is gone.
const REQUESTS: usize = 8;
/// The requests of a run with `--host` until the machines are done: two looks for leftovers, a namespace and two pods, a look
/// at the pods, two deletions and a look, the namespace's deletion and a look, that it be let go and a last look.
const MACHINES: usize = 13;

fn killed(number: usize, when: When, signal: &'static str, more: &[&str]) -> Result<(), String> {
    let world = World::new(good());
    world.fake.hold_namespaces();
    world.fake.strike_at(number, when, Strike::Signal(signal));
    let output = world.run(more);
    let said = stderr(&output);
    if signal == "KILL" {
        if output.status.code().is_some() {
            return Err(format!("it was not killed at request {number}: {said}"));
        }
        let cleaned = world.run(&["--clean-up"]);
        if code(&cleaned) != 0 {
            return Err(format!("the next run: {}", stderr(&cleaned)));
        }
    } else if code(&output) != 130 {
        return Err(format!("exit code {} after {signal} at request {number}: {said}", code(&output)));
    }
    match world.left().as_slice() {
        [] => Ok(()),
        left => Err(format!("{left:?} after {signal} {when:?} request {number}: {said}")),
    }
}

/// Kills at each of these requests, by each signal, before and after it is carried out; what was left.
fn killed_at(numbers: std::ops::RangeInclusive<usize>, more: &'static [&'static str]) -> Vec<String> {
    let mut threads = Vec::new();
    for signal in ["INT", "KILL"] {
        for when in [When::Before, When::After] {
            let numbers = numbers.clone();
            threads.push(std::thread::spawn(move || {
                let results = numbers.map(|number| killed(number, when, signal, more));
                results.filter_map(Result::err).collect::<Vec<_>>()
            }));
        }
    }
    threads.into_iter().flat_map(|thread| thread.join().expect("the thread ends")).collect()
}

/// Before and after each object is created, while it waits, while it reads, while it deletes.
#[test]
fn nothing_is_left_after_a_kill_in_any_state() {
    let mut broken = killed_at(1..=REQUESTS, &[]);
    let others = [killed(5, When::Before, "TERM", &[]), killed(5, When::Before, "HUP", &[])];
    broken.extend(others.into_iter().filter_map(Result::err));
    assert_eq!(broken, Vec::<String>::new());
}

/// The same while machines are looked at, in a cluster that lets no namespace go by itself.
#[test]
fn no_namespace_is_left_after_a_kill_in_any_state() {
    assert_eq!(killed_at(3..=MACHINES, &["--host"]), Vec::<String>::new());
}

#[test]
fn machines_are_looked_at_and_nothing_is_left() {
    for holds in [false, true] {
        let world = World::new(good());
        if holds {
            world.fake.hold_namespaces();
        }
        world.fake.withhold_account(2);
        let recording = world.scratch.path("seen.jsonl");
        let output = world.run(&["--host", "--record", &recording]);
        let said = stderr(&output);
        for node in ["node1", "node2"] {
            let sentence = format!(
                "Of the machine {node}: Debian GNU/Linux 12 (bookworm); its packet filter was read; 1 of 6 facts were not seen."
            );
            assert!(said.contains(&sentence), "{said}");
        }
        let lets_go = world.fake.seen().iter().any(|method| method == "PUT");
        assert_eq!(lets_go, holds, "only a namespace that waits is let go");
        assert_eq!(world.left(), Vec::<String>::new());
        let recorded = std::fs::read_to_string(&recording).expect("the recording");
        assert!(recorded.contains("\"host node1\":\"\""), "it is known as a machine");
        assert!(recorded.contains("it did not fit into what a pod can say"), "and what was not seen");
    }
}

/// What is made can be seen first, the namespace among it.
#[test]
fn the_pods_that_look_at_machines_can_be_seen_first() {
    let world = World::new(good());
    let output = world.run(&["--host", "--print-manifests"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text.matches("kind: Pod\n").count(), 4, "{text}");
    assert_eq!(text.matches("kind: Namespace\n").count(), 1, "{text}");
    assert_eq!(world.fake.seen(), Vec::<String>::new(), "nothing was created");
}

#[test]
fn nothing_is_left_when_answers_are_lost() {
    let mut threads = Vec::new();
    for when in [When::Before, When::After] {
        // The creations, the look at the pods, the deletions.
        for number in 3..=REQUESTS {
            threads.push(std::thread::spawn(move || {
                let world = World::new(good());
                world.fake.strike_at(number, when, Strike::Silence(3));
                let output = world.run(&[]);
                (number, when, world.fake.pods(), stderr(&output))
            }));
        }
    }
    for thread in threads {
        let (number, when, left, said) = thread.join().expect("the thread ends");
        assert!(said.contains("Creates pod kube-system/"), "{said}");
        assert_eq!(left, Vec::<String>::new(), "{when:?} request {number}: {said}");
    }
}

#[test]
fn why_no_pod_saw_anything_is_said() {
    let quota =
        "pods \"x\" is forbidden: exceeded quota: tight, requested: pods=1, used: pods=0, limited: pods=0";
    for (fate, words) in [
        (Fate::Refused(403, quota), "exceeded quota: tight"),
        (Fate::Waits("ImagePullBackOff"), "the image metrics-preflight:0.1.0 is not there (ImagePullBackOff"),
        (
            Fate::Waits("CreateContainerConfigError"),
            "the container does not start (CreateContainerConfigError",
        ),
        (Fate::Says("exec format error".to_owned()), "is the image of this version?"),
        (Fate::Says(String::new()), "the probe ended without saying anything"),
    ] {
        let world = World::new(fate);
        let output = world.run(&[]);
        assert_eq!(code(&output), 3, "{}", stderr(&output));
        assert!(stderr(&output).contains(words), "{words}: {}", stderr(&output));
        assert_eq!(world.fake.pods(), Vec::<String>::new());
    }
}

#[test]
fn only_what_is_dead_is_removed_unless_it_is_asked_for() {
    let pod = |number: u8, name: &str, after: &str| {
        let name = if name.is_empty() {
            format!("metrics-preflight-probe-000000000{number}-0")
        } else {
            name.to_owned()
        };
        json!({
            "metadata": {
                "name": name,
                "namespace": "kube-system",
                "labels": {"metrics-preflight/probe": format!("000000000{number}")},
                "annotations": {"metrics-preflight/remove-after": after},
            },
        })
    };
    let world = World::new(good());
    world.fake.put(pod(1, "", "2020-01-01T00:00:00Z"));
    world.fake.put(pod(2, "", "2999-01-01T00:00:00Z"));
    // Somebody has put our label on a pod of theirs.
    world.fake.put(pod(3, "metrics-server-abc", "2020-01-01T00:00:00Z"));
    let said = stderr(&world.run(&[]));
    assert!(said.contains("Removed pod kube-system/metrics-preflight-probe-0000000001-0"), "{said}");
    assert!(
        said.contains(
            "Another run, which may be under way, has pod kube-system/metrics-preflight-probe-0000000002-0"
        ),
        "{said}"
    );
    assert_eq!(world.fake.pods(), ["metrics-preflight-probe-0000000002-0", "metrics-server-abc"]);
    assert_eq!(code(&world.run(&["--clean-up"])), 0);
    assert_eq!(world.fake.pods(), ["metrics-server-abc"]);
}

#[test]
fn only_dead_namespaces_of_probes_are_removed_unless_it_is_asked_for() {
    let namespace = |name: &str, after: &str| {
        json!({
            "metadata": {
                "name": name,
                "resourceVersion": "7",
                "labels": {"metrics-preflight/probe": name.trim_start_matches("metrics-preflight-probe-")},
                "annotations": {"metrics-preflight/remove-after": after},
            },
        })
    };
    let (dead, busy) = ("metrics-preflight-probe-0000000001", "metrics-preflight-probe-0000000002");
    let world = World::new(good());
    world.fake.hold_namespaces();
    world.fake.put_namespace(namespace(dead, "2020-01-01T00:00:00Z"));
    world.fake.put_namespace(namespace(busy, "2999-01-01T00:00:00Z"));
    // Somebody has put our label on a namespace of theirs.
    world.fake.put_namespace(namespace("kube-system", "2020-01-01T00:00:00Z"));
    let said = stderr(&world.run(&[]));
    assert!(said.contains(&format!("Removed namespace {dead}, which an earlier run had left.")), "{said}");
    assert!(said.contains(&format!("Another run, which may be under way, has namespace {busy};")), "{said}");
    assert_eq!(world.fake.namespaces(), ["kube-system", busy]);
    assert_eq!(code(&world.run(&["--clean-up"])), 0);
    assert_eq!(world.fake.namespaces(), ["kube-system"]);
}

/// Where namespaces are refused nothing was made of `--host`, and nobody says that nothing is left.
#[test]
fn who_may_not_make_a_namespace_is_told_so_at_once() {
    let world = World::new(good());
    world.fake.refuse_namespaces();
    let file = world.scratch.path("report.json");
    let output = world.run(&["--host", "-o", &format!("json={file}")]);
    let said = stderr(&output);
    assert!(said.contains("namespaces is forbidden"), "{said}");
    // Machines were to be looked at, and were not: that the pipeline works is no answer to that.
    assert_ne!(code(&output), 0, "{said}");
    let text = std::fs::read_to_string(&file).expect("a report");
    let document: serde_json::Value = serde_json::from_str(&text).expect("a document");
    let left = document["vantage"]["hosts"][0]["left_out"].as_str().expect("it is left out");
    assert!(left.contains("namespaces is forbidden"), "{left}");
    let mut open = document["undecided"].as_array().expect("open questions").iter();
    assert!(open.any(|open| open["deciding"] == true && open["subject"]["kind"] == "Host"), "{document:#}");
    assert!(!said.contains("could not be removed"), "{said}");
    // It looks for leftovers, tries to make one, and asks for none to go.
    let methods = world.fake.seen();
    assert_eq!(methods.iter().filter(|method| *method == "DELETE").count(), 2, "two pods: {methods:?}");
    assert_eq!(world.left(), Vec::<String>::new());

    let cleaned = world.run(&["--clean-up"]);
    assert_eq!(code(&cleaned), 3, "{}", stderr(&cleaned));
    assert!(stderr(&cleaned).contains("namespaces of `probe --host` were not looked for"));
    assert!(!stderr(&cleaned).contains("Nothing was left"));
}
