//! Hop 0: the API server, the caller, and what installed the cluster.

use checks::evidence::{Cluster, Distribution, GroupVersion, Identity, Need, Node, Obs, ServerVersion};
use serde_json::{Value, json};

use super::ask::Asker;
use super::json;
use crate::source::{Request, Source};

/// Asks the API server about itself and the caller.
pub(super) async fn collect(asker: &Asker<'_>, source: &Source) -> Cluster {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let asked = asker
        .all(vec![
            Request::get("/version"),
            Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews", review),
            Request::get("/apis"),
        ])
        .await;
    let [version, whoami, groups] = asked.as_slice() else {
        unreachable!("three requests have three answers")
    };
    Cluster {
        version: version.read(Need::Version, "get", "/version", read_version),
        whoami: whoami.read(Need::Whoami, "create", "selfsubjectreviews.authentication.k8s.io", |body| {
            let user = &body["status"]["userInfo"];
            Some(Identity {
                name: user["username"].as_str()?.to_owned(),
                groups: json::texts(&user["groups"]),
            })
        }),
        groups: groups.read(Need::Groups, "get", "/apis", |body| {
            let group = |group: &Value| -> Vec<GroupVersion> {
                let name = json::text(&group["name"]);
                json::items(&group["versions"])
                    .map(|version| GroupVersion {
                        group: name.clone(),
                        version: json::text(&version["version"]),
                    })
                    .collect()
            };
            body["groups"].as_array().map(|list| list.iter().flat_map(group).collect())
        }),
        distribution: Distribution::Unknown,
        clock_offset_s: source.clock_offset().map_or(0, |offset| -offset.as_secs()),
    }
}

fn read_version(body: &Value) -> Option<ServerVersion> {
    let digits: String = body["minor"].as_str()?.chars().take_while(char::is_ascii_digit).collect();
    Some(ServerVersion { git_version: json::text(&body["gitVersion"]), minor: digits.parse().ok()? })
}

/// Adds what installed the cluster: from its version, its nodes, and the objects that kubeadm leaves.
pub(super) async fn with_distribution(
    asker: &Asker<'_>,
    mut cluster: Cluster,
    nodes: &Obs<Vec<Node>>,
) -> Cluster {
    let version = cluster.version.peek().map(|version| version.git_version.clone()).unwrap_or_default();
    let groups = cluster.groups.peek().map(Vec::as_slice).unwrap_or_default();
    let kubelet_versions = nodes.peek().map(Vec::as_slice).unwrap_or_default();
    let has = |part: &str| {
        version.contains(part) || kubelet_versions.iter().any(|node| node.kubelet_version.contains(part))
    };
    cluster.distribution = if groups.iter().any(|group| group.group == "config.openshift.io") {
        Distribution::OpenShift
    } else if has("+k3s") {
        Distribution::K3s
    } else if has("+rke2") {
        Distribution::Rke2
    } else if has("-eks-") {
        Distribution::Eks
    } else if has("-gke.") {
        Distribution::Gke
    } else if groups.iter().any(|group| group.group == "talos.dev") {
        Distribution::Talos
    } else {
        let request = Request::get("/api/v1/namespaces/kube-system/configmaps/kubeadm-config");
        let found = asker.ask(request).await;
        if found.status() == Some(200) { Distribution::Kubeadm } else { Distribution::Unknown }
    };
    cluster
}
