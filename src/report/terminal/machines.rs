//! Which machines and pods the evidence holds besides the cluster, since when, and which were left out.

use checks::evidence::Mode;
use jiff::Timestamp;

use super::page::{FAINT, Page, UNSURE};
use super::words::{SHOWN, list};
use crate::report::Report;

/// Lines below the headline: of machines that were looked at, of those that were not, and why.
pub(super) fn machines(page: &mut Page, report: &Report) {
    let evidence = &report.evidence;
    if report.diagnosis.mode == Mode::Host {
        return;
    }
    let (seen, left): (Vec<_>, Vec<_>) = evidence.hosts.iter().partition(|host| host.left_out().is_none());
    let seen: Vec<String> = seen
        .iter()
        .map(|host| match &host.node {
            Some(node) if *node != host.name => format!("{} (node {node}) {}", host.name, at(host.taken_at)),
            _ => format!("{} {}", host.name, at(host.taken_at)),
        })
        .collect();
    let mut words = Vec::new();
    if !seen.is_empty() {
        words.push(format!("Machines looked at: {}", list(&seen)));
    }
    let not_sampled = report.not_sampled();
    if !not_sampled.is_empty() {
        let names: Vec<String> = not_sampled.iter().map(|name| (*name).to_owned()).collect();
        words.push(format!("not sampled: {}", list(&names)));
    }
    if !words.is_empty() {
        page.styled(0, FAINT, &format!("{}.", words.join("; ")));
    }
    for host in left.iter().take(SHOWN) {
        let why = host.left_out().map(ToString::to_string).unwrap_or_default();
        page.styled(0, UNSURE, &format!("The machine {} is left out: {why}.", host.name));
    }
    more(page, left.len(), "machines");
    let left: Vec<_> = evidence.probes.iter().filter_map(|probe| Some((probe, probe.left_out()?))).collect();
    for (probe, why) in left.iter().take(SHOWN) {
        page.styled(0, UNSURE, &format!("The pod on {} is left out: {why}.", probe.node));
    }
    more(page, left.len(), "pods");
}

fn more(page: &mut Page, number: usize, what: &str) {
    let more = number.saturating_sub(SHOWN);
    if more > 0 {
        page.styled(0, UNSURE, &format!("And {more} more {what}."));
    }
}

fn at(time: Timestamp) -> String {
    format!("at {}", time.strftime("%H:%M:%S"))
}
