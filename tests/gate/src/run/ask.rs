//! Asking the program under test before the controller shows what is true.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result};
use cluster::{Cluster, User, Vantage};
use serde::Serialize;
use serde_json::Value as Json;

use super::Plan;
use crate::{Case, Hpa, Outcome};

/// How many questions are asked side by side.
const JOBS: usize = 4;

/// When the program is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Moment {
    /// There is nothing but the namespace, its defaults and limits, and the kinds.
    Before,
    /// The workload runs and is measured; only the HPA is missing.
    Running,
}

/// What the program answered.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Answer {
    exit_code: i32,
    document: Json,
    stderr: String,
}

/// The answers by case and moment.
pub(super) type Answers = BTreeMap<String, BTreeMap<Moment, Answer>>;

/// Whether the program has the command.
pub(super) fn has_gate(program: &Path) -> bool {
    let status =
        Command::new(program).args(["gate", "--help"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Asks about every case.
pub(super) fn ask(
    cluster: &Cluster,
    plan: &Plan,
    moment: Moment,
    cases: &[&Case],
    answers: &mut Answers,
) -> Result<()> {
    let Some(program) = &plan.program else { return Ok(()) };
    if let Some(folder) = &plan.recordings {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let program = program.canonicalize().with_context(|| format!("{} is not there", program.display()))?;
    let queue: Mutex<VecDeque<&Case>> = Mutex::new(cases.iter().copied().collect());
    let given = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..JOBS {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.pop_front());
                    let Some(case) = next else { return };
                    let recording = plan.recordings.as_ref().map(|folder| {
                        let moment = format!("{moment:?}").to_lowercase();
                        folder.join(format!("{}.{moment}.jsonl", case.name))
                    });
                    let answer = one(cluster, &program, case, recording.as_deref());
                    if let Ok(mut given) = given.lock() {
                        given.push((case.name.clone(), answer));
                    }
                }
            });
        }
    });
    for (name, answer) in given.into_inner().unwrap_or_default() {
        answers.entry(name).or_default().insert(moment, answer?);
    }
    Ok(())
}

fn one(cluster: &Cluster, program: &Path, case: &Case, recording: Option<&Path>) -> Result<Answer> {
    let mut command = Command::new(program);
    command.arg("gate").arg("-f").arg(&case.path).args(["-n", &case.namespace(), "-o", "json"]);
    if let Some(path) = recording {
        command.arg("--record").arg(path);
    }
    command
        .env("KUBECONFIG", cluster.kubeconfig(&User::Admin)?)
        .env_remove("HTTPS_PROXY")
        .env_remove("https_proxy");
    let output = cluster.in_namespace(&Vantage::Nodes, &command)?.output()?;
    Ok(Answer {
        exit_code: output.status.code().unwrap_or(-1),
        document: serde_json::from_slice(&output.stdout).unwrap_or_default(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Prints every contradiction and a count of each kind of verdict; tells how many contradictions there are.
///
/// A verdict of `pass` must come with a filled entry, and `fail` with one that is not. `deferred` and `undecided` promise
/// nothing. A metric about which nothing is said is a contradiction, unless the HPA was refused and the exit code says
/// that it is bad.
///
/// Whether pods will start and become ready no manifest shows. Where a case's never do, a `pass` before they were there
/// is told apart and counts for nothing.
pub(super) fn compare(answers: &Answers, outcomes: &BTreeMap<String, Outcome>, cases: &[Case]) -> usize {
    let never_ready = |name: &str| cases.iter().any(|case| case.name == name && !case.ready);
    let mut wrong = 0;
    let mut counts: BTreeMap<(Moment, String), usize> = BTreeMap::new();
    for (name, moments) in answers {
        for (moment, answer) in moments {
            for hpa in outcomes.get(name).into_iter().flat_map(|outcome| &outcome.hpas) {
                for (index, filled) in expected(hpa) {
                    let verdict = verdict(&answer.document, &hpa.name, index);
                    if *moment == Moment::Before && verdict == Some("pass") && !filled && never_ready(name) {
                        *counts
                            .entry((*moment, "pass, for pods that never start".to_owned()))
                            .or_default() += 1;
                        continue;
                    }
                    if contradicts(
                        verdict,
                        filled,
                        hpa.refused.is_some() && [1, 2].contains(&answer.exit_code),
                    ) {
                        wrong += 1;
                        println!(
                            "CONTRADICTION {name}/{} metric {index} ({moment:?}): {}, and the controller {} it; exit code {} {}",
                            hpa.name,
                            verdict.unwrap_or("nothing"),
                            if filled { "reads" } else { "cannot read" },
                            answer.exit_code,
                            answer.stderr.lines().next().unwrap_or_default()
                        );
                    }
                    *counts.entry((*moment, verdict.unwrap_or("nothing").to_owned())).or_default() += 1;
                }
            }
        }
    }
    for ((moment, verdict), count) in counts {
        println!("{moment:?}: {count} metrics {verdict}");
    }
    wrong
}

/// Each metric, and whether it was filled; an HPA without any has one that was not.
fn expected(hpa: &Hpa) -> Vec<(usize, bool)> {
    if hpa.metrics.is_empty() {
        return vec![(0, false)];
    }
    hpa.metrics.iter().map(|metric| (metric.index, metric.filled)).collect()
}

fn contradicts(verdict: Option<&str>, filled: bool, refused: bool) -> bool {
    match verdict {
        Some("pass") => !filled,
        Some("fail") => filled,
        Some("deferred" | "undecided") => false,
        Some(_) => true,
        None => !refused,
    }
}

fn verdict<'a>(document: &'a Json, name: &str, index: usize) -> Option<&'a str> {
    let hpas = document["hpas"].as_array()?;
    let hpa = hpas.iter().find(|hpa| hpa["subject"]["name"] == name)?;
    hpa["metrics"][index]["verdict"].as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{contradicts, verdict};

    #[test]
    fn a_verdict_is_found_by_name_and_place() {
        let document = json!({"hpas": [
            {"subject": {"name": "a"}, "metrics": []},
            {"subject": {"name": "b"}, "metrics": [{"verdict": "pass"}, {"verdict": "fail"}]},
        ]});
        assert_eq!(verdict(&document, "b", 1), Some("fail"));
        assert_eq!(verdict(&document, "a", 0), None);
        assert_eq!(verdict(&json!(null), "a", 0), None);
    }

    #[test]
    fn only_pass_and_fail_promise_something() {
        assert!(contradicts(Some("pass"), false, false));
        assert!(contradicts(Some("fail"), true, false));
        assert!(!contradicts(Some("pass"), true, false));
        assert!(!contradicts(Some("fail"), false, false));
        assert!(!contradicts(Some("deferred"), true, false));
        assert!(!contradicts(Some("undecided"), false, false));
        assert!(contradicts(None, false, false));
        assert!(!contradicts(None, false, true));
        assert!(contradicts(Some("maybe"), false, true));
    }
}
