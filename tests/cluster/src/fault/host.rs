//! Faults of a machine's own settings: its runtime, the names that it resolves, its addresses.

use anyhow::{Result, ensure};

use crate::cluster::Cluster;
use crate::layout::CONTROL_PLANE;
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
