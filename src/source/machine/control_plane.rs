//! kube-apiserver and kube-controller-manager: as they run, or as a manifest or unit wants them, and the files that
//! the aggregation layer's flags name.

use checks::evidence::{Component, FrontProxyFiles};
use serde_json::Value;

use super::{Look, Place, Unseen, kubelet, units, yaml};
use crate::source::redact::flags;

/// Where kubeadm puts the manifests of static pods.
const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// The most manifests that are read.
const MOST: usize = 100;

/// kube-apiserver.
pub(super) fn api_server(place: &Place) -> Look<Option<Component>> {
    component(place, "kube-apiserver")
}

/// kube-controller-manager.
pub(super) fn controller_manager(place: &Place) -> Look<Option<Component>> {
    component(place, "kube-controller-manager")
}

/// The best that can be seen of a component, and beside the process what declares it.
fn component(place: &Place, name: &str) -> Look<Option<Component>> {
    let process = place.process(name)?;
    let declared = match manifest(place, name)? {
        Some(manifest) => Some(("manifest", manifest.path, flags::of_machine(&manifest.words))),
        None => units::service(&place.root, name)?.map(|service| {
            let unit = service.unit();
            ("unit", unit.file, unit.flags)
        }),
    };
    Ok(match (process, declared) {
        (Some(process), declared) => {
            let (path, declared) = declared.map(|(_, path, flags)| (path, flags)).unzip();
            Some(Component {
                seen_as: "process".to_owned(),
                path: path.unwrap_or_default(),
                flags: process.flags,
                declared,
                started: process.started,
            })
        }
        (None, Some((seen_as, path, flags))) => Some(Component {
            seen_as: seen_as.to_owned(),
            path,
            declared: Some(flags.clone()),
            flags,
            started: None,
        }),
        (None, None) => None,
    })
}

/// A static pod's manifest.
pub(super) struct Manifest {
    pub(super) path: String,
    /// The image of the container that starts the program.
    pub(super) image: String,
    /// The program and its arguments.
    pub(super) words: Vec<String>,
}

/// The manifest of a static pod whose container starts a program.
pub(super) fn manifest(place: &Place, name: &str) -> Look<Option<Manifest>> {
    let folder = kubelet::static_pod_path(place).unwrap_or_else(|| MANIFESTS.to_owned());
    for file in place.root.names(&folder)?.into_iter().take(MOST) {
        // The kubelet passes over names that begin with a dot (`pkg/kubelet/config/file.go`).
        if file.starts_with('.') {
            continue;
        }
        let path = format!("{folder}/{file}");
        let text = match place.root.text(&path) {
            Ok(text) => text,
            Err(denied @ super::files::Unread::Denied(_)) => return Err(denied.into()),
            // What is no file is no manifest.
            Err(_) => continue,
        };
        let pod: Value = match yaml::read(&text) {
            Ok(pod) => pod,
            // It may be the one.
            Err(yaml::Unread::TooMuch(words)) => return Err(Unseen::other(format!("{path}: {words}"))),
            Err(yaml::Unread::Broken(_)) => continue,
        };
        for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
            let words: Vec<String> = ["command", "args"]
                .iter()
                .flat_map(|field| container[*field].as_array().into_iter().flatten())
                .filter_map(|word| word.as_str().map(str::to_owned))
                .collect();
            let program = words.first().map_or("", |first| first.rsplit('/').next().unwrap_or(first));
            if program == name {
                let image = container["image"].as_str().unwrap_or_default().to_owned();
                return Ok(Some(Manifest { path, image, words }));
            }
        }
    }
    Ok(None)
}

/// The certificates of the front proxy.
pub(super) fn front_proxy(place: &Place) -> Look<FrontProxyFiles> {
    let Some(component) = api_server(place)? else { return Ok(FrontProxyFiles::default()) };
    let read = |flag: &str, role: &str| match component.flags.get(flag) {
        // A path that is not absolute is resolved where the process runs, which is not known.
        Some(path) if path.starts_with('/') => kubelet::certificate(place, path, role).map(Some),
        _ => Ok(None),
    };
    Ok(FrontProxyFiles {
        client: read("proxy-client-cert-file", "front-proxy client")?,
        ca: read("requestheader-client-ca-file", "front-proxy CA")?,
    })
}
