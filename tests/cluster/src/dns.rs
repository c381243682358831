//! The cluster's DNS: dnsmasq in a pod behind Service `kube-dns`, which is where every kubelet tells pods to ask.
//!
//! It answers from a file with the Services' names, which the harness writes on every node: once a Service has been made
//! by other means than [`Cluster::apply`], call [`Cluster::refresh_dns`].

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cluster::Cluster;
use crate::image;
use crate::kubectl::items;
use crate::net;
use crate::options::Dns;
use crate::run::wait_for;

const MANIFEST: &str = include_str!("../manifests/dns.yaml");
const IMAGE: &str = "registry.local/dns:1";
/// As in the kubelets' configuration.
const ADDRESS: &str = "10.96.0.10";
const DOMAIN: &str = "cluster.local";
const DIRECTORY: &str = "/etc/cluster-dns";
/// Here the harness keeps what else is answered; its presence says that there is a DNS.
const EXTRA: &str = "dns-names";

impl Cluster {
    /// Puts a DNS server into the cluster; does not wait for it to work.
    ///
    /// # Errors
    /// When its image cannot be made or imported, or an object is refused.
    pub fn install_dns(&self, options: Dns) -> Result<()> {
        let archive = self.layout.dir().join("images/dns.tar");
        image::write_dynamic(&archive, Path::new("/usr/sbin/dnsmasq"), IMAGE)?;
        self.import_everywhere(&archive)?;
        let mut extra = String::new();
        if options.host_names {
            for host in self.layout.hosts() {
                writeln!(extra, "{} {host}", net::address(&host)?)?;
            }
        }
        fs::write(self.layout.dir().join(EXTRA), extra)?;
        for node in self.nodes() {
            fs::create_dir_all(self.path(&node, DIRECTORY))?;
        }
        self.apply(MANIFEST)
    }

    /// Has the DNS, if there is one, answer for the Services that there are now.
    ///
    /// # Errors
    /// When the Services cannot be listed or a file cannot be written.
    pub fn refresh_dns(&self) -> Result<()> {
        let Ok(extra) = fs::read_to_string(self.layout.dir().join(EXTRA)) else {
            return Ok(());
        };
        let services = self.get(&["services", "--all-namespaces"])?;
        let mut names = String::new();
        for service in items(&services) {
            let (metadata, address) = (&service["metadata"], &service["spec"]["clusterIP"]);
            if let (Some(name), Some(namespace), Some(address)) =
                (metadata["name"].as_str(), metadata["namespace"].as_str(), address.as_str())
                && address != "None"
            {
                writeln!(names, "{address} {name}.{namespace}.svc.{DOMAIN}")?;
            }
        }
        names += &extra;
        for node in self.nodes() {
            let file = self.path(&node, DIRECTORY).join("names");
            fs::write(&file, &names).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }

    /// Waits until every node gets an answer for the API server's name.
    ///
    /// # Errors
    /// When one does not in time.
    pub fn wait_dns(&self, deadline: Duration) -> Result<()> {
        let name = format!("kubernetes.default.svc.{DOMAIN}");
        for node in self.nodes() {
            wait_for(&format!("the cluster's DNS to answer {node}"), deadline, || {
                let said = self.exec(&node, &["timeout", "2", "busybox", "nslookup", &name, ADDRESS])?;
                ensure!(said.stdout.contains("10.96.0.1\n"), "{}{}", said.stdout, said.stderr);
                Ok(true)
            })?;
        }
        Ok(())
    }
}
