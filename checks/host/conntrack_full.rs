//! # The kernel has no room for new connections
//!
//! ## What it looks at
//!
//! `net.netfilter.nf_conntrack_count` and `net.netfilter.nf_conntrack_max`.
//!
//! ## Why it matters
//!
//! Everything that is translated or filtered by state is tracked. When the table is full the kernel drops the first packet of
//! every new connection (`nf_conntrack: table full, dropping packet` in its log) while those that stand go on: metrics-server
//! and many others time out now and then.
//!
//! ## How to fix it
//!
//! Raise the limit (kube-proxy sets it from `conntrack.maxPerCore`), and find out who opens so many connections.
//!
//! ## When it is wrong
//!
//! The count is of one moment; a table that was full a minute ago may have room now. That a table is nearly full is not said.
//!
//! ## References
//!
//! - Linux `Documentation/networking/nf_conntrack-sysctl.rst`; Kubernetes `cmd/kube-proxy/app/conntrack.go`

use super::place;
use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Undecided, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need, Setting, Why};

pub(crate) const CHECK: Check = Check {
    code: "MP021",
    name: "conntrack-full",
    title: "The machine's table of connections is full",
    hop: Hop::Host,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed, Mode::BeforeInstall, Mode::Host],
    needs: &[Need::HostSettings],
    explains: super::EXPLAINS,
    question: Question::Listed,
    source: include_str!("conntrack_full.rs"),
    run,
    remedies,
};

const COUNT: &str = "net.netfilter.nf_conntrack_count";
const MAX: &str = "net.netfilter.nf_conntrack_max";

fn run(_: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostSettings, |ctx, host, subject| {
        let (count, max) = (place::setting(ctx, host, COUNT)?, place::setting(ctx, host, MAX)?);
        let number = |setting: &Setting| setting.now.as_deref().map(str::parse::<u64>);
        let (count, max) = match (number(count), number(max)) {
            (None, None) => return Ok(not_applicable("the kernel tracks no connections")),
            (Some(Ok(count)), Some(Ok(max))) => (count, max),
            _ => {
                let why = Why::Unreadable(format!("{COUNT} and {MAX} are not both numbers"));
                return Err(Undecided { need: Need::HostSettings, why });
            }
        };
        // 0 is no limit (`nf_conntrack_alloc` in Linux' net/netfilter/nf_conntrack_core.c).
        if max == 0 || count < max {
            return Ok(Outcome::Pass);
        }
        let finding =
            Finding::new(subject, format!("{count} connections are tracked, and there is room for {max}"))
                .cite(&host.settings, COUNT, count.to_string(), &format!("less than {max}"))
                .cite(&host.settings, MAX, max.to_string(), "more than there are connections")
                .fact("run_on", place::run_on(host))
                .fact("max", max.saturating_mul(2).to_string());
        Ok(fail(finding))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings.iter().map(|finding| {
        let fact = |name: &str| finding.facts.get(name).cloned().unwrap_or_default();
        let file = "/etc/sysctl.d/99-zz-conntrack.conf";
        Step::run(fact("run_on"), format!("echo '{MAX} = {}' > {file}\nsysctl -p {file}", fact("max")))
            .verify(format!("[ \"$(sysctl -n {COUNT})\" -lt \"$(sysctl -n {MAX})\" ]"))
    });
    vec![Remedy {
        title: "Make room for twice as many connections, now and after each boot".to_owned(),
        audience: Audience::Production,
        cost: "Each connection takes about 320 bytes of the kernel's memory; kube-proxy may set the limit anew when it starts.".to_owned(),
        leaves: Vec::new(),
        steps: steps.collect(),
    }]
}
