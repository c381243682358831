//! Restarting and reconfiguring the programs of a cluster.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::control::{Reply, Verb, ask};
use crate::files::KUBELET_CONFIG;
use crate::layout::CONTROL_PLANE;
use crate::manifest;
use crate::options::Component;
use crate::run::wait_for;

const API_DEADLINE: Duration = Duration::from_mins(1);

impl Cluster {
    pub(crate) fn ask(&self, verb: Verb, host: &str, unit: &str) -> Result<Reply> {
        ask(&self.layout.socket(), verb, host, unit).with_context(|| format!("{verb:?} {unit} on {host}"))
    }

    /// Stops a component and starts it. Whether it works is for the caller to wait for.
    ///
    /// # Errors
    /// When the host has no such component.
    pub fn restart(&self, component: Component, host: &str) -> Result<()> {
        self.ask(Verb::Restart, host, component.name()).map(drop)
    }

    /// Stops a component until it is started again.
    ///
    /// # Errors
    /// When the host has no such component.
    pub fn stop(&self, component: Component, host: &str) -> Result<()> {
        self.ask(Verb::Stop, host, component.name()).map(drop)
    }

    /// Starts a component.
    ///
    /// # Errors
    /// When the host has no such component.
    pub fn start(&self, component: Component, host: &str) -> Result<()> {
        self.ask(Verb::Start, host, component.name()).map(drop)
    }

    /// How often the process of a component has been started; a growing number is a crash loop, or an edited
    /// manifest.
    ///
    /// # Errors
    /// When the host has no such component.
    pub fn starts(&self, component: Component, host: &str) -> Result<u32> {
        Ok(self.ask(Verb::Status, host, component.name())?.starts)
    }

    /// All that a component has logged.
    ///
    /// # Errors
    /// When it never ran.
    pub fn log(&self, component: Component, host: &str) -> Result<String> {
        let path = self.layout.log(host, component.name());
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Edits a node's kubelet configuration and restarts the kubelet.
    ///
    /// # Errors
    /// When the file cannot be edited or the kubelet not restarted.
    pub fn kubelet_config(&self, node: &str, edit: impl FnOnce(&mut Value)) -> Result<()> {
        let path = self.path(node, KUBELET_CONFIG);
        let mut config = manifest::parse(&fs::read_to_string(&path)?)?;
        edit(&mut config);
        fs::write(&path, manifest::print(&config)?)?;
        self.restart(Component::Kubelet, node)
    }

    /// Edits the flags of kube-apiserver in its static pod and waits until it is ready with them.
    ///
    /// # Errors
    /// When it does not become ready; the message holds the end of its log.
    pub fn apiserver_flags(&self, edit: impl FnOnce(&mut Vec<String>)) -> Result<()> {
        self.manifest_flags(Component::ApiServer, edit)?;
        self.wait_api(API_DEADLINE)
    }

    /// Edits the flags of a static pod's program and waits until its process is a new one, not until it works.
    ///
    /// # Errors
    /// When there is no such static pod.
    pub fn manifest_flags(&self, component: Component, edit: impl FnOnce(&mut Vec<String>)) -> Result<()> {
        let name = component.name();
        let path = self.path(CONTROL_PLANE, &format!("/etc/kubernetes/manifests/{name}.yaml"));
        let old = fs::read_to_string(&path).with_context(|| format!("{name} has no static pod manifest"))?;
        let new = manifest::edit_flags(&old, edit)?;
        let before = self.ask(Verb::Status, CONTROL_PLANE, name)?;
        // Renamed into place, so that nobody reads half of it.
        let partial = path.with_extension("partial");
        fs::write(&partial, &new)?;
        fs::rename(&partial, &path)?;
        if new == old {
            return Ok(());
        }
        wait_for(&format!("{name} to be restarted"), Duration::from_secs(20), || {
            let now = self.ask(Verb::Status, CONTROL_PLANE, name)?;
            Ok(now.manifest != before.manifest && now.starts > before.starts)
        })
    }

    /// Has the `ConfigMap` `extension-apiserver-authentication` published anew. It only ever grows, so after a
    /// change of kube-apiserver's `--requestheader-*` flags the old values would stay in force beside the new.
    ///
    /// # Errors
    /// When it is not published within 90 seconds.
    pub fn republish_authentication_config(&self) -> Result<()> {
        let name = ["-n", "kube-system", "configmap", "extension-apiserver-authentication"];
        let mut words = vec!["delete", "--ignore-not-found"];
        words.extend(name);
        self.masters(&words, None)?;
        wait_for(
            "ConfigMap extension-apiserver-authentication to be published",
            Duration::from_secs(90),
            || Ok(self.get(&name)?["data"]["requestheader-client-ca-file"].is_string()),
        )
    }
}
