//! # The kernel drops packets that come by another way than they would go
//!
//! ## What it looks at
//!
//! `net.ipv4.conf.all.rp_filter` and that of the interfaces in question, where routes to one and the same destination lead over
//! different interfaces.
//!
//! ## Why it matters
//!
//! With 1 the kernel drops a packet whose sender it would answer by another interface. On a machine with one way to everywhere
//! that is harmless. With two default routes, or the pods' range behind two interfaces, connections to the kubelet get
//! lost by turns.
//!
//! ## How to fix it
//!
//! Set it to 2 (loose), or give the machine one way to each destination.
//!
//! ## When it is wrong
//!
//! Routes of other tables than `main` are not seen, nor are rules that pick them.
//!
//! ## References
//!
//! - Linux `Documentation/networking/ip-sysctl.rst`, `rp_filter`: the higher of `all` and the interface's own counts

use super::place;
use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need, Route};

pub(crate) const CHECK: Check = Check {
    code: "MP022",
    name: "reverse-path-filter-strict",
    title: "The kernel drops packets that come by another way than they would go",
    hop: Hop::Host,
    severity: Severity::Warning,
    kind: Kind::Hazard,
    modes: &[Mode::Installed, Mode::BeforeInstall, Mode::Host],
    needs: &[Need::HostSettings, Need::HostRoutes],
    explains: &[],
    question: Question::Listed,
    source: include_str!("reverse_path_filter_strict.rs"),
    run,
    remedies,
};

/// Two routes to one destination over different interfaces.
pub(super) fn doubled(routes: &[Route]) -> Option<(&Route, &Route)> {
    routes.iter().enumerate().find_map(|(at, one)| {
        let same = |other: &&Route| {
            other.destination == one.destination && other.device != one.device && !other.device.is_empty()
        };
        let four = !one.destination.contains(':') && !one.device.is_empty();
        routes[at + 1..].iter().find(same).filter(|_| four).map(|other| (one, other))
    })
}

fn run(_: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostSettings, |ctx, host, subject| {
        let Some((one, other)) = doubled(ctx.need(&host.routes)?) else {
            return Ok(not_applicable("no destination has routes over two interfaces"));
        };
        let all = place::setting(ctx, host, "net.ipv4.conf.all.rp_filter")?.now.clone().unwrap_or_default();
        for device in [&one.device, &other.device] {
            let name = format!("net.ipv4.conf.{}.rp_filter", device.replace('.', "/"));
            let own = place::setting(ctx, host, &name)?.now.clone().unwrap_or_default();
            // The higher of both counts, and 2 is loose.
            if (all == "1" || own == "1") && all != "2" && own != "2" {
                let detail = format!(
                    "packets to {} go by {} and by {}, and `{name}` is {own} (`all`: {all})",
                    one.destination, one.device, other.device
                );
                let (strict, value) =
                    if own == "1" { (name, own) } else { ("net.ipv4.conf.all.rp_filter".to_owned(), all) };
                let finding = Finding::new(subject, detail)
                    .cite(&host.settings, strict, value, "2, or 0 for all")
                    .cite(
                        &host.routes,
                        one.destination.clone(),
                        format!("{} and {}", one.device, other.device),
                        "one interface",
                    )
                    .fact("run_on", place::run_on(host));
                return Ok(fail(finding));
            }
        }
        Ok(Outcome::Pass)
    });
}

const FILE: &str = "/etc/sysctl.d/99-zz-rp-filter.conf";

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings.iter().map(|finding| {
        let run_on = finding.facts.get("run_on").cloned().unwrap_or_default();
        Step::run(run_on, format!("echo 'net.ipv4.conf.all.rp_filter = 2' > {FILE}\nsysctl -p {FILE}"))
            .verify("sysctl -n net.ipv4.conf.all.rp_filter | grep -x 2")
    });
    vec![Remedy {
        title: "Let packets come by any way that leads to their sender".to_owned(),
        audience: Audience::Production,
        cost: "The kernel no longer drops packets whose sender's address is forged within the networks that it has routes to.".to_owned(),
        leaves: Vec::new(),
        steps: steps.collect(),
    }]
}
