//! # The machine's clock is not kept
//!
//! ## What it looks at
//!
//! The machine's clock against the `Date` of an answer of the API server, and whether the daemon that keeps it has set it: the
//! mark of systemd-timesyncd, `chronyc tracking`, or the kernel's own word (`timedatectl`) where another one runs.
//!
//! ## Why it matters
//!
//! A clock that drifts is wrong one day, see [host-clock-wrong](host-clock-wrong.md). A certificate that was just
//! issued is not valid yet where the clock is behind.
//!
//! ## How to fix it
//!
//! Let a daemon keep the clock, one that starts at boot and reaches its servers.
//!
//! ## When it is wrong
//!
//! Where no daemon runs, the hypervisor may keep the clock, which is not judged: a clock that agrees with the API server's to
//! 5 seconds passes, unless a daemon runs and has not set it. In the first minutes after a boot none has.
//!
//! ## References
//!
//! - Failure catalogue: `clock-skew` (RM-C16)
//! - systemd-timesyncd.service(8), `/run/systemd/timesync/synchronized`; chronyc(1), `tracking`; adjtimex(2)

use super::clock::{self, KEPT_S, WRONG_S};
use super::role;
use crate::check::{Check, Finding, Hop, Kind, Outcome, Question, Results, Severity, fail};
use crate::evidence::{Evidence, Need};

pub(crate) const CHECK: Check = Check {
    code: "MP037",
    name: "host-clock-drifting",
    title: "The machine's clock is not kept",
    hop: Hop::Host,
    severity: Severity::Warning,
    kind: Kind::Hazard,
    modes: role::MODES,
    needs: &[Need::HostClock],
    explains: &[],
    question: Question::Listed,
    source: include_str!("host_clock_drifting.rs"),
    run,
    remedies: clock::remedies,
};

fn run(_: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostClock, |ctx, host, subject| {
        let clock = ctx.need(&host.clock)?;
        let offset = super::clock::offset(clock)?;
        let seconds = offset.abs() / 1000;
        let unset = clock.synchronised == Some(false);
        if seconds > WRONG_S || (seconds <= KEPT_S && !unset) {
            return Ok(Outcome::Pass);
        }
        let (detail, field, value) = if seconds > KEPT_S {
            (super::clock::words(offset), "offset_ms", offset.to_string())
        } else {
            let words = match clock.synchronised_by.as_str() {
                "chronyd" => "chronyd runs and follows no time server".to_owned(),
                "timedatectl" => {
                    format!(
                        "{} runs, and the kernel takes the clock for unsynchronised",
                        clock.daemons.join(", ")
                    )
                }
                _ => {
                    "systemd-timesyncd runs and has not set the clock since the machine was booted".to_owned()
                }
            };
            (words, "synchronised", "false".to_owned())
        };
        let finding = Finding::new(subject, detail).cite(&host.clock, field, value, "a clock that is kept");
        Ok(fail(if clock.proven { finding } else { finding.likely(&[]) }))
    });
}

#[cfg(test)]
mod tests {
    use super::super::testing::outcome;
    use super::*;

    #[test]
    fn seconds_and_a_daemon_without_servers_are_told() {
        for (offset, synchronised, fails) in [
            (0, None, false),
            (0, Some(true), false),
            (0, Some(false), true),
            (7_000, Some(true), true),
            (-7_000, None, true),
            (301_000, Some(true), false),
        ] {
            let fact = super::super::clock::seen_clock(offset, synchronised);
            assert_eq!(matches!(outcome(&CHECK, fact), Outcome::Fail(_)), fails, "{offset} {synchronised:?}");
        }
    }
}
