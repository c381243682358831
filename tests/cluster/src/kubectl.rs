//! Talking to the cluster's API.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::files::{ADMINS, PKI};
use crate::kubeconfig::{self, Credential};
use crate::layout::{CONTROL_PLANE, node_name};
use crate::net::{CONTROL_PLANE_IP, WORKSTATION, pod_cidr};
use crate::options::{Component, Options, Serving, User};
use crate::pki::{Ca, Certificate};
use crate::run::{LIMIT, Output, run, wait_for};

impl Cluster {
    /// The file for this user; the server's address in it works from every vantage.
    ///
    /// # Errors
    /// When it cannot be written, or the user's rights cannot be given.
    pub fn kubeconfig(&self, user: &User) -> Result<PathBuf> {
        let (name, group) = match user {
            User::Admin => ("kubernetes-admin".to_owned(), Some(ADMINS)),
            User::SystemMasters => ("kubernetes-super-admin".to_owned(), Some("system:masters")),
            User::Edit { namespace } => (format!("editor-of-{namespace}"), None),
            User::Nobody => ("nobody".to_owned(), None),
        };
        let path = self.layout.dir().join("kubeconfigs").join(format!("{name}.conf"));
        if path.exists() {
            return Ok(path);
        }
        let mut certificate = Certificate::client(&name);
        if let Some(group) = group {
            certificate = certificate.organization(group);
        }
        let ca = self.ca()?;
        let pair = ca.issue(&certificate)?;
        if let User::Edit { namespace } = user {
            self.bind_editor(&name, namespace)?;
        }
        fs::write(
            &path,
            kubeconfig::write(CONTROL_PLANE_IP, &ca.pair.cert, &name, &Credential::Embedded(&pair)),
        )?;
        Ok(path)
    }

    /// The same, through the kube-apiserver of another host.
    ///
    /// # Errors
    /// As [`Cluster::kubeconfig`], and when the host has none.
    pub fn kubeconfig_through(&self, user: &User, host: &str) -> Result<PathBuf> {
        let usual = self.kubeconfig(user)?;
        if host == CONTROL_PLANE {
            return Ok(usual);
        }
        ensure!(self.control_planes().iter().any(|one| one == host), "{host} has no kube-apiserver");
        let text = fs::read_to_string(&usual)?.replace(CONTROL_PLANE_IP, &self.address(host)?);
        let path = usual.with_extension(format!("{host}.conf"));
        fs::write(&path, text)?;
        Ok(path)
    }

    fn bind_editor(&self, name: &str, namespace: &str) -> Result<()> {
        let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": name, "namespace": namespace},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit",
                },
                "subjects": [
                    {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name},
                ],
            },
        ]});
        self.masters(&["apply", "-f", "-"], Some(&objects.to_string())).map(drop)
    }

    /// The cluster's CA.
    ///
    /// # Errors
    /// When its files on the control plane cannot be read.
    pub fn ca(&self) -> Result<Ca> {
        Ca::load(&self.path(CONTROL_PLANE, PKI).join("ca"))
    }

    /// The CA of the front-proxy client.
    ///
    /// # Errors
    /// When its files on the control plane cannot be read.
    pub fn front_proxy_ca(&self) -> Result<Ca> {
        Ca::load(&self.path(CONTROL_PLANE, PKI).join("front-proxy-ca"))
    }

    /// Runs kubectl as [`User::Admin`] on the nodes' network and gives what it prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.kubectl_as(&User::Admin, args)?.ok()
    }

    /// Runs kubectl as this user; its failure is no error.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn kubectl_as(&self, user: &User, args: &[&str]) -> Result<Output> {
        self.kubectl_with(user, args, None)
    }

    fn kubectl_with(&self, user: &User, args: &[&str], input: Option<&str>) -> Result<Output> {
        let mut command = Command::new("nsenter");
        command
            .args(self.network(WORKSTATION))
            .arg(self.programs.join("kubectl"))
            .arg("--kubeconfig")
            .arg(self.kubeconfig(user)?)
            .args(args)
            // Where kubectl keeps its discovery cache; a stale one would hide what a scenario has changed.
            .env("KUBECACHEDIR", self.layout.dir().join("kubectl-cache"))
            .env_remove("KUBECONFIG");
        run(&mut command, input, LIMIT)
    }

    /// kubectl for the harness's own needs, which no broken RBAC shall stop.
    pub(crate) fn masters(&self, args: &[&str], input: Option<&str>) -> Result<String> {
        self.kubectl_with(&User::SystemMasters, args, input)?.ok()
    }

    /// One object or list, as JSON, read as a member of `system:masters`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get(&self, args: &[&str]) -> Result<Value> {
        let mut words = vec!["get", "-o", "json"];
        words.extend(args);
        serde_json::from_str(&self.masters(&words, None)?).context("kubectl printed no JSON")
    }

    /// Applies these objects as [`User::Admin`].
    ///
    /// # Errors
    /// When one is refused.
    pub fn apply(&self, yaml: &str) -> Result<()> {
        self.kubectl_with(&User::Admin, &["apply", "-f", "-"], Some(yaml))?.ok()?;
        // A Service may be among them.
        self.refresh_dns()
    }

    /// Creates these objects as [`User::Admin`]; a refusal is no error.
    ///
    /// # Errors
    /// When kubectl cannot be run.
    pub fn create(&self, yaml: &str) -> Result<Output> {
        self.kubectl_with(&User::Admin, &["create", "-f", "-"], Some(yaml))
    }

    /// Replaces an object as a member of `system:masters`, whom no escalation check stops.
    ///
    /// # Errors
    /// When it is refused.
    pub fn replace(&self, object: &str) -> Result<()> {
        self.masters(&["replace", "-f", "-"], Some(object)).map(drop)
    }

    /// Waits until the API server says that it is ready.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn wait_api(&self, deadline: Duration) -> Result<()> {
        wait_for("kube-apiserver to be ready", deadline, || {
            Ok(self.masters(&["get", "--raw=/readyz", "--request-timeout=5s"], None)?.trim() == "ok")
        })
        .map_err(|error| self.explain(error, &self.layout.log(CONTROL_PLANE, Component::ApiServer.name())))
    }

    /// Waits until every kube-apiserver says that it is ready, and is behind the Service `kubernetes`.
    ///
    /// # Errors
    /// When one is not in time.
    pub fn wait_apiservers(&self, deadline: Duration) -> Result<()> {
        let others: Vec<String> = self.control_planes().into_iter().skip(1).collect();
        for host in &others {
            let server = format!("--server=https://{}:6443", self.address(host)?);
            wait_for(&format!("kube-apiserver on {host} to be ready"), deadline, || {
                let words = ["get", "--raw=/readyz", "--request-timeout=5s", &server];
                Ok(self.masters(&words, None)?.trim() == "ok")
            })
            .map_err(|error| self.explain(error, &self.layout.log(host, Component::ApiServer.name())))?;
        }
        if others.is_empty() {
            return Ok(());
        }
        wait_for("every kube-apiserver to be behind the Service kubernetes", deadline, || {
            let words = ["endpointslices", "-n", "default", "-l", "kubernetes.io/service-name=kubernetes"];
            let slices = self.get(&words)?;
            let count: usize = items(&slices)
                .flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten())
                .filter_map(|endpoint| endpoint["addresses"].as_array().map(Vec::len))
                .sum();
            Ok(count == self.control_planes().len())
        })
    }

    /// Waits until every node is there and Ready.
    ///
    /// # Errors
    /// When one is not in time.
    pub fn wait_nodes_ready(&self, deadline: Duration) -> Result<()> {
        let mut late = String::new();
        wait_for("all nodes to be Ready", deadline, || {
            let nodes = self.get(&["nodes"])?;
            let ready: Vec<&str> = items(&nodes)
                .filter(|node| condition(node, "Ready") == Some("True"))
                .filter_map(|node| node["metadata"]["name"].as_str())
                .collect();
            late = self.nodes().into_iter().find(|name| !ready.contains(&name.as_str())).unwrap_or_default();
            ensure!(late.is_empty(), "{late} is not Ready");
            Ok(true)
        })
        .map_err(|error| self.explain(error, &self.layout.log(&late, Component::Kubelet.name())))
    }

    /// What `kubeadm init` creates once the API answers, and the nodes: with their pods' addresses, which the
    /// network has been built for.
    pub(crate) fn bootstrap(&self) -> Result<()> {
        self.wait_api(Duration::from_mins(1))?;
        let mut text = include_str!("../manifests/bootstrap.yaml").to_owned();
        let kubelet = include_str!("../manifests/kubelet-config.yaml");
        let config = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "kubelet-config", "namespace": "kube-system"},
            "data": {"kubelet": kubelet},
        });
        writeln!(text, "---\n{config}")?;
        for number in 1..=self.layout.nodes {
            let cidr = pod_cidr(number);
            let node = json!({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"name": node_name(number)},
                "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
            });
            writeln!(text, "---\n{node}")?;
        }
        self.masters(&["create", "-f", "-"], Some(&text)).map(drop)
    }

    pub(crate) fn approve_at_start(&self, options: &Options) -> Result<()> {
        let mut waiting: Vec<String> = Vec::new();
        for (index, serving) in options.nodes.iter().enumerate() {
            if matches!(serving, Serving::Bootstrapped) {
                waiting.push(node_name(index + 1));
            }
        }
        if waiting.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = waiting.iter().map(String::as_str).collect();
        wait_for("the kubelets' serving certificates", Duration::from_mins(1), || {
            self.approve_kubelet_csrs(&names)?;
            for name in &names {
                // The kubelet puts a link to its certificate here when it has got one.
                let link = self.path(name, "/var/lib/kubelet/pki/kubelet-server-current.pem");
                ensure!(link.is_symlink(), "{name} has none");
            }
            Ok(true)
        })
    }

    /// Approves the pending requests for serving certificates of these nodes, of all nodes when none is named;
    /// tells how many.
    ///
    /// # Errors
    /// When one cannot be approved.
    pub fn approve_kubelet_csrs(&self, nodes: &[&str]) -> Result<usize> {
        let requests = self.get(&["csr"])?;
        let users: Vec<String> = nodes.iter().map(|node| format!("system:node:{node}")).collect();
        let names: Vec<&str> = items(&requests)
            .filter(|csr| csr["spec"]["signerName"] == "kubernetes.io/kubelet-serving")
            .filter(|csr| csr["status"]["conditions"].as_array().is_none_or(Vec::is_empty))
            .filter(|csr| {
                let user = csr["spec"]["username"].as_str().unwrap_or_default();
                users.is_empty() || users.iter().any(|wanted| wanted == user)
            })
            .filter_map(|csr| csr["metadata"]["name"].as_str())
            .collect();
        if !names.is_empty() {
            let mut words = vec!["certificate", "approve"];
            words.extend(&names);
            self.masters(&words, None)?;
        }
        Ok(names.len())
    }
}

/// The items of a list.
pub(crate) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

/// The status of a condition.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)?["status"]
        .as_str()
}
