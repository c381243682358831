//! Enforces network policies on a node, in the pods' own network namespaces: a plugin at the end of the CNI chain for a
//! pod that starts, and an agent for what changes later.

mod rules;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::kubectl::items;
use crate::layout::{IDENTITY_FILE, Identity, node_number};
use crate::net;
use crate::pod_network::NAMESPACES;
use crate::run::{LIMIT, call, run};

pub(crate) use rules::understood;

/// The name of the plugin, of the program that plays it, and of the agent's unit.
pub(crate) const PLUGIN: &str = "network-policy";
/// The policies as the agent has read them.
const KNOWN: &str = "/run/network-policies.json";
/// The policies that all pods of the node are under.
pub(crate) const APPLIED: &str = "/run/network-policies-applied.json";
const TICK: Duration = Duration::from_secs(1);

/// What tells two sets of policies apart.
pub(crate) fn versions(policies: &Value) -> BTreeMap<String, String> {
    items(policies)
        .map(|policy| {
            let metadata = &policy["metadata"];
            (metadata["uid"].to_string(), metadata["resourceVersion"].to_string())
        })
        .collect()
}

/// The agent: it ends with its PID namespace.
pub(crate) fn agent() -> Result<()> {
    let node = Node::here()?;
    let mut applied = BTreeMap::new();
    loop {
        // An API server that does not answer changes no rule.
        if let Err(error) = node.tick(&mut applied) {
            eprintln!("{error:#}");
        }
        thread::sleep(TICK);
    }
}

/// The node that this program runs on.
struct Node {
    name: String,
    kubeconfig: String,
    /// Where packets of the node itself come from.
    addresses: Vec<String>,
}

impl Node {
    fn here() -> Result<Self> {
        let identity: Identity = serde_json::from_slice(&fs::read(IDENTITY_FILE)?)?;
        let number = node_number(&identity.host).context("only nodes have pods")?;
        let kubeconfig = identity.layout.dir().join("kubeconfigs/kubernetes-super-admin.conf");
        Ok(Self {
            addresses: vec![net::address(&identity.host)?, format!("10.244.{number}.1")],
            name: identity.host,
            kubeconfig: kubeconfig.to_string_lossy().into_owned(),
        })
    }

    /// Brings every pod's rules up to date. `applied` holds by namespace file the rules that were written.
    fn tick(&self, applied: &mut BTreeMap<String, Option<String>>) -> Result<()> {
        let policies = self.get("/apis/networking.k8s.io/v1/networkpolicies")?;
        fs::write(KNOWN, policies.to_string())?;
        let pods = self.get(&format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", self.name))?;
        let files = namespaces();
        applied.retain(|file, _| files.contains_key(file));
        for pod in items(&pods) {
            let Some(file) = files
                .iter()
                .find(|(_, address)| pod["status"]["podIP"] == address.as_str())
                .map(|(file, _)| file)
            else {
                continue;
            };
            let wanted = self.rules(&policies, pod);
            // A pod that is new here is written once: the plugin may have gone by policies of a second ago.
            if applied.get(file) != Some(&wanted) {
                write_rules(file, wanted.as_deref())?;
                eprintln!("{}: {}", pod["metadata"]["name"], wanted.as_deref().unwrap_or("no rules"));
                applied.insert(file.clone(), wanted);
            }
        }
        fs::write(APPLIED, policies.to_string())?;
        Ok(())
    }

    /// The rules for a pod. Policies that are not understood allow nothing: the harness refuses them aloud.
    fn rules(&self, policies: &Value, pod: &Value) -> Option<String> {
        rules::rules(policies, pod, &self.addresses).unwrap_or_else(|error| {
            eprintln!("{error:#}");
            Some("*filter\n:INPUT DROP [0:0]\n:OUTPUT DROP [0:0]\nCOMMIT\n".to_owned())
        })
    }

    fn get(&self, path: &str) -> Result<Value> {
        let text = call(
            "kubectl",
            &["--kubeconfig", &self.kubeconfig, "--request-timeout=5s", "get", "--raw", path],
        )?;
        serde_json::from_str(&text).context("kubectl printed no JSON")
    }
}

/// The pods' network namespaces here, with the address of each.
fn namespaces() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(NAMESPACES).into_iter().flatten().flatten() {
        let file = entry.path().to_string_lossy().into_owned();
        let Ok(text) = call("nsenter", &[&format!("--net={file}"), "--", "ip", "-o", "-4", "address"]) else {
            continue;
        };
        let address = text.lines().find(|line| !line.contains(" lo ")).and_then(|line| {
            let (address, _) = line.split_once(" inet ")?.1.split_once('/')?;
            Some(address.to_owned())
        });
        if let Some(address) = address {
            found.insert(file, address);
        }
    }
    found
}

/// Replaces the filter of a pod's network.
fn write_rules(file: &str, rules: Option<&str>) -> Result<()> {
    let open = "*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n";
    let mut command = Command::new("nsenter");
    command.args([&format!("--net={file}"), "--", "iptables-restore"]);
    run(&mut command, Some(rules.unwrap_or(open)), LIMIT)?.ok().map(drop)
}

/// The plugin: writes a pod's rules before its containers start, and hands on what the plugins before it have said
/// (<https://www.cni.dev/docs/spec/>, section 2).
pub(crate) fn plugin() -> Result<i32> {
    let command = std::env::var("CNI_COMMAND").context("CNI_COMMAND is not set; this is a CNI plugin")?;
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    match command.as_str() {
        "VERSION" => say(&json!({"cniVersion": "0.4.0", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0"]}))?,
        "ADD" => {
            let config: Value = serde_json::from_str(&text).context("the configuration is not JSON")?;
            ensure!(config["prevResult"].is_object(), "this plugin stands behind another");
            restrict()?;
            say(&config["prevResult"])?;
        }
        _ => {}
    }
    Ok(0)
}

fn say(value: &Value) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{value}")?)
}

fn restrict() -> Result<()> {
    let Ok(policies) = fs::read_to_string(Path::new(KNOWN)) else {
        return Ok(());
    };
    let policies: Value = serde_json::from_str(&policies)?;
    if items(&policies).next().is_none() {
        return Ok(());
    }
    let arguments = std::env::var("CNI_ARGS").unwrap_or_default();
    let argument = |name: &str| {
        let words = arguments.split(';').filter_map(|word| word.split_once('='));
        words.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    };
    let (namespace, pod) =
        argument("K8S_POD_NAMESPACE").zip(argument("K8S_POD_NAME")).context("CNI_ARGS names no pod")?;
    let node = Node::here()?;
    let pod = node.get(&format!("/api/v1/namespaces/{namespace}/pods/{pod}"))?;
    let file = std::env::var("CNI_NETNS").context("CNI_NETNS is not set")?;
    match node.rules(&policies, &pod) {
        Some(rules) => write_rules(&file, Some(&rules)),
        None => Ok(()),
    }
}
