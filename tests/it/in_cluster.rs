//! The manifests of a Job in the cluster: they let it see what the checks ask for and nothing else, and nothing that they
//! start is privileged.

use std::collections::BTreeSet;

use checks::evidence::{Grant, Mode, Need};
use checks::registry::CHECKS;
use serde_json::Value;

use crate::tree::{read, root};

fn documents(name: &str) -> Vec<Value> {
    let text = read(&root().join("docs/manifests").join(name));
    text.split("\n---\n")
        .map(|part| serde_saphyr::from_str(part).unwrap_or_else(|why| panic!("{name}: {why}")))
        .collect()
}

/// A list of words in an object.
fn words<'v>(value: &'v Value, field: &str) -> Vec<&'v str> {
    value[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What a rule grants: the verb, and `resource.group` as Kubernetes writes it, or the path.
fn granted(rule: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for verb in words(rule, "verbs") {
        for path in words(rule, "nonResourceURLs") {
            all.push((verb.to_owned(), path.to_owned()));
        }
        for group in words(rule, "apiGroups") {
            for resource in words(rule, "resources") {
                let (head, sub) = resource
                    .split_once('/')
                    .map_or((resource, String::new()), |(head, sub)| (head, format!("/{sub}")));
                let named =
                    if group.is_empty() { format!("{head}{sub}") } else { format!("{head}.{group}{sub}") };
                match words(rule, "resourceNames").as_slice() {
                    names if !names.is_empty() && matches!(head, "configmaps" | "leases") => {
                        all.extend(names.iter().map(|name| (verb.to_owned(), format!("{named}/{name}"))));
                    }
                    _ => all.push((verb.to_owned(), named)),
                }
            }
        }
    }
    all
}

/// Verbs and resources.
type Grants = BTreeSet<(String, String)>;

/// What the manifests grant: cluster-wide, and in a namespace.
fn grants() -> (Grants, Grants) {
    let of = |kind: &str| {
        documents("rbac.yaml")
            .iter()
            .filter(|document| document["kind"] == kind)
            .flat_map(|document| {
                document["rules"].as_array().into_iter().flatten().flat_map(granted).collect::<Vec<_>>()
            })
            .collect()
    };
    (of("ClusterRole"), of("Role"))
}

/// What the checks of an installed pipeline need.
fn needs() -> BTreeSet<Need> {
    let checks = CHECKS.iter().filter(|check| check.modes.contains(&Mode::Installed));
    checks.flat_map(|check| check.needs.iter().copied()).collect()
}

/// Needs that nothing is granted for, and why.
const NOT_GRANTED: &[(Need, &str)] = &[
    (Need::Configz, "nodes/proxy equals a shell in every pod of the node"),
    (Need::Namespaces, "only a gate asks"),
    (Need::LimitRanges, "only a gate asks"),
    (Need::PodMetrics, "only a gate asks"),
];

/// Grants that stand for no need of their own, and what they are for.
const BESIDES: &[(&str, &str, &str)] = &[
    ("list", "services", "where the Service is missing, those that select metrics-server's pods"),
    ("get", "deployments.apps", "the workload that owns the pods"),
    ("get", "replicasets.apps", "what leads from a pod to its Deployment"),
    ("list", "replicasets.apps", "the same rule"),
    ("get", "replicasets.apps/scale", "targets of autoscalers"),
    ("get", "statefulsets.apps/scale", "targets of autoscalers"),
    ("get", "replicationcontrollers/scale", "targets of autoscalers"),
    ("get", "configmaps/kubeadm-config", "what installed the cluster, for the cures"),
];

fn pair(verb: &str, resource: &str) -> (String, String) {
    (verb.to_owned(), resource.to_owned())
}

#[test]
fn the_role_holds_what_the_checks_ask_for() {
    let (cluster, namespaced) = grants();
    let mut missing = Vec::new();
    for need in needs().into_iter().filter(|need| NOT_GRANTED.iter().all(|(other, _)| other != need)) {
        let there = match need.grant() {
            Grant::Cluster(verb, resource) => cluster.contains(&pair(verb, resource)),
            Grant::Namespaced(verb, resource) => {
                let wanted = pair(verb, resource);
                namespaced.contains(&wanted) || cluster.contains(&wanted)
            }
            Grant::NonResource(path) => cluster.contains(&pair("get", path)),
            Grant::Everyone | Grant::KubeletNetwork | Grant::Nothing | Grant::Host | Grant::Probe => true,
        };
        if !there {
            missing.push(need);
        }
    }
    assert!(missing.is_empty(), "docs/manifests/rbac.yaml lacks {missing:?}");
}

#[test]
fn the_role_holds_nothing_else() {
    let wanted: BTreeSet<(String, String)> = needs()
        .into_iter()
        .filter_map(|need| match need.grant() {
            Grant::Cluster(verb, resource) | Grant::Namespaced(verb, resource) => Some(pair(verb, resource)),
            Grant::NonResource(path) => Some(pair("get", path)),
            _ => None,
        })
        .chain(BESIDES.iter().map(|(verb, resource, _)| pair(verb, resource)))
        .collect();
    let (cluster, namespaced) = grants();
    let granted: BTreeSet<_> = cluster.union(&namespaced).cloned().collect();
    let more: Vec<_> = granted.difference(&wanted).collect();
    assert!(more.is_empty(), "nobody asks for {more:?}");
    assert!(granted.iter().all(|(_, resource)| !resource.starts_with("secrets")));
    let changes = granted.iter().filter(|(verb, _)| !matches!(verb.as_str(), "get" | "list"));
    let changes: Vec<_> = changes.collect();
    assert_eq!(changes, [&pair("create", "subjectaccessreviews.authorization.k8s.io")], "it changes nothing");
}

/// The Job, and the one in the `CronJob`.
fn jobs() -> [Value; 2] {
    let job = documents("job.yaml").remove(0);
    let cron = documents("cronjob.yaml").remove(0);
    [job["spec"].clone(), cron["spec"]["jobTemplate"]["spec"].clone()]
}

#[test]
fn both_jobs_are_the_same_and_run_without_privileges() {
    let [mut job, cron] = jobs();
    job.as_object_mut().expect("a Job").remove("ttlSecondsAfterFinished");
    assert_eq!(job, cron);
    assert_eq!(job["backoffLimit"], 0);
    let pod = &job["template"]["spec"];
    assert_eq!(pod["restartPolicy"], "Never");
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let own = &pod["containers"][0]["securityContext"];
    assert_eq!(own["allowPrivilegeEscalation"], false);
    assert_eq!(own["readOnlyRootFilesystem"], true);
    assert_eq!(words(&own["capabilities"], "drop"), ["ALL"]);
    assert!(pod.get("volumes").is_none() && pod.get("hostNetwork").is_none());
    let account = &documents("rbac.yaml")[1];
    assert_eq!(pod["serviceAccountName"], account["metadata"]["name"]);
}

#[test]
fn the_report_may_be_kept_in_one_config_map_that_is_there_already() {
    let [place, role, binding] = documents("config-map.yaml").try_into().expect("three objects");
    assert_eq!(place["metadata"]["labels"]["metrics-preflight/report"], "true");
    assert_eq!(place.get("data"), None);
    let rules = role["rules"].as_array().expect("rules");
    let granted: BTreeSet<_> = rules.iter().flat_map(granted).collect();
    assert_eq!(
        granted,
        BTreeSet::from([pair("get", "configmaps/report"), pair("update", "configmaps/report")])
    );
    assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
    let account = &documents("rbac.yaml")[1]["metadata"];
    for object in [&place, &role, &binding] {
        assert_eq!(object["metadata"]["namespace"], account["namespace"]);
    }
    assert_eq!(binding["subjects"][0]["name"], account["name"]);
    assert_eq!(binding["subjects"][0]["namespace"], account["namespace"]);
}
