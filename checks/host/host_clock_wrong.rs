//! # The machine's clock is wrong by minutes
//!
//! ## What it looks at
//!
//! The machine's clock against the `Date` of an answer of the API server.
//!
//! ## Why it matters
//!
//! Certificates and tokens hold for a time. On a machine whose clock is wrong by minutes, new certificates are not valid yet
//! or old ones no longer, and whoever runs there turns good callers away: "x509: certificate has expired or is not yet
//! valid". Metrics bear times at which nothing was measured.
//!
//! ## How to fix it
//!
//! Set the clock, and let a daemon keep it, which starts at boot.
//!
//! ## When it is wrong
//!
//! It compares two clocks: where every machine is found wrong, it is the API server's. It is likely only where the API
//! server did not prove who it is.
//!
//! ## References
//!
//! - Failure catalogue: `clock-skew` (RM-C16)

use super::clock::{self, WRONG_S};
use super::role;
use crate::check::{Check, Finding, Hop, Kind, Outcome, Question, Results, Severity, fail};
use crate::evidence::{Evidence, Need};

pub(crate) const CHECK: Check = Check {
    code: "MP036",
    name: "host-clock-wrong",
    title: "The machine's clock is wrong by minutes",
    hop: Hop::Host,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: role::MODES,
    needs: &[Need::HostClock],
    explains: role::KUBELET_EXPLAINS,
    question: Question::Listed,
    source: include_str!("host_clock_wrong.rs"),
    run,
    remedies: clock::remedies,
};

fn run(_: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostClock, |ctx, host, subject| {
        let clock = ctx.need(&host.clock)?;
        let offset = super::clock::offset(clock)?;
        if (offset.abs() / 1000) <= WRONG_S {
            return Ok(Outcome::Pass);
        }
        let finding = Finding::new(subject, super::clock::words(offset)).cite(
            &host.clock,
            "offset_ms",
            offset.to_string(),
            "less than 5 minutes",
        );
        Ok(fail(if clock.proven { finding } else { finding.likely(&[]) }))
    });
}

#[cfg(test)]
mod tests {
    use super::super::testing::outcome;
    use super::*;

    #[test]
    fn minutes_are_wrong_and_seconds_are_not() {
        for (offset, fails) in [(0, false), (299_000, false), (301_000, true), (-301_000, true)] {
            let fact = super::super::clock::seen_clock(offset, Some(true));
            assert_eq!(matches!(outcome(&CHECK, fact), Outcome::Fail(_)), fails, "{offset}");
        }
        assert!(matches!(outcome(&CHECK, super::super::testing::host()), Outcome::Undecided(_)));
    }
}
