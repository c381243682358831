//! What the checks say of manifests that a real API server was shown: the same as it did.
//!
//! `tests/gate/answers.json` holds what it answered to `kubectl create --dry-run=server --validate=strict` on each file
//! in `tests/gate/refused`, and on the target in each file in `tests/gate/targets`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use checks::check::Outcome;
use checks::evidence::{Evidence, Mode};
use jiff::Timestamp;
use serde_json::Value;

use super::assert_none;
use super::world::check;
use crate::collect::{CollectOptions, GateInput, KubeletLook, collect};
use crate::manifest;
use crate::source::recording::FORMAT_VERSION;
use crate::source::{Connection, Header, Recording, Source};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gate")
}

/// What the API server answered by file, for one of the two lists: nothing where it took the object.
fn answers(list: &str) -> BTreeMap<String, Option<String>> {
    let text = std::fs::read_to_string(folder().join("answers.json")).expect("the answers");
    let answers: Value = serde_json::from_str(&text).expect("the answers are JSON");
    assert_eq!(answers["server"], "v1.36.2");
    serde_json::from_value(answers[list].clone()).expect("an answer for each file")
}

/// One manifest, judged without a cluster for the version that gave the answers.
fn evidence(path: PathBuf) -> Evidence {
    let reading = manifest::read(&[path], std::io::empty()).expect("it can be read");
    let header = Header {
        format_version: FORMAT_VERSION,
        tool: String::new(),
        taken_at: Timestamp::UNIX_EPOCH,
        clock_offset_seconds: None,
        masked: 0,
        connection: Connection::default(),
        arguments: BTreeMap::new(),
    };
    let gate = GateInput {
        manifests: reading.manifests,
        namespace: None,
        live: false,
        offline: true,
        pipeline: false,
        dry_run: false,
        target_minor: Some(36),
    };
    let options = CollectOptions {
        target_minor: None,
        mode: Mode::Gate,
        namespace: None,
        kubelets: KubeletLook::Never,
        all_nodes: false,
        hosts: Vec::new(),
        probes: Vec::new(),
        gate: Some(gate),
    };
    let source = Source::from(Recording { header, observations: Vec::new() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(collect(&source, &options))
}

#[test]
fn what_is_refused_is_what_the_api_server_refused() {
    as_the_api_server("hpa-manifest-refused", "refused", "refusals");
}

#[test]
fn a_target_is_refused_where_the_api_server_refused_it() {
    as_the_api_server("hpa-target-refused", "targets", "targets");
}

/// Holds a check to the answers on the manifests of a folder.
fn as_the_api_server(name: &str, files: &str, list: &str) {
    let refused = check(name).expect("the check");
    let mut broken = Vec::new();
    let answers = answers(list);
    let taken = answers.values().filter(|answer| answer.is_none()).count();
    assert!(taken >= 15 && answers.len() - taken >= 20, "{taken} of {}", answers.len());
    for (file, answer) in answers {
        let evidence = evidence(folder().join(files).join(&file));
        let outcomes = refused.run(&evidence).results;
        let [(_, outcome)] = outcomes.as_slice() else { panic!("{file}: {outcomes:?}") };
        match (outcome, &answer) {
            (Outcome::Pass, None) => {}
            (Outcome::Fail(finding), Some(answer)) => {
                // The field that it names, or the one around it, is cited; of quantities it names none.
                let names = |path: &str| {
                    let fields = path.rsplit('.').filter(|field| field.parse::<usize>().is_err());
                    fields.take(2).any(|field| answer.contains(field))
                };
                let nameless = ["quantities must match", "unable to parse quantity", "no matches for kind"];
                let is_nameless = nameless.iter().any(|words| answer.contains(words));
                if !is_nameless && !finding.citations.iter().any(|it| names(&it.path)) {
                    let cited: Vec<_> = finding.citations.iter().map(|it| &it.path).collect();
                    broken.push(format!("{file}: {cited:?} and not: {answer}"));
                }
            }
            (outcome, answer) => broken.push(format!("{file}: {outcome:?}, and the server said {answer:?}")),
        }
    }
    assert_none("a manifest is refused where the API server refuses it", &broken);
}

#[test]
fn every_manifest_has_its_answer() {
    for (files, list) in [("refused", "refusals"), ("targets", "targets")] {
        let files = std::fs::read_dir(folder().join(files)).expect("the manifests");
        let files: Vec<String> =
            files.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
        let answers = answers(list);
        assert_eq!(files.len(), answers.len());
        assert!(files.iter().all(|file| answers.contains_key(file)));
    }
}
