//! Faults of a machine's own settings: its runtime, the names that it resolves, its addresses.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cluster::Cluster;
use crate::files::static_pod;
use crate::layout::{CONTROL_PLANE, UNREAD_MANIFESTS};
use crate::manifest;
use crate::options::Component;

/// A name of the API server that its certificate holds.
const API_NAME: &str = "kubernetes";

impl Cluster {
    /// The runtime of a node puts containers into slices of systemd, while the kubelet goes on with `cgroupfs`: no new pod
    /// starts there. What runs goes on, and the node stays Ready.
    ///
    /// # Errors
    /// When containerd's file does not say it, or containerd does not start anew.
    pub fn systemd_cgroups_in_runtime(&self, node: &str) -> Result<()> {
        let edit = "sed -i 's/SystemdCgroup = false/SystemdCgroup = true/' /etc/containerd/config.toml && grep -q 'SystemdCgroup = true' /etc/containerd/config.toml";
        self.on(node, edit)?;
        self.on(node, "systemctl restart containerd")
    }

    /// The kubelet of a node knows the API server by a name, which `/etc/hosts` has there.
    ///
    /// # Errors
    /// When a file cannot be written or the kubelet not be started anew.
    pub fn name_api_server(&self, node: &str) -> Result<()> {
        let address = self.address(CONTROL_PLANE)?;
        self.on(node, &format!("echo '{address} {API_NAME}' >> /etc/hosts"))?;
        self.on(
            node,
            &format!("sed -i -E 's#server: https://[^:]+:#server: https://{API_NAME}:#' /etc/kubernetes/kubelet.conf"),
        )?;
        self.restart(Component::Kubelet, node)
    }

    /// `/etc/hosts` of a node has that name no longer, and the kubelet was started once more.
    ///
    /// # Errors
    /// When the file cannot be written or the kubelet not be started anew.
    pub fn forget_api_server_name(&self, node: &str) -> Result<()> {
        // It may be a mount of its own, which cannot be replaced by another file.
        self.on(
            node,
            &format!("sed '/ {API_NAME}$/d' /etc/hosts > /tmp/hosts.new && cat /tmp/hosts.new > /etc/hosts"),
        )?;
        self.restart(Component::Kubelet, node)
    }

    /// Another program listens at a port of this host, from its start on: the unit `other-program`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn take_port(&self, host: &str, port: u16) -> Result<()> {
        let unit = format!(
            "[Unit]\nDescription=Another program\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'busybox httpd -p {port} -h /run'\nExecStop=/bin/sh -c 'pkill -f \"^busybox httpd -p {port}\"'\n[Install]\nWantedBy=multi-user.target\n"
        );
        let path = self.path(host, "/etc/systemd/system/other-program.service");
        fs::write(&path, unit).with_context(|| format!("cannot write {}", path.display()))?;
        self.on(host, "systemctl enable --now other-program")
    }

    /// kube-apiserver of a host has these variables in its environment, as kubeadm copies them into the manifest from
    /// the shell of whoever runs it.
    ///
    /// # Errors
    /// When the manifest cannot be edited, or kube-apiserver does not become ready with it.
    pub fn apiserver_environment(&self, host: &str, variables: &[(&str, &str)]) -> Result<()> {
        self.edit_manifest(host, |text| manifest::add_environment(text, variables))?;
        self.wait_api(Duration::from_mins(1))?;
        self.wait_apiservers(Duration::from_mins(1))
    }

    /// The manifest of kube-apiserver on a host has other flags, and what runs there goes on with the old ones: nobody
    /// reads manifests there any more, as when the kubelet has failed.
    ///
    /// # Errors
    /// When the manifest cannot be edited.
    pub fn leave_manifest_unread(&self, host: &str, edit: impl FnOnce(&mut Vec<String>)) -> Result<()> {
        fs::write(self.path(host, UNREAD_MANIFESTS), "")?;
        self.edit_manifest(host, |text| manifest::edit_flags(text, edit))
    }

    /// Manifests of static pods are read again on a host.
    ///
    /// # Errors
    /// When they were read all the time, or kube-apiserver does not become ready with what they say.
    pub fn read_manifests_again(&self, host: &str) -> Result<()> {
        let before = self.starts(Component::ApiServer, host)?;
        fs::remove_file(self.path(host, UNREAD_MANIFESTS))?;
        self.wait("kube-apiserver to be started anew", Duration::from_secs(20), || {
            Ok(self.starts(Component::ApiServer, host)? > before)
        })?;
        self.wait_api(Duration::from_mins(1))?;
        self.wait_apiservers(Duration::from_mins(1))
    }

    fn edit_manifest(&self, host: &str, edit: impl FnOnce(&str) -> Result<String>) -> Result<()> {
        let path = self.path(host, &static_pod(Component::ApiServer.name()));
        let before = self.starts(Component::ApiServer, host)?;
        let new = edit(&fs::read_to_string(&path)?)?;
        // Renamed into place, so that nobody reads half of it.
        let partial = path.with_extension("partial");
        fs::write(&partial, new)?;
        fs::rename(&partial, &path)?;
        if self.path(host, UNREAD_MANIFESTS).exists() {
            return Ok(());
        }
        self.wait("kube-apiserver to be started anew", Duration::from_secs(20), || {
            Ok(self.starts(Component::ApiServer, host)? > before)
        })
    }

    /// The Node announces an address that its machine had when the kubelet started, and has no longer.
    ///
    /// # Errors
    /// When the address cannot be given or the kubelet not be started anew.
    pub fn announce_address(&self, node: &str, address: &str) -> Result<()> {
        self.on(
            node,
            &format!(
                "ip addr add {address}/24 dev \"$(ip -o -4 route show default | awk '{{print $5; exit}}')\""
            ),
        )?;
        self.on(node, &format!("echo 'KUBELET_EXTRA_ARGS=--node-ip={address}' > /etc/default/kubelet"))?;
        self.restart(Component::Kubelet, node)
    }

    /// The machine has lost an address.
    ///
    /// # Errors
    /// When it has none of the kind.
    pub fn lose_address(&self, node: &str, address: &str) -> Result<()> {
        self.on(node, &format!("ip addr del {address}/24 dev \"$(ip -o -4 addr show to {address} | awk '{{print $2; exit}}')\""))
    }

    /// Packets between pods of one bridge do not pass iptables.
    ///
    /// # Errors
    /// When the kernel has no such setting.
    pub fn bridge_netfilter_off(&self, node: &str) -> Result<()> {
        self.on(node, "sysctl -q -w net.bridge.bridge-nf-call-iptables=0")
    }

    /// A node has two ways to one network, and its kernel drops what comes by the one that it would not take itself.
    ///
    /// # Errors
    /// When an interface cannot be made or the setting not be changed.
    pub fn two_ways_and_strict(&self, node: &str) -> Result<()> {
        self.on(node, "ip link add second type veth peer name second-end && ip link set second up && ip link set second-end up && ip addr add 192.0.2.1/24 dev second")?;
        let device = self.shell(node, "ip -o -4 route show default | awk '{print $5; exit}'")?.ok()?;
        let device = device.trim();
        ensure!(!device.is_empty(), "{node} has no default route");
        self.on(node, &format!("ip route add 192.0.2.0/24 dev {device} metric 200"))?;
        self.on(node, "sysctl -q -w net.ipv4.conf.all.rp_filter=1")
    }
}
