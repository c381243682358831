//! metrics-server as its release installs it, and something for it to measure.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::cluster::Cluster;
use crate::image;
use crate::kubectl::condition;
use crate::options::MetricsServer;
use crate::run::wait_for;

const MANIFEST: &str = include_str!("../manifests/metrics-server.yaml");
const IMAGE: &str = "registry.k8s.io/metrics-server/metrics-server:v0.9.0";
/// The line of the manifest after which further arguments stand.
const LAST_ARGUMENT: &str = "        - --metric-resolution=15s\n";

/// The release's `components.yaml`, with other arguments where these options ask for them.
fn manifest(options: &MetricsServer) -> Result<String> {
    let mut text = String::new();
    for line in MANIFEST.split_inclusive('\n') {
        let argument = line.trim().strip_prefix("- ").and_then(|flag| flag.split('=').next());
        if !argument.is_some_and(|name| options.removed_args.iter().any(|removed| removed == name)) {
            text += line;
        }
    }
    let mut more = options.extra_args.clone();
    if options.insecure_tls {
        more.push("--kubelet-insecure-tls".to_owned());
    }
    let mut lines = String::new();
    for flag in more {
        writeln!(lines, "        - {flag}")?;
    }
    let before = if text.contains(LAST_ARGUMENT) { LAST_ARGUMENT } else { "      - args:\n" };
    ensure!(text.contains(before), "the manifest has no arguments");
    Ok(text.replacen(before, &format!("{before}{lines}"), 1))
}

impl Cluster {
    /// Puts the image on every node and applies the objects; does not wait for them to work.
    ///
    /// # Errors
    /// When an image cannot be imported or an object is refused.
    pub fn install_metrics_server(&self, options: &MetricsServer) -> Result<()> {
        self.import_metrics_server()?;
        self.apply(&manifest(options)?)
    }

    /// Puts the image on every node, for a manifest of the caller's own.
    ///
    /// # Errors
    /// When an image cannot be imported.
    pub fn import_metrics_server(&self) -> Result<()> {
        let archive = self.layout.dir().join("images/metrics-server.tar");
        if archive.exists() {
            return Ok(());
        }
        image::write_program(&archive, &self.programs.join("metrics-server"), IMAGE)?;
        self.import_everywhere(&archive)
    }

    /// The manifest that [`Cluster::install_metrics_server`] applies.
    ///
    /// # Errors
    /// When the options leave no arguments.
    pub fn metrics_server_manifest(options: &MetricsServer) -> Result<String> {
        manifest(options)
    }

    /// Replaces metrics-server's pods: the new ones have read everything anew, and none of them waits out a
    /// `CrashLoopBackOff`.
    ///
    /// # Errors
    /// When they cannot be deleted.
    pub fn restart_metrics_server(&self) -> Result<()> {
        let words = ["-n", "kube-system", "delete", "pods", "-l", "k8s-app=metrics-server"];
        self.masters(&[&words[..], &["--grace-period=1", "--wait=false"]].concat(), None).map(drop)
    }

    /// Ends metrics-server's process, so that its container starts anew: in the same pod, with the same network.
    ///
    /// # Errors
    /// When no node runs one.
    pub fn end_metrics_server(&self) -> Result<()> {
        let mut ended = false;
        for node in self.nodes() {
            ended |= self.exec(&node, &["pkill", "-x", "metrics-server"])?.success();
        }
        ensure!(ended, "no node runs metrics-server");
        Ok(())
    }

    /// Waits until the `APIService` is available and `kubectl top nodes` lists every node.
    ///
    /// # Errors
    /// When it does not come to that; the message tells how far it came.
    pub fn wait_metrics_available(&self, deadline: Duration) -> Result<()> {
        wait_for("the Metrics API to serve every node", deadline, || {
            let service = self.get(&["apiservice", "v1beta1.metrics.k8s.io"])?;
            if condition(&service, "Available") != Some("True") {
                let seen = self.metrics_server_state().unwrap_or_else(|error| format!("{error:#}"));
                return Err(anyhow!("APIService not available; {seen}"));
            }
            let top = self.kubectl(&["top", "nodes", "--no-headers"])?;
            for node in self.nodes() {
                let line = top.lines().find(|line| line.split_whitespace().next() == Some(&*node));
                let line = line.with_context(|| format!("{node} is missing in\n{top}"))?;
                ensure!(!line.contains("<unknown>"), "{line}");
            }
            Ok(true)
        })
    }

    fn metrics_server_state(&self) -> Result<String> {
        let pods = self.kubectl(&["-n", "kube-system", "get", "pods", "-l", "k8s-app=metrics-server"])?;
        let log = self
            .kubectl(&["-n", "kube-system", "logs", "-l", "k8s-app=metrics-server", "--tail=3"])
            .unwrap_or_else(|error| format!("{error:#}"));
        Ok(format!("{pods}{log}"))
    }

    /// A Deployment of one idle pod, with this CPU request (`50m`) or without any.
    ///
    /// # Errors
    /// When it is refused.
    pub fn deploy_workload(&self, namespace: &str, name: &str, cpu: Option<&str>) -> Result<()> {
        let resources = cpu.map_or_else(|| "{}".to_owned(), |cpu| format!("{{requests: {{cpu: {cpu}}}}}"));
        let text = include_str!("../manifests/workload.yaml")
            .replace("@NAMESPACE@", namespace)
            .replace("@NAME@", name)
            .replace("@RESOURCES@", &resources);
        self.apply(&text)
    }
}
