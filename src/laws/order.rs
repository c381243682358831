//! The order in which things were listed means nothing.

use std::collections::BTreeSet;

use checks::check::Subject;
use checks::diagnosis::{Policy, Verdict, diagnose};
use checks::evidence::{Backend, Cluster, Evidence, FrontProxy, Hpa, Look, Node, Obs};
use checks::registry::CHECKS;

use super::assert_none;
use super::dice::Dice;
use super::world::{Results, WORLD, results};

/// How often each recording is shuffled.
const SHUFFLES: u32 = 5;

fn shuffle<T>(dice: &mut Dice, list: &mut Obs<Vec<T>>) {
    if let Look::Seen(list) = &mut list.look {
        dice.shuffle(list);
    }
}

fn each<T>(list: &mut Obs<Vec<T>>, change: impl FnMut(&mut T)) {
    if let Look::Seen(list) = &mut list.look {
        list.iter_mut().for_each(change);
    }
}

/// Shuffles every list whose order is chance: not arguments, addresses and chains of certificates, where the first
/// counts, and of the log only lines of the same time.
fn shuffled(evidence: &Evidence, dice: &mut Dice) -> Evidence {
    let mut evidence = evidence.clone();
    let Evidence { cluster, backend, nodes, front_proxy, metrics, hpas, .. } = &mut evidence;
    shuffle_cluster(dice, cluster);
    shuffle_backend(dice, backend);
    shuffle_front_proxy(dice, front_proxy);
    shuffle(dice, &mut metrics.nodes);
    shuffle(dice, nodes);
    each(nodes, |node: &mut Node| shuffle(dice, &mut node.csrs));
    shuffle(dice, hpas);
    each(hpas, |hpa: &mut Hpa| {
        dice.shuffle(&mut hpa.conditions);
        shuffle(dice, &mut hpa.pods);
        each(&mut hpa.pods, |pod| dice.shuffle(&mut pod.containers));
    });
    evidence
}

fn shuffle_cluster(dice: &mut Dice, cluster: &mut Cluster) {
    shuffle(dice, &mut cluster.groups);
    if let Look::Seen(caller) = &mut cluster.whoami.look {
        dice.shuffle(&mut caller.groups);
    }
}

fn shuffle_backend(dice: &mut Dice, backend: &mut Backend) {
    shuffle(dice, &mut backend.endpoints);
    each(&mut backend.endpoints, |endpoint| dice.shuffle(&mut endpoint.ports));
    shuffle(dice, &mut backend.pods);
    each(&mut backend.pods, |pod| dice.shuffle(&mut pod.ports));
    shuffle(dice, &mut backend.root_ca);
    shuffle(dice, &mut backend.candidates);
    shuffle(dice, &mut backend.logs);
    if let Look::Seen(signals) = &mut backend.logs.look {
        signals.sort_by_key(|signal| signal.at);
    }
    if let Look::Seen(Some(service)) = &mut backend.service.look {
        dice.shuffle(&mut service.ports);
    }
}

fn shuffle_front_proxy(dice: &mut Dice, front_proxy: &mut FrontProxy) {
    shuffle(dice, &mut front_proxy.anonymous_bindings);
    if let Look::Seen(Some(config)) = &mut front_proxy.auth_config.look {
        dice.shuffle(&mut config.allowed_names);
        dice.shuffle(&mut config.client_ca);
        config.requestheader_ca.iter_mut().for_each(|list| dice.shuffle(list));
    }
}

/// What may not depend on the order: results, root causes with their subjects, the verdict.
fn conclusions(evidence: &Evidence) -> (Results, BTreeSet<(&'static str, Subject)>, Verdict) {
    let diagnosis = diagnose(CHECKS, evidence, Policy::default());
    let roots = diagnosis
        .root_causes
        .iter()
        .flat_map(|cause| cause.findings.iter().map(|finding| (cause.check.0.name, finding.subject.clone())))
        .collect();
    (results(&diagnosis).0, roots, diagnosis.verdict)
}

#[test]
fn the_order_of_the_evidence_changes_nothing() {
    let mut broken = Vec::new();
    for case in &*WORLD {
        let straight = conclusions(&case.evidence);
        let mut dice = Dice::new(&case.name);
        for _ in 0..SHUFFLES {
            let other = conclusions(&shuffled(&case.evidence, &mut dice));
            let changed: Vec<_> =
                other.0.iter().filter(|(key, word)| straight.0.get(*key) != Some(word)).collect();
            if other != straight {
                broken.push(format!("{}: {changed:?}, roots {:?}, {:?}", case.name, other.1, other.2));
            }
        }
    }
    assert_none("the order of lists changes nothing", &broken);
}
