//! The kinds that Kubernetes itself serves.

use crate::evidence::TargetKind;

/// The groups that Kubernetes serves, with their kinds in the stable versions of 1.30 and later.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "Binding",
            "ComponentStatus",
            "ConfigMap",
            "Endpoints",
            "Event",
            "LimitRange",
            "Namespace",
            "Node",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "Pod",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "Secret",
            "Service",
            "ServiceAccount",
        ],
    ),
    ("apps", &["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"]),
    ("batch", &["CronJob", "Job"]),
    ("autoscaling", &["HorizontalPodAutoscaler"]),
    ("policy", &["PodDisruptionBudget"]),
    ("networking.k8s.io", &["IPAddress", "Ingress", "IngressClass", "NetworkPolicy", "ServiceCIDR"]),
    ("discovery.k8s.io", &["EndpointSlice"]),
];

/// The kinds that have a scale, and the API group of each.
pub(crate) const SCALABLE: &[(&str, &str)] =
    &[("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "ReplicaSet"), ("", "ReplicationController")];

/// Whether a reference to a kind means the kind of this name: the controller's mapper also knows each kind in small
/// letters, and no other spelling.
pub(crate) fn is(reference: &str, kind: &str) -> bool {
    reference == kind || reference.chars().eq(kind.chars().flat_map(char::to_lowercase))
}

/// What a kind is by what Kubernetes itself serves; nothing for groups that are not its own.
pub(crate) fn built_in(group: &str, kind: &str) -> Option<TargetKind> {
    if SCALABLE.iter().any(|(of, name)| *of == group && is(kind, name)) {
        return Some(TargetKind::Scalable);
    }
    match GROUPS.iter().find(|(name, _)| *name == group) {
        Some((_, kinds)) if kinds.iter().any(|name| is(kind, name)) => Some(TargetKind::NotScalable),
        Some(_) => Some(TargetKind::Unknown),
        // The group of a custom resource has a dot in its name; the API server demands it.
        None if !group.contains('.') => Some(TargetKind::Unknown),
        None => None,
    }
}

/// The group in which Kubernetes serves a kind of this name.
pub(crate) fn group_of(kind: &str) -> Option<&'static str> {
    let found = GROUPS.iter().find(|(_, kinds)| kinds.iter().any(|name| is(kind, name)));
    found.map(|(group, _)| *group)
}

/// The stable version of a group of Kubernetes' own, as `apiVersion` writes it.
pub(crate) fn api_version(group: &str) -> String {
    match group {
        "" => "v1".to_owned(),
        "autoscaling" => "autoscaling/v2".to_owned(),
        group => format!("{group}/v1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_looked_up_by_their_group() {
        for (group, kind, expected) in [
            ("apps", "Deployment", Some(TargetKind::Scalable)),
            ("", "ReplicationController", Some(TargetKind::Scalable)),
            ("apps", "DaemonSet", Some(TargetKind::NotScalable)),
            ("batch", "CronJob", Some(TargetKind::NotScalable)),
            ("", "Pod", Some(TargetKind::NotScalable)),
            ("", "Deployment", Some(TargetKind::Unknown)),
            ("extensions", "Deployment", Some(TargetKind::Unknown)),
            ("apps", "deployment", Some(TargetKind::Scalable)),
            ("apps", "daemonset", Some(TargetKind::NotScalable)),
            ("apps", "Deployments", Some(TargetKind::Unknown)),
            ("apps", "DEPLOYMENT", Some(TargetKind::Unknown)),
            ("argoproj.io", "Rollout", None),
        ] {
            assert_eq!(built_in(group, kind), expected, "{group} {kind}");
        }
        assert_eq!(group_of("Deployment"), Some("apps"));
        assert_eq!(group_of("Ingress"), Some("networking.k8s.io"));
        assert_eq!(group_of("Rollout"), None);
    }
}
