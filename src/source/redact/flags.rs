//! Command lines, environments and configuration files: names are kept, values only of what is catalogued.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::REDACTED;

/// The flags whose values are kept; `*` stands for any ending. They carry addresses, names of files and policies,
/// never a secret. From the flag references of metrics-server
/// (<https://github.com/kubernetes-sigs/metrics-server>, `cmd/metrics-server/app/options`) and of the control plane
/// (<https://kubernetes.io/docs/reference/command-line-tools-reference/>).
const FLAGS: &[&str] = &[
    // metrics-server, and what it has from k8s.io/apiserver.
    "kubelet-*",
    "deprecated-kubelet-completely-insecure",
    "metric-resolution",
    "node-selector",
    "secure-port",
    "bind-address",
    "cert-dir",
    "kubeconfig",
    "tls-cert-file",
    "tls-private-key-file",
    "tls-min-version",
    "tls-cipher-suites",
    "requestheader-*",
    "authentication-*",
    "authorization-*",
    "client-ca-file",
    "permit-port-sharing",
    "permit-address-sharing",
    "v",
    "vmodule",
    "logging-format",
    "log-flush-frequency",
    "logtostderr",
    "profiling",
    "version",
    "help",
    // kube-apiserver.
    "advertise-address",
    "anonymous-auth",
    "proxy-client-*",
    "enable-aggregator-routing",
    "egress-selector-config-file",
    "service-cluster-ip-range",
    "enable-admission-plugins",
    "disable-admission-plugins",
    "feature-gates",
    "runtime-config",
    // kube-controller-manager.
    "horizontal-pod-autoscaler-*",
    "cluster-signing-*",
    "cluster-cidr",
    "controllers",
    // Addon resizer, the sidecar of metrics-server on some platforms.
    "cpu",
    "extra-cpu",
    "memory",
    "extra-memory",
    "threshold",
    "deployment",
    "container",
];

/// What is kept besides of the programs that run on a machine itself: the kubelet, kube-proxy and the container runtime.
/// Their names are too common to be kept of any container.
const MACHINE: &[&str] = &[
    "config",
    "config-dir",
    "bootstrap-kubeconfig",
    "hostname-override",
    "node-ip",
    "address",
    "port",
    "read-only-port",
    "rotate-server-certificates",
    "rotate-certificates",
    "cgroup-driver",
    "fail-swap-on",
    "container-runtime",
    "container-runtime-endpoint",
    "cluster-dns",
    "root-dir",
    "pod-manifest-path",
    "cloud-provider",
    "resolv-conf",
    "proxy-mode",
    "enable-server",
];

/// Environment variables whose values are kept; the proxies lose their user information.
const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Lines of kubeadm's `ClusterConfiguration` that are kept.
const KUBEADM: &[&str] = &[
    "kind",
    "apiVersion",
    "networking",
    "podSubnet",
    "serviceSubnet",
    "clusterName",
    "kubernetesVersion",
    "controlPlaneEndpoint",
];

static FLAG: LazyLock<Regex> = LazyLock::new(|| regex("^(--?)([A-Za-z][A-Za-z0-9_-]{0,63})(?s:=(.*))?$"));
static NEXT_FLAG: LazyLock<Regex> = LazyLock::new(|| regex(r"\s+-|[\r\n]"));
static PROGRAM: LazyLock<Regex> = LazyLock::new(|| regex("^[A-Za-z0-9._/-]{1,128}$"));

#[expect(clippy::expect_used, reason = "the patterns are constants, and every one is compiled by a test")]
fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern")
}

fn catalogued(name: &str) -> bool {
    // Flags may be spelled with underscores; pflag's word separator function takes both.
    let name = name.replace('_', "-");
    FLAGS.iter().any(|flag| match flag.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => *flag == name,
    })
}

/// The catalogued flags of a program that runs on a machine, by name with dashes; the first word is the program. A flag
/// without a value is `true`, as for pflag's booleans.
pub(crate) fn of_machine(words: &[String]) -> BTreeMap<String, String> {
    let mut flags = BTreeMap::new();
    let mut words = words.iter().skip(1).peekable();
    while let Some(word) = words.next() {
        let Some(parts) = FLAG.captures(word) else { continue };
        let name = parts.get(2).map_or("", |name| name.as_str()).replace('_', "-");
        if !catalogued(&name) && !MACHINE.contains(&name.as_str()) {
            continue;
        }
        let value = match parts.get(3) {
            Some(value) => value.as_str(),
            None => words.next_if(|next| !next.starts_with('-')).map_or("true", String::as_str),
        };
        // A long list, such as of feature gates, is of use as a whole only.
        let value = if value.len() > 4096 { REDACTED.to_owned() } else { without_user(value) };
        flags.insert(name, value);
    }
    flags
}

/// The names of the flags with two dashes among these words, by which a component of Kubernetes knows them; the first word
/// is the program. Of their values nothing is kept.
pub(crate) fn names(words: &[String]) -> BTreeSet<String> {
    let name = |word: &String| {
        let parts = FLAG.captures(word).filter(|parts| &parts[1] == "--")?;
        Some(parts[2].replace('_', "-"))
    };
    words.iter().skip(1).filter_map(name).collect()
}

/// The proxies of an environment, by name in capitals, without user information.
pub(crate) fn proxies<'a>(lines: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, String> {
    let known = lines.into_iter().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let name = name.trim().to_ascii_uppercase();
        let value = value.trim().trim_matches(['"', '\'']);
        PROXIES.contains(&name.as_str()).then(|| (name, proxy(value)))
    });
    known.filter(|(_, value)| !value.is_empty() && value.len() <= 4096).collect()
}

/// A container's `command` or `args`. The first word of a command is the program, which is kept.
pub(super) fn command_line(items: &[Value], is_command: bool) -> Value {
    let mut value_expected = None;
    let words = items.iter().enumerate().map(|(index, item)| {
        let Some(word) = item.as_str() else { return REDACTED.to_owned() };
        let is_program = is_command && index == 0 && PROGRAM.is_match(word);
        if !word.starts_with('-') {
            return match value_expected.take() {
                Some(true) => without_user(before_next_flag(word).0),
                _ if is_program => word.to_owned(),
                _ => REDACTED.to_owned(),
            };
        }
        // Two flags on one line of a manifest reach the program as one word, a mistake worth seeing.
        let (word, rest) = before_next_flag(word);
        let kept = match FLAG.captures(word) {
            None => REDACTED.to_owned(),
            Some(parts) => {
                let name = parts.get(2).map_or("", |name| name.as_str());
                let known = catalogued(name);
                value_expected = None;
                match parts.get(3) {
                    Some(_) if known => without_user(word),
                    Some(_) if is_long(&parts[1], name) => format!("{}{name}={REDACTED}", &parts[1]),
                    None if known || is_long(&parts[1], name) => {
                        value_expected = Some(known);
                        word.to_owned()
                    }
                    _ => format!("-{REDACTED}"),
                }
            }
        };
        if rest { format!("{kept} {REDACTED}") } else { kept }
    });
    words.map(Value::String).collect()
}

/// Whether the text behind the dashes is a name: `-p` and `--password` are, `-psecret` may be a name and a value.
fn is_long(dashes: &str, name: &str) -> bool {
    dashes.len() == 2 || name.len() == 1
}

/// The text up to where another flag or another line begins, and whether one does.
fn before_next_flag(text: &str) -> (&str, bool) {
    match NEXT_FLAG.find(text) {
        Some(found) => (&text[..found.start()], true),
        None => (text, false),
    }
}

/// A container's `env`: the proxies and what Kubernetes itself sets, with their values.
pub(super) fn environment(items: &[Value]) -> Value {
    items
        .iter()
        .filter_map(|item| {
            let name = item.get("name")?.as_str()?;
            let is_proxy = PROXIES.iter().any(|proxy| name.eq_ignore_ascii_case(proxy));
            let service = name.strip_prefix("KUBERNETES_SERVICE_");
            let is_service = service.is_some_and(|rest| rest.len() <= 64 && rest.bytes().all(is_word));
            if !is_proxy && !is_service {
                return None;
            }
            Some(match item.get("value").and_then(Value::as_str) {
                Some(value) if is_proxy => json!({"name": name, "value": proxy(value)}),
                Some(value) => json!({"name": name, "value": value}),
                None => json!({"name": name}),
            })
        })
        .collect()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The URL of a proxy without user information. Everything up to the last `@` goes: a password may hold a `/`.
#[must_use]
pub fn proxy(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('@') => (Some(scheme), rest),
        _ => (None, url),
    };
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    scheme.map_or_else(|| rest.to_owned(), |scheme| format!("{scheme}://{rest}"))
}

/// A value in which a URL may stand, without its user information.
fn without_user(value: &str) -> String {
    match value.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}://{host}"),
            None => value.to_owned(),
        },
        None => value.to_owned(),
    }
}

/// The catalogued lines of a `/flagz` page in text, as `name=value`. kube-apiserver picks one of `:`, `: `, `=` and a
/// space anew for each answer, so that nobody parses the page by accident
/// (`staging/src/k8s.io/apiserver/pkg/server/flagz`).
pub(super) fn flagz_text(page: &str) -> String {
    page.lines()
        .filter_map(|line| {
            let line = line.trim_start_matches('-');
            let end = line.find([':', '=', ' '])?;
            let (name, rest) = line.split_at(end);
            let value = rest.trim_start_matches([':', '=', ' ']).trim_end();
            catalogued(name).then(|| format!("{name}={}\n", without_user(value)))
        })
        .collect()
}

/// The catalogued flags of a `/flagz` page in JSON (`config.k8s.io`, kind `Flagz`).
pub(super) fn flagz_json(page: &Value) -> Value {
    let scalar = |name: &str| Some((name.to_owned(), page.get(name)?.as_str()?.into()));
    let mut kept: Map<String, Value> =
        ["kind", "apiVersion"].iter().filter_map(|name| scalar(name)).collect();
    if let Some(Value::Object(flags)) = page.get("flags") {
        let known = flags.iter().filter(|(name, _)| catalogued(name)).map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), without_user);
            (name.clone(), Value::String(value))
        });
        kept.insert("flags".to_owned(), known.collect());
    }
    kept.into()
}

/// The lines of kubeadm's `ClusterConfiguration` that say where networks lie, as YAML that still parses.
pub(super) fn kubeadm(text: &str) -> String {
    text.lines()
        .filter(|line| {
            let indent = line.len() - line.trim_start_matches(' ').len();
            line.split_once(':').is_some_and(|(key, value)| {
                let key = key.trim();
                let is_parent = key == "networking";
                KUBEADM.contains(&key)
                    && indent == if key.ends_with("Subnet") { 2 } else { 0 }
                    && is_parent == value.trim().is_empty()
            })
        })
        .fold(String::new(), |kept, line| kept + line + "\n")
}
