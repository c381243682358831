//! What the checks of a machine's clock share.

use super::role;
use crate::check::{Finding, Remedy, Step, Undecided};
use crate::evidence::{Evidence, HostClock, Need, Why};

/// Nobody minds so many seconds; the `Date` of an answer is good to one.
pub(super) const KEPT_S: i64 = 5;
/// Beyond this certificates that were just issued are refused: Kubernetes' signers date them back by 5 minutes
/// (`pkg/controller/certificates/authority/policies.go`).
pub(super) const WRONG_S: i64 = 300;

/// The API server's clock less the machine's, in milliseconds.
pub(super) fn offset(clock: &HostClock) -> Result<i64, Undecided> {
    clock.offset_ms.ok_or_else(|| Undecided {
        need: Need::HostClock,
        why: Why::Unreachable("no API server told this machine the time".to_owned()),
    })
}

/// An offset for a person.
pub(super) fn words(offset_ms: i64) -> String {
    let seconds = offset_ms.abs() / 1000;
    let amount = if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds / 60) };
    let way = if offset_ms > 0 { "behind" } else { "ahead of" };
    format!("its clock is {amount} {way} the API server's")
}

/// Keeps the clock.
pub(super) fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let script = "(\nset -e\nif command -v chronyc >/dev/null; then\n  systemctl enable --now chronyd 2>/dev/null || systemctl enable --now chrony\n  \
                  chronyc makestep\nelse\n  timedatectl set-ntp true\nfi\n)";
    let steps = findings
        .iter()
        .map(|finding| {
            Step::run(role::place(&finding.subject), script).verify("timedatectl | grep 'synchronized: yes'")
        })
        .collect();
    role::on_each("Let a daemon keep the clock", "", steps)
}

/// A machine with a clock that an API server proved to be off by so much.
#[cfg(test)]
pub(super) fn seen_clock(offset_ms: i64, synchronised: Option<bool>) -> crate::evidence::Host {
    use super::testing::{host, seen};
    let clock = HostClock { synchronised, offset_ms: Some(offset_ms), proven: true, ..HostClock::default() };
    crate::evidence::Host { clock: seen(Need::HostClock, clock), ..host() }
}
