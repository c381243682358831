//! Faults of where a kubelet's configuration is.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::files::{KUBELET_CONFIG, KUBELET_DROP_INS};
use crate::manifest;
use crate::options::Component;
use crate::unit_file::kubelet_config_drop_in;

impl Cluster {
    /// The kubelet of a node reads its configuration elsewhere: a drop-in of its unit names `path`, where a copy with
    /// this edit is put. The file in the usual place stays as it was, and means nothing any more.
    ///
    /// # Errors
    /// When a file cannot be written or the kubelet not be restarted.
    pub fn move_kubelet_config(&self, node: &str, path: &str, edit: impl FnOnce(&mut Value)) -> Result<()> {
        let mut config = manifest::parse(&fs::read_to_string(self.path(node, KUBELET_CONFIG))?)?;
        edit(&mut config);
        self.write_on(node, path, &manifest::print(&config)?)?;
        self.name_kubelet_config(node, path)
    }

    /// The unit of the kubelet names a configuration that is not there, so that the kubelet ends whenever it is
    /// started. Its node is no longer Ready 40 seconds later.
    ///
    /// # Errors
    /// When the drop-in cannot be written.
    pub fn lose_kubelet_config(&self, node: &str) -> Result<()> {
        self.name_kubelet_config(node, "/etc/kubernetes/kubelet-config-that-is-not-there.yaml")
    }

    /// The unit names the usual file again.
    ///
    /// # Errors
    /// When the drop-in cannot be removed or the kubelet not be restarted.
    pub fn restore_kubelet_config(&self, node: &str) -> Result<()> {
        fs::remove_file(self.path(node, &drop_in())).context("no other configuration is named")?;
        self.restart(Component::Kubelet, node)
    }

    /// A drop-in of the kubelet's unit gives it these flags besides, as a guide for another version may have done. With one
    /// that it does not know it ends whenever it is started.
    ///
    /// # Errors
    /// When the drop-in cannot be written or the kubelet not be restarted.
    pub fn give_kubelet_flags(&self, node: &str, flags: &str) -> Result<()> {
        let text = format!("[Service]\nEnvironment=\"KUBELET_EXTRA_ARGS={flags}\"\n");
        self.write_on(node, &format!("{KUBELET_DROP_INS}/30-flags.conf"), &text)?;
        self.restart(Component::Kubelet, node)
    }

    fn name_kubelet_config(&self, node: &str, path: &str) -> Result<()> {
        self.write_on(node, &drop_in(), &kubelet_config_drop_in(path))?;
        self.restart(Component::Kubelet, node)
    }

    fn write_on(&self, host: &str, path: &str, text: &str) -> Result<()> {
        let file = self.path(host, path);
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(&file, text).with_context(|| format!("cannot write {path} on {host}"))
    }
}

/// Read after kubeadm's, and so stronger.
fn drop_in() -> String {
    format!("{KUBELET_DROP_INS}/20-config.conf")
}
