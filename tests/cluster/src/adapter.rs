//! An adapter that serves custom and external metrics: the test adapter of `sigs.k8s.io/custom-metrics-apiserver`.
//!
//! Values of custom metrics are written to it; its external metrics are a fixed set: `my-external-metric`
//! (with the labels `foo=bar` and `foo=baz`) and `other-external-metric`, the same in every namespace.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use data_encoding::BASE64;
use serde_json::json;

use crate::cluster::Cluster;
use crate::image;
use crate::kubectl::condition;
use crate::layout::CONTROL_PLANE;
use crate::options::Adapter;
use crate::pki::Certificate;
use crate::programs;
use crate::run::wait_for;

const MANIFEST: &str = include_str!("../manifests/metrics-adapter.yaml");
const IMAGE: &str = "registry.local/metrics-adapter:v1.36.0";
/// The name in the certificate: how kube-apiserver verifies whatever it dials for an `APIService`.
const SERVICE: &str = "metrics-adapter.custom-metrics.svc";

/// The versions that these options register, with their priorities.
fn registered(options: &Adapter) -> Vec<(&'static str, &'static str, u8)> {
    let mut versions = Vec::new();
    if options.custom {
        versions.push(("custom.metrics.k8s.io", "v1beta1", 100));
        versions.push(("custom.metrics.k8s.io", "v1beta2", 200));
    }
    if options.external {
        versions.push(("external.metrics.k8s.io", "v1beta1", 100));
    }
    versions
}

impl Cluster {
    /// Puts the image on every node and applies the objects; does not wait for them to work. The adapter serves
    /// with a certificate of the cluster's CA, and the `APIService` objects carry that CA.
    ///
    /// # Errors
    /// When the program cannot be compiled, an image cannot be imported or an object is refused.
    pub fn install_adapter(&self, options: &Adapter) -> Result<()> {
        let archive = self.layout.dir().join("images/metrics-adapter.tar");
        if !archive.exists() {
            image::write_program(&archive, &programs::adapter()?, IMAGE)?;
            self.import_everywhere(&archive)?;
        }
        let ca = self.ca()?;
        let pair = ca.issue(&Certificate::server(SERVICE).san(SERVICE))?;
        let mut text = MANIFEST
            .replace("@IMAGE@", IMAGE)
            .replace("@CERT@", &BASE64.encode(pair.cert.as_bytes()))
            .replace("@KEY@", &BASE64.encode(pair.key.as_bytes()));
        for (group, version, priority) in registered(options) {
            let service = json!({
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": {"name": format!("{version}.{group}")},
                "spec": {
                    "caBundle": BASE64.encode(ca.pair.cert.as_bytes()),
                    "group": group,
                    "groupPriorityMinimum": 100,
                    "service": {"name": "metrics-adapter", "namespace": "custom-metrics"},
                    "version": version,
                    "versionPriority": priority,
                },
            });
            writeln!(text, "---\n{service}")?;
        }
        self.apply(&text)
    }

    /// Waits until every `APIService` that [`Cluster::install_adapter`] has made for these options is available.
    ///
    /// # Errors
    /// When one is not in time; the message tells which.
    pub fn wait_adapter_available(&self, options: &Adapter, deadline: Duration) -> Result<()> {
        wait_for("the metrics adapter to serve", deadline, || {
            for (group, version, _) in registered(options) {
                let name = format!("{version}.{group}");
                let service = self.get(&["apiservice", &name])?;
                ensure!(
                    condition(&service, "Available") == Some("True"),
                    "{name} is not available: {}",
                    service["status"]
                );
            }
            Ok(true)
        })
    }

    /// Gives a custom metric a value. `path` is what follows the version in the path that reads it:
    /// `namespaces/NS/pods/NAME/METRIC`, `namespaces/NS/services/NAME/METRIC`, `namespaces/NS/metrics/METRIC`.
    ///
    /// # Errors
    /// When the adapter cannot be reached or refuses the value.
    pub fn write_metric(&self, path: &str, value: &str) -> Result<()> {
        let service = self.get(&["service", "-n", "custom-metrics", "metrics-adapter"])?;
        let address =
            service["spec"]["clusterIP"].as_str().context("the adapter's Service has no address")?;
        let body = serde_json::to_string(value)?;
        let url = format!("http://{address}/write-metrics/{path}");
        // The adapter insists on a type of content, which `kubectl create --raw` does not send.
        let header = ["--header", "Content-Type: application/json"];
        let mut words = vec!["busybox", "wget", "-q", "-O", "-"];
        words.extend(header);
        words.extend(["--post-data", &body, &url]);
        self.exec(CONTROL_PLANE, &words)?.ok().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::registered;
    use crate::options::Adapter;

    #[test]
    fn what_is_registered_follows_the_options() {
        assert_eq!(registered(&Adapter::default()).len(), 3);
        let external = Adapter { custom: false, ..Adapter::default() };
        assert_eq!(registered(&external), [("external.metrics.k8s.io", "v1beta1", 100)]);
    }
}
