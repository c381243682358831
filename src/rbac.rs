//! The least rights that a subcommand takes: from the observations that its checks declare (`Need::grant`), and from
//! what leads to them.

use std::collections::{BTreeMap, BTreeSet};

use checks::evidence::{Grant, Mode, Need};
use checks::registry::CHECKS;
use serde_json::{Value, json};

use crate::config_map::Place;

/// What the rights are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `check`, `capture`.
    Check,
    /// `gate`.
    Gate,
    /// `probe`, which diagnoses as `check` does.
    Probe,
}

/// Where a right holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Where {
    /// In the whole cluster.
    Cluster,
    /// In one namespace.
    Namespace(String),
}

/// Who gets them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// A ServiceAccount: its namespace and name.
    ServiceAccount(String, String),
    /// A user.
    User(String),
    /// A group.
    Group(String),
}

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wish {
    /// For what.
    pub purpose: Purpose,
    /// What the objects are called.
    pub name: String,
    /// metrics-server's namespace.
    pub namespace: String,
    /// Who gets the rights.
    pub to: To,
    /// Whether `nodes/proxy` is among them.
    pub nodes_proxy: bool,
    /// The ConfigMap that the report is kept in.
    pub config_map: Option<Place>,
    /// Whether a probe looks at machines as well.
    pub machines: bool,
}

/// What `probe --host` does: a namespace whose name nobody knows before, and pods in it. See `src/probe/machine/`.
const MACHINES: &[(&str, &str)] = &[
    ("create", "namespaces"),
    ("delete", "namespaces"),
    ("list", "namespaces"),
    ("update", "namespaces/finalize"),
    ("create", "pods"),
    ("delete", "pods"),
    ("list", "pods"),
];

/// One right: verb, API group, resource, and the name of the object where it is about one.
type Right = (String, String, String, Option<String>);

/// The objects, in the order in which they can be applied.
#[must_use]
pub fn objects(wish: &Wish) -> Vec<Value> {
    let (rights, paths) = rights(wish);
    let mut objects = Vec::new();
    for (place, rights) in rights {
        let mut rules = rules(&rights);
        let paths = if place == Where::Cluster { paths.as_slice() } else { &[] };
        rules.extend(paths.iter().map(|path| json!({"nonResourceURLs": [path], "verbs": ["get"]})));
        let namespace = match &place {
            Where::Cluster => None,
            Where::Namespace(namespace) => Some(namespace.as_str()),
        };
        let prefix = if namespace.is_some() { "" } else { "Cluster" };
        let meta = |name: &str| match namespace {
            Some(namespace) => json!({"name": name, "namespace": namespace}),
            None => json!({"name": name}),
        };
        let group = "rbac.authorization.k8s.io";
        objects.push(json!({
            "apiVersion": format!("{group}/v1"),
            "kind": format!("{prefix}Role"),
            "metadata": meta(&wish.name),
            "rules": rules,
        }));
        objects.push(json!({
            "apiVersion": format!("{group}/v1"),
            "kind": format!("{prefix}RoleBinding"),
            "metadata": meta(&wish.name),
            "roleRef": {"apiGroup": group, "kind": format!("{prefix}Role"), "name": wish.name},
            "subjects": [subject(&wish.to)],
        }));
    }
    objects
}

fn subject(to: &To) -> Value {
    let group = "rbac.authorization.k8s.io";
    match to {
        To::ServiceAccount(namespace, name) => {
            json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
        }
        To::User(name) => json!({"apiGroup": group, "kind": "User", "name": name}),
        To::Group(name) => json!({"apiGroup": group, "kind": "Group", "name": name}),
    }
}

/// The observations that the checks of a purpose read.
fn needs(wish: &Wish) -> BTreeSet<Need> {
    let modes: &[Mode] = match wish.purpose {
        Purpose::Check | Purpose::Probe => &[Mode::Installed, Mode::BeforeInstall],
        // Where the Metrics API gives nothing, the gate looks for the reason as `check` does.
        Purpose::Gate => &[Mode::Gate, Mode::Installed],
    };
    let applies = |check: &&checks::check::Check| check.modes.iter().any(|mode| modes.contains(mode));
    let mut needs: BTreeSet<Need> =
        CHECKS.iter().filter(applies).flat_map(|check| check.needs).copied().collect();
    if !wish.nodes_proxy {
        needs.remove(&Need::Configz);
    }
    // Checks of autoscalers that are there and of such as are to come need these for the latter alone.
    if wish.purpose != Purpose::Gate {
        needs.retain(|need| !matches!(need, Need::Namespaces | Need::LimitRanges | Need::PodMetrics));
    }
    // Whoever wants a dry run names the kinds that it is about; it takes the right to change them.
    needs.remove(&Need::DryRun);
    if wish.purpose == Purpose::Probe {
        needs.insert(Need::PodProbe);
    } else {
        needs.remove(&Need::PodProbe);
    }
    needs
}

/// The rights by place, and the paths.
fn rights(wish: &Wish) -> (BTreeMap<Where, BTreeSet<Right>>, Vec<String>) {
    let mut rights: BTreeMap<Where, BTreeSet<Right>> = BTreeMap::new();
    let mut paths = BTreeSet::new();
    for need in needs(wish) {
        match need.grant() {
            Grant::Cluster(verb, resource) => {
                rights.entry(Where::Cluster).or_default().insert(right(verb, resource));
            }
            Grant::Namespaced(verb, resource) => {
                rights.entry(place(need, wish)).or_default().insert(right(verb, resource));
            }
            Grant::NonResource(path) => {
                paths.insert(path.to_owned());
            }
            Grant::Everyone | Grant::KubeletNetwork | Grant::Nothing | Grant::Host | Grant::Probe => {}
        }
        for (place, verb, resource) in besides(need, wish) {
            rights.entry(place).or_default().insert(right(verb, resource));
        }
    }
    if let Some(report) = &wish.config_map {
        let one = format!("configmaps/{}", report.name);
        let all = rights.entry(Where::Namespace(report.namespace.clone())).or_default();
        all.extend([right("get", &one), right("update", &one)]);
        // Kubernetes cannot say which name may be created: the name is not known yet when it is asked.
        all.insert(right("create", "configmaps"));
    }
    if wish.purpose == Purpose::Probe && wish.machines {
        let everywhere = rights.entry(Where::Cluster).or_default();
        everywhere.extend(MACHINES.iter().map(|(verb, resource)| right(verb, resource)));
    }
    (rights, paths.into_iter().collect())
}

/// Where an observation is made.
fn place(need: Need, wish: &Wish) -> Where {
    match need {
        Need::AuthConfig | Need::ControllerLease => kube_system(),
        Need::ApiServers => Where::Namespace("default".to_owned()),
        Need::HpaTarget
        | Need::HpaPods
        | Need::Template
        | Need::Namespaces
        | Need::LimitRanges
        | Need::Quotas
        | Need::OtherAutoscalers
        | Need::PodMetrics
        | Need::CustomMetrics
        | Need::ExternalMetrics => Where::Cluster,
        _ => Where::Namespace(wish.namespace.clone()),
    }
}

fn kube_system() -> Where {
    Where::Namespace("kube-system".to_owned())
}

/// What leads to an observation, or stands in for it, beside what its `grant` names.
fn besides(need: Need, wish: &Wish) -> Vec<(Where, &'static str, &'static str)> {
    let own = || Where::Namespace(wish.namespace.clone());
    let own_all = |rights: &[(&'static str, &'static str)]| -> Vec<_> {
        rights.iter().map(|(verb, resource)| (own(), *verb, *resource)).collect()
    };
    let cluster_all = |verb: &'static str, resources: &[&'static str]| -> Vec<_> {
        resources.iter().map(|resource| (Where::Cluster, verb, *resource)).collect()
    };
    match need {
        // Where the Service is missing, those that select the pods are looked for.
        Need::Service => own_all(&[("list", "services")]),
        // From a pod to its ReplicaSet to its Deployment.
        Need::Workload => own_all(&[("get", "replicasets.apps"), ("get", "deployments.apps")]),
        // Kubernetes before 1.36 does not serve /flagz; and kubeadm's clusters are known by its ConfigMap.
        Need::ApiServerFlags => {
            vec![(kube_system(), "list", "pods"), (kube_system(), "get", "configmaps/kubeadm-config")]
        }
        Need::HpaTarget => cluster_all(
            "get",
            &["statefulsets.apps/scale", "replicasets.apps/scale", "replicationcontrollers/scale"],
        ),
        Need::Template => cluster_all("get", &["statefulsets.apps", "replicasets.apps"]),
        Need::OtherAutoscalers => cluster_all("list", &["scaledobjects.keda.sh"]),
        Need::CustomMetrics => cluster_all("get", &["*.custom.metrics.k8s.io"]),
        Need::ExternalMetrics => cluster_all("list", &["*.external.metrics.k8s.io"]),
        Need::PodProbe => {
            let mut rights = own_all(&[
                ("create", "pods"),
                ("delete", "pods"),
                ("get", "pods"),
                ("list", "pods"),
                ("list", "networkpolicies.networking.k8s.io"),
                ("list", "services"),
                ("list", "deployments.apps"),
                ("list", "replicasets.apps"),
                ("list", "statefulsets.apps"),
                ("list", "daemonsets.apps"),
            ]);
            rights.push((Where::Namespace("default".to_owned()), "list", "endpointslices.discovery.k8s.io"));
            rights
        }
        _ => Vec::new(),
    }
}

/// Reads `resource.group`, `resource/subresource`, `resource.group/subresource`, `configmaps/NAME` or
/// `leases.group/NAME`.
fn right(verb: &str, resource: &str) -> Right {
    let (resource, below) = match resource.split_once('/') {
        Some((resource, below)) => (resource, Some(below)),
        None => (resource, None),
    };
    let (name, group) = resource.split_once('.').unwrap_or((resource, ""));
    // These have no subresource: what stands there is the one that is read.
    if matches!(name, "configmaps" | "leases") {
        return (verb.to_owned(), group.to_owned(), name.to_owned(), below.map(str::to_owned));
    }
    let resource = below.map_or_else(|| name.to_owned(), |below| format!("{name}/{below}"));
    (verb.to_owned(), group.to_owned(), resource, None)
}

/// Rules as few as possible: resources of one group with the same verbs stand together.
fn rules(rights: &BTreeSet<Right>) -> Vec<Value> {
    // Resources by group, name and verbs.
    type Alike<'r> = (&'r str, Option<&'r str>, Vec<&'r str>);
    let mut verbs: BTreeMap<(&str, &str, Option<&str>), BTreeSet<&str>> = BTreeMap::new();
    for (verb, group, resource, name) in rights {
        // Which metrics there are nobody knows beforehand.
        let any = rights.contains(&(verb.clone(), group.clone(), "*".to_owned(), None));
        if !any || resource == "*" {
            verbs.entry((group, resource, name.as_deref())).or_default().insert(verb);
        }
    }
    let mut grouped: BTreeMap<Alike<'_>, Vec<&str>> = BTreeMap::new();
    for ((group, resource, name), verbs) in verbs {
        grouped.entry((group, name, verbs.into_iter().collect())).or_default().push(resource);
    }
    grouped
        .into_iter()
        .map(|((group, name, verbs), resources)| match name {
            Some(name) => {
                json!({"apiGroups": [group], "resources": resources, "resourceNames": [name], "verbs": verbs})
            }
            None => json!({"apiGroups": [group], "resources": resources, "verbs": verbs}),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(purpose: Purpose) -> Wish {
        Wish {
            purpose,
            name: "metrics-preflight".to_owned(),
            namespace: "kube-system".to_owned(),
            to: To::User("jane".to_owned()),
            nodes_proxy: false,
            config_map: None,
            machines: false,
        }
    }

    fn text(wish: &Wish) -> String {
        serde_json::to_string(&objects(wish)).expect("JSON")
    }

    #[test]
    fn nodes_proxy_is_given_only_where_it_is_asked_for() {
        for purpose in [Purpose::Check, Purpose::Gate, Purpose::Probe] {
            let plain = wish(purpose);
            assert!(!text(&plain).contains("nodes/proxy"), "{purpose:?}");
            assert!(text(&Wish { nodes_proxy: true, ..plain }).contains("nodes/proxy"), "{purpose:?}");
        }
    }

    #[test]
    fn only_a_probe_may_create_and_only_in_its_namespace() {
        let writes = |object: &Value| {
            let rules = object["rules"].as_array().cloned().unwrap_or_default();
            let verbs = |rule: &Value| rule["verbs"].as_array().cloned().unwrap_or_default();
            let reviews = |rule: &Value| rule["apiGroups"][0] == "authorization.k8s.io";
            let all = rules.iter().filter(|rule| !reviews(rule)).flat_map(verbs);
            all.into_iter()
                .filter_map(|verb| verb.as_str().map(str::to_owned))
                .filter(|verb| !["get", "list"].contains(&verb.as_str()))
                .collect::<BTreeSet<_>>()
        };
        for purpose in [Purpose::Check, Purpose::Gate] {
            assert!(objects(&wish(purpose)).iter().all(|object| writes(object).is_empty()), "{purpose:?}");
        }
        for object in objects(&wish(Purpose::Probe)) {
            let wanted: &[&str] = match (object["kind"].as_str(), object["metadata"]["namespace"].as_str()) {
                (Some("Role"), Some("kube-system")) => &["create", "delete"],
                _ => &[],
            };
            let wanted: BTreeSet<String> = wanted.iter().map(|verb| (*verb).to_owned()).collect();
            assert_eq!(writes(&object), wanted, "{object}");
        }
    }

    #[test]
    fn a_report_is_kept_in_one_config_map() {
        let place = "ops/report".parse().expect("a place");
        let kept = objects(&Wish { config_map: Some(place), ..wish(Purpose::Check) });
        let plain = objects(&wish(Purpose::Check));
        let more: Vec<&Value> = kept.iter().filter(|object| !plain.contains(object)).collect();
        let [role, binding] = more.as_slice() else { panic!("{more:?}") };
        assert_eq!((&role["kind"], &role["metadata"]["namespace"]), (&json!("Role"), &json!("ops")));
        assert_eq!(
            (&binding["kind"], &binding["metadata"]["namespace"]),
            (&json!("RoleBinding"), &json!("ops"))
        );
        let rules = json!([
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["report"], "verbs": ["get", "update"]},
        ]);
        assert_eq!(role["rules"], rules);
    }

    #[test]
    fn only_who_looks_at_machines_may_create_everywhere() {
        let changes = |wish: &Wish| {
            let objects = objects(wish);
            let role = objects.iter().find(|object| object["kind"] == "ClusterRole").cloned();
            let rules = role.unwrap_or_default()["rules"].as_array().cloned().unwrap_or_default();
            let text = |rule: &Value| rule.to_string();
            let is_change = |rule: &String| {
                ["\"create\"", "\"delete\"", "\"update\""].iter().any(|verb| rule.contains(verb))
                    && !rule.contains("authorization.k8s.io")
            };
            rules.iter().map(text).filter(is_change).collect::<Vec<_>>()
        };
        assert_eq!(changes(&wish(Purpose::Probe)), Vec::<String>::new());
        for purpose in [Purpose::Check, Purpose::Gate] {
            assert_eq!(changes(&Wish { machines: true, ..wish(purpose) }), Vec::<String>::new());
        }
        let changes = changes(&Wish { machines: true, ..wish(Purpose::Probe) }).join("\n");
        for resource in ["\"namespaces\"", "\"namespaces/finalize\"", "\"pods\""] {
            assert!(changes.contains(resource), "{resource}: {changes}");
        }
    }

    #[test]
    fn what_a_gate_alone_asks_for_is_given_to_a_gate_alone() {
        let has = |purpose, word: &str| text(&wish(purpose)).contains(word);
        for word in ["\"namespaces\"", "limitranges"] {
            assert!(has(Purpose::Gate, word), "{word}");
            assert!(!has(Purpose::Check, word) && !has(Purpose::Probe, word), "{word}");
        }
    }

    #[test]
    fn no_secret_and_no_way_into_a_pod_is_ever_given() {
        for purpose in [Purpose::Check, Purpose::Gate, Purpose::Probe] {
            let text = text(&wish(purpose));
            for word in
                ["secrets", "exec", "attach", "portforward", "impersonate", "\"*\",\"verbs\":[\"*\"", "token"]
            {
                assert!(!text.contains(word), "{purpose:?}: {word}");
            }
        }
    }

    #[test]
    fn resources_are_read_as_they_are_written() {
        let read = |text| {
            let (_, group, resource, name) = right("get", text);
            (group, resource, name)
        };
        let s = |text: &str| text.to_owned();
        assert_eq!(read("nodes"), (s(""), s("nodes"), None));
        assert_eq!(read("pods/log"), (s(""), s("pods/log"), None));
        assert_eq!(read("deployments.apps/scale"), (s("apps"), s("deployments/scale"), None));
        assert_eq!(read("nodes.metrics.k8s.io"), (s("metrics.k8s.io"), s("nodes"), None));
        assert_eq!(
            read("configmaps/kube-root-ca.crt"),
            (s(""), s("configmaps"), Some(s("kube-root-ca.crt")))
        );
    }
}
