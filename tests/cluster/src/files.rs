//! What kubeadm would have written on the hosts.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::cgroup;
use crate::host::SYSCTLS;
use crate::kubeconfig::{self, Credential};
use crate::layout::{CONTROL_PLANE, Layout, is_control_plane, node_name};
use crate::manifest;
use crate::net::{self, CONTROL_PLANE_IP, pod_cidr};
use crate::options::{IptablesBackend, Options, Serving};
use crate::pki::{Ca, Certificate, Pair, signing_keys};

/// Where kubeadm keeps its certificates.
pub(crate) const PKI: &str = "/etc/kubernetes/pki";
/// The group that kubeadm binds to `cluster-admin`.
pub(crate) const ADMINS: &str = "kubeadm:cluster-admins";
/// A node's configuration of its kubelet.
pub(crate) const KUBELET_CONFIG: &str = "/var/lib/kubelet/config.yaml";

/// What is laid over the kubelet's unit.
pub(crate) const KUBELET_DROP_INS: &str = "/etc/systemd/system/kubelet.service.d";

/// Writes files below one host's root.
struct Root(PathBuf);

impl Root {
    fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.at(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn pair(&self, stem: &str, pair: &Pair) -> Result<()> {
        self.write(&format!("{PKI}/{stem}.crt"), &pair.cert)?;
        self.write(&format!("{PKI}/{stem}.key"), &pair.key)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }
}

/// Writes all files of all hosts; `root` tells where a host's root can be seen from here.
pub(crate) fn write(
    layout: &Layout,
    options: &Options,
    programs: &Path,
    root: impl Fn(&str) -> PathBuf,
) -> Result<()> {
    let ca = Ca::new("kubernetes")?;
    let control_plane = Root(root(CONTROL_PLANE));
    write_control_plane(&control_plane, options, &ca)?;
    for host in layout.control_plane_names().iter().skip(1) {
        join_control_plane(&Root(root(host)), &control_plane, host, &ca)?;
    }
    for host in layout.hosts() {
        let root = Root(root(&host));
        write_any_host(&root, layout, options, &host, programs, &ca)?;
    }
    for (index, serving) in options.nodes.iter().enumerate() {
        let number = index + 1;
        let root = Root(root(&node_name(number)));
        write_node(&root, layout, programs, number, serving, &options.kubelet_patch, &ca)?;
    }
    Ok(())
}

fn write_any_host(
    root: &Root,
    layout: &Layout,
    options: &Options,
    host: &str,
    programs: &Path,
    ca: &Ca,
) -> Result<()> {
    if let Some(backend) = options.iptables.get(host) {
        link_iptables(&root.0, *backend)?;
    }
    for name in ["systemctl", "journalctl"] {
        link(&layout.program(), &root.at(&format!("/usr/local/sbin/{name}")))?;
    }
    for entry in fs::read_dir(programs)?.flatten() {
        // metrics-server runs in pods only.
        if entry.file_name() != "metrics-server" {
            link(&entry.path(), &root.at("/usr/local/sbin").join(entry.file_name()))?;
        }
    }
    let settings: Vec<String> = SYSCTLS.iter().map(|name| format!("{name} = 1\n")).collect();
    root.write("/etc/sysctl.d/k8s.conf", &settings.concat())?;
    root.write("/etc/hosts", &hosts_file(layout)?)?;
    root.write("/etc/hostname", &format!("{host}\n"))?;
    root.write(&format!("{PKI}/ca.crt"), &ca.pair.cert)?;

    let proxy = ca.issue(&Certificate::client("system:kube-proxy"))?;
    root.write(
        "/var/lib/kube-proxy/kubeconfig.conf",
        &kubeconfig::write(CONTROL_PLANE_IP, &ca.pair.cert, "kube-proxy", &Credential::Embedded(&proxy)),
    )?;
    // The control plane is no node of this cluster, but its API server needs the Services' addresses. kube-proxy
    // insists on a node that exists, and takes from it only what concerns the local traffic policies.
    let node = if is_control_plane(host) { "node1" } else { host };
    let config = include_str!("../manifests/kube-proxy-config.yaml")
        .replace("@ADDRESS@", &net::address(host)?)
        .replace("@MODE@", options.proxy_mode.name())
        .replace("@NODE@", node);
    root.write("/var/lib/kube-proxy/config.conf", &config)
}

/// What `update-alternatives` would do, on a host's own layer.
pub(crate) fn link_iptables(root: &Path, backend: IptablesBackend) -> Result<()> {
    for family in ["iptables", "ip6tables"] {
        for kind in ["", "-restore", "-save"] {
            let program = format!("/usr/sbin/{family}-{}{kind}", backend.name());
            ensure!(root.join(&program[1..]).exists(), "{program} is not installed");
            let alternative = root.join(format!("etc/alternatives/{family}{kind}"));
            link(Path::new(&program), &alternative)?;
        }
    }
    Ok(())
}

fn hosts_file(layout: &Layout) -> Result<String> {
    let mut text = "127.0.0.1 localhost\n".to_owned();
    for host in layout.hosts() {
        writeln!(text, "{} {host}", net::address(&host)?)?;
    }
    Ok(text)
}

fn link(target: &Path, path: &Path) -> Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::remove_file(path).ok();
    symlink(target, path).with_context(|| format!("cannot link {}", path.display()))
}

fn write_control_plane(root: &Root, options: &Options, ca: &Ca) -> Result<()> {
    root.pair("ca", &ca.pair)?;
    let front_proxy_ca = Ca::new("front-proxy-ca")?;
    root.pair("front-proxy-ca", &front_proxy_ca.pair)?;
    let front_proxy = front_proxy_ca.issue(&Certificate::client("front-proxy-client"))?;
    root.pair("front-proxy-client", &front_proxy)?;
    let (private, public) = signing_keys()?;
    root.write(&format!("{PKI}/sa.key"), &private)?;
    root.write(&format!("{PKI}/sa.pub"), &public)?;
    root.pair("apiserver", &ca.issue(&serving(CONTROL_PLANE)?)?)?;
    let to_kubelets = Certificate::client("kube-apiserver-kubelet-client").organization(ADMINS);
    root.pair("apiserver-kubelet-client", &ca.issue(&to_kubelets)?)?;

    for (file, user, group) in [
        ("admin", "kubernetes-admin", Some(ADMINS)),
        ("super-admin", "kubernetes-super-admin", Some("system:masters")),
        ("controller-manager", "system:kube-controller-manager", None),
        ("scheduler", "system:kube-scheduler", None),
    ] {
        let mut certificate = Certificate::client(user);
        if let Some(group) = group {
            certificate = certificate.organization(group);
        }
        let pair = ca.issue(&certificate)?;
        let text = kubeconfig::write(CONTROL_PLANE_IP, &ca.pair.cert, user, &Credential::Embedded(&pair));
        root.write(&format!("/etc/kubernetes/{file}.conf"), &text)?;
    }
    write_static_pods(root, options)
}

/// What kube-apiserver of this host serves with.
fn serving(host: &str) -> Result<Certificate> {
    let address = net::address(host)?;
    let names = [
        host,
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "10.96.0.1",
        "127.0.0.1",
        &address,
    ];
    Ok(names.into_iter().fold(Certificate::server("kube-apiserver"), Certificate::san))
}

/// What `kubeadm join --control-plane` would write on a further host: all but a serving certificate of its own is the
/// first one's. Of the static pods it has kube-apiserver, with the etcd of the first.
fn join_control_plane(root: &Root, first: &Root, host: &str, ca: &Ca) -> Result<()> {
    let files = ["ca", "front-proxy-ca", "front-proxy-client", "apiserver-kubelet-client"];
    let mut paths: Vec<String> =
        files.iter().flat_map(|stem| [format!("{PKI}/{stem}.crt"), format!("{PKI}/{stem}.key")]).collect();
    paths.extend(["key", "pub"].map(|extension| format!("{PKI}/sa.{extension}")));
    for path in &paths {
        root.write(path, &fs::read_to_string(first.at(path))?)?;
    }
    root.pair("apiserver", &ca.issue(&serving(host)?)?)?;
    let address = net::address(host)?;
    let admin = ca.issue(&Certificate::client("kubernetes-admin").organization(ADMINS))?;
    root.write(
        "/etc/kubernetes/admin.conf",
        &kubeconfig::write(&address, &ca.pair.cert, "kubernetes-admin", &Credential::Embedded(&admin)),
    )?;
    let manifest = static_pod("kube-apiserver");
    let text = fs::read_to_string(first.at(&manifest))?
        .replace(CONTROL_PLANE_IP, &address)
        .replace("http://127.0.0.1:2379", &format!("http://{CONTROL_PLANE_IP}:2379"));
    root.write(&manifest, &text)
}

/// Where the manifest of a program of the control plane is.
pub(crate) fn static_pod(name: &str) -> String {
    format!("/etc/kubernetes/manifests/{name}.yaml")
}

fn write_static_pods(root: &Root, options: &Options) -> Result<()> {
    let mut text = include_str!("../manifests/kube-apiserver.yaml").to_owned();
    if !(options.apiserver_flags.is_empty() && options.removed_apiserver_flags.is_empty()) {
        text = manifest::edit_flags(&text, |flags| {
            for name in &options.removed_apiserver_flags {
                manifest::remove_flag(flags, name);
            }
            for flag in &options.apiserver_flags {
                manifest::set_flag(flags, flag);
            }
        })?;
    }
    root.write(&static_pod("kube-apiserver"), &text)?;
    let mut text = include_str!("../manifests/kube-controller-manager.yaml").to_owned();
    if !options.controller_manager_flags.is_empty() {
        text = manifest::edit_flags(&text, |flags| {
            for flag in &options.controller_manager_flags {
                manifest::set_flag(flags, flag);
            }
        })?;
    }
    root.write(&static_pod("kube-controller-manager"), &text)?;
    root.write(&static_pod("kube-scheduler"), include_str!("../manifests/kube-scheduler.yaml"))
}

fn write_node(
    root: &Root,
    layout: &Layout,
    programs: &Path,
    number: usize,
    serving: &Serving,
    patch: &Value,
    ca: &Ca,
) -> Result<()> {
    let node = node_name(number);
    let user = format!("system:node:{node}");
    let client = ca.issue(&Certificate::client(&user).organization("system:nodes"))?;
    let file = "/var/lib/kubelet/pki/kubelet-client-current.pem";
    let dated = "kubelet-client-2026-01-01-00-00-00.pem";
    // As the kubelet leaves it: a link to the newest file, which the next rotation replaces.
    root.write(&format!("/var/lib/kubelet/pki/{dated}"), &(client.cert + &client.key))?;
    link(&Path::new("/var/lib/kubelet/pki").join(dated), &root.at(file))?;
    let kubeconfig = kubeconfig::write(CONTROL_PLANE_IP, &ca.pair.cert, &user, &Credential::File(file));
    root.write("/etc/kubernetes/kubelet.conf", &kubeconfig)?;
    fs::create_dir_all(root.at("/etc/kubernetes/manifests"))?;
    root.write(
        "/var/lib/kubelet/kubeadm-flags.env",
        &format!("KUBELET_KUBEADM_ARGS=\"--hostname-override={node} --node-ip={}\"\n", net::address(&node)?),
    )?;
    // Where the packages of Kubernetes put them; the drop-in also where older ones did, and where people write.
    root.write("/usr/lib/systemd/system/kubelet.service", include_str!("../manifests/kubelet.service"))?;
    root.write(&format!("{KUBELET_DROP_INS}/10-kubeadm.conf"), include_str!("../manifests/10-kubeadm.conf"))?;
    // As `systemctl enable kubelet` leaves it.
    link(
        Path::new("/usr/lib/systemd/system/kubelet.service"),
        &root.at("/etc/systemd/system/multi-user.target.wants/kubelet.service"),
    )?;
    link(&programs.join("kubelet"), &root.at("/usr/bin/kubelet"))?;
    root.write(KUBELET_CONFIG, &kubelet_config(root, layout, &node, serving, patch)?)?;
    root.write("/etc/containerd/config.toml", include_str!("../manifests/containerd.toml"))?;
    let cni = include_str!("../manifests/cni.json").replace("@POD_CIDR@", &pod_cidr(number));
    root.write("/etc/cni/net.d/10-pods.conflist", &cni)
}

fn kubelet_config(
    root: &Root,
    layout: &Layout,
    node: &str,
    serving: &Serving,
    patch: &Value,
) -> Result<String> {
    let mut config = manifest::parse(include_str!("../manifests/kubelet-config.yaml"))?;
    config["cgroupRoot"] = json!(cgroup::node_root(layout, node));
    match serving {
        Serving::SelfSigned => {}
        Serving::Bootstrapped | Serving::BootstrapPending => {
            config["serverTLSBootstrap"] = json!(true);
        }
        Serving::Provided { cert, key } => {
            for (field, extension, text) in [("tlsCertFile", "crt", cert), ("tlsPrivateKeyFile", "key", key)]
            {
                let file = format!("/var/lib/kubelet/pki/provided.{extension}");
                root.write(&file, text)?;
                config[field] = json!(file);
            }
        }
    }
    manifest::merge(&mut config, patch);
    manifest::print(&config)
}
