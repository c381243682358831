//! # The kubelet does not listen where metrics-server dials
//!
//! ## What it looks at
//!
//! The sockets of the machine that listen at the kubelet's port, and the address and port that metrics-server dials: those of
//! the Node as its arguments pick them, or else any address of the machine and the port of the kubelet's configuration.
//!
//! ## Why it matters
//!
//! `connect: connection refused`: the kubelet does not run, is bound to another address (`address` in its configuration) or to
//! loopback alone, or has another port than the Node announces.
//!
//! ## How to fix it
//!
//! Where the kubelet does not run, its log says why. Where it listens elsewhere, set `address` and `port` in its configuration
//! file, and start it anew; it announces its port itself.
//!
//! ## When it is wrong
//!
//! While the kubelet starts there is no socket. Where the Metrics API has a fresh sample of the node, this check
//! passes.
//!
//! ## References
//!
//! - Failure catalogue: `kubelet-connection-refused` (RM-D6), `kubelet-port-wrong` (RM-D9)

use super::place;
use crate::check::{
    Audience, Check, Context, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step,
    Undecided, fail,
};
use crate::evidence::{Evidence, Host, Listener, Mode, Need, Why};

pub(crate) const CHECK: Check = Check {
    code: "MP015",
    name: "kubelet-not-listening-there",
    title: "Nobody listens on the machine where metrics-server dials the kubelet",
    hop: Hop::Host,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed, Mode::BeforeInstall, Mode::Host],
    needs: &[
        Need::Pods,
        Need::Nodes,
        Need::NodeMetrics,
        Need::HostIdentity,
        Need::HostKubelet,
        Need::HostListeners,
    ],
    explains: super::EXPLAINS,
    question: Question::Listed,
    source: include_str!("kubelet_not_listening_there.rs"),
    run,
    remedies,
};

/// For so long a kubelet may be on its way to its socket.
const STARTING_S: i64 = 30;

/// What metrics-server dials: an address where one is known, and a port.
fn dialled(ctx: &Context<'_>, evidence: &Evidence, host: &Host) -> Result<(Option<String>, i64), Undecided> {
    if let Some(node) = place::node(place::nodes(ctx, evidence)?, host)
        && let Some((address, port)) = ctx.need(&node.dial)?
    {
        let is_address = address.parse::<std::net::IpAddr>().is_ok();
        return Ok((Some(address.clone()).filter(|_| is_address), *port));
    }
    Ok((None, i64::from(place::kubelet_port(ctx, host)?)))
}

fn is_loopback(listener: &Listener) -> bool {
    listener.address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a socket takes connections to an address.
fn takes(listener: &Listener, address: Option<&str>) -> bool {
    let (Some(address), false) = (address, is_loopback(listener)) else { return !is_loopback(listener) };
    let wanted = address.parse::<std::net::IpAddr>();
    match (listener.address.parse::<std::net::IpAddr>(), wanted) {
        // A socket for all addresses of version 6 takes those of version 4 too, unless it was told not to (ipv6(7)).
        (Ok(own), Ok(wanted)) => {
            own == wanted || (own.is_unspecified() && (own.is_ipv6() || wanted.is_ipv4()))
        }
        _ => true,
    }
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostListeners, |ctx, host, subject| {
        if let Some(other) = place::not_a_node(ctx, evidence, host)? {
            return Ok(other);
        }
        if place::is_scraped(ctx, evidence, host)? {
            return Ok(Outcome::Pass);
        }
        let (address, port) = dialled(ctx, evidence, host)?;
        let listeners = ctx.need(&host.listeners)?;
        let at_port: Vec<&Listener> = listeners.iter().filter(|listener| listener.port == port).collect();
        if at_port.iter().any(|listener| takes(listener, address.as_deref())) {
            return Ok(Outcome::Pass);
        }
        let kubelet = ctx.need(&host.kubelet)?;
        let age = kubelet.as_ref().and_then(|kubelet| kubelet.started);
        let age = age.map(|started| host.taken_at.duration_since(started).as_secs());
        if age.is_some_and(|age| age < STARTING_S) {
            let why = Why::TooEarly("the kubelet has just started".to_owned());
            return Err(Undecided { need: Need::HostListeners, why });
        }
        let place = address.map_or(format!("port {port}"), |address| format!("{address} port {port}"));
        let own: Vec<&str> = at_port.iter().map(|listener| listener.address.as_str()).collect();
        let detail = match (kubelet, own.is_empty()) {
            (None, _) => format!("nobody listens at {place}: the kubelet does not run"),
            (Some(_), true) => format!("nobody listens at {place}, though the kubelet runs"),
            (Some(_), false) => format!("at {place} nobody listens but on {}", own.join(", ")),
        };
        let seen = if own.is_empty() { "nobody".to_owned() } else { own.join(", ") };
        let finding = Finding::new(subject.clone(), detail)
            .cite(
                &host.listeners,
                format!("port {port}"),
                seen,
                "the kubelet, on the address that is dialled",
            )
            .cite(&host.kubelet, "kubelet", if kubelet.is_some() { "runs" } else { "does not run" }, "runs")
            .fact("run_on", place::run_on(host))
            .fact("port", port.to_string())
            .fact("runs", if kubelet.is_some() { "yes" } else { "no" });
        // Why a kubelet does not run is asked by checks of its own.
        let others =
            ["kubelet-config-missing", "component-flag-unknown", "swap-stops-kubelet", "kubelet-port-taken"];
        Ok(fail(if kubelet.is_some() { finding } else { finding.likely(&others).at([subject]) }))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings.iter().map(|finding| {
        let run_on = finding.facts.get("run_on").cloned().unwrap_or_default();
        if finding.facts.get("runs").is_some_and(|runs| runs == "no") {
            let port = finding.facts.get("port").map_or("10250", String::as_str);
            let verify = format!(
                "timeout 30 sh -c 'until ss -ltn | grep \":{port} \"; do sleep 1; done' || {{ journalctl -u kubelet.service -n 20 --no-pager; false; }}"
            );
            return Step::run(run_on, "systemctl enable kubelet.service\nsystemctl restart kubelet.service").verify(verify);
        }
        Step::manual(
            run_on,
            "set `address` (to 0.0.0.0, or remove it) and `port` in the file that the kubelet's --config names, and start the kubelet anew",
        )
    });
    vec![Remedy {
        title: "Let the kubelet listen where metrics-server dials".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: steps.collect(),
    }]
}
