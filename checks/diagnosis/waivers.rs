//! What somebody has decided to live with for a while, and what was known before.
//!
//! A waiver or a baseline takes findings out of what the verdict counts. It takes nothing out of the report, and no open
//! question out of the verdict: what could not be looked at is not known to be fine.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{CheckRef, CheckReport, Diagnosis, Policy, RootCause, Verdict};
use crate::check::{
    Certainty, Check, Citation, Finding, Hop, Kind, Outcome, Question, Results, Severity, Subject,
    no_remedies,
};
use crate::evidence::{Evidence, Mode, Place};

/// A decision to live with a finding until a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiver {
    /// The code of the check.
    pub code: String,
    /// The subject as reports print it; a `*` at the end stands for any rest.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day on which it holds, in UTC.
    pub expires: Date,
    /// Where it is written.
    pub place: Place,
}

impl Waiver {
    /// Whether the waiver names this finding.
    #[must_use]
    pub fn names(&self, code: &str, subject: &Subject) -> bool {
        let subject = subject.to_string();
        self.code == code
            && match self.subject.strip_suffix('*') {
                Some(start) => subject.starts_with(start),
                None => subject == self.subject,
            }
    }
}

/// What became of a waiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaiverState {
    /// It holds. It may have nothing to do in this run.
    InForce,
    /// It holds, and what it names was looked at and not found.
    Unused,
    /// Its day is over: it has no effect.
    Expired,
}

impl WaiverState {
    /// The word in the JSON document.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InForce => "in-force",
            Self::Unused => "unused",
            Self::Expired => "expired",
        }
    }
}

/// What the verdict does not count, and why.
#[derive(Clone, Debug, Default)]
pub struct Excused {
    /// Every waiver, with what became of it.
    pub waivers: Vec<(Waiver, WaiverState)>,
    /// The findings of the baseline, by code and subject; nothing without a baseline.
    pub baseline: Option<BTreeSet<(String, Subject)>>,
}

impl Excused {
    /// The waiver in force that names a finding.
    #[must_use]
    pub fn waiver(&self, code: &str, subject: &Subject) -> Option<&Waiver> {
        let holds = |state: WaiverState| state != WaiverState::Expired;
        let mut waivers = self.waivers.iter().filter(|(_, state)| holds(*state)).map(|(waiver, _)| waiver);
        waivers.find(|waiver| waiver.names(code, subject))
    }

    /// Whether the baseline has a finding.
    #[must_use]
    pub fn is_known(&self, code: &str, subject: &Subject) -> bool {
        let key = (code.to_owned(), subject.clone());
        self.baseline.as_ref().is_some_and(|baseline| baseline.contains(&key))
    }

    /// Whether the verdict counts a finding.
    #[must_use]
    pub fn counts(&self, code: &str, subject: &Subject) -> bool {
        self.waiver(code, subject).is_none() && !self.is_known(code, subject)
    }
}

impl Diagnosis {
    /// Takes out of the verdict what is waived at this time and what the baseline has, and adds the findings about the
    /// waivers themselves.
    pub fn excuse(
        &mut self,
        waivers: &[Waiver],
        baseline: Option<BTreeSet<(String, Subject)>>,
        now: Timestamp,
        policy: Policy,
    ) {
        let today = now.to_zoned(TimeZone::UTC).date();
        let judged = waivers.iter().map(|waiver| (waiver.clone(), state(waiver, self, today)));
        self.excused = Excused { waivers: judged.collect(), baseline };
        for (check, wanted) in [(&EXPIRED, WaiverState::Expired), (&UNUSED, WaiverState::Unused)] {
            let found: Vec<Finding> = self
                .excused
                .waivers
                .iter()
                .filter(|(_, state)| *state == wanted)
                .map(|(waiver, _)| finding(waiver, wanted))
                .collect();
            if !found.is_empty() {
                self.add(CheckRef(check), found);
            }
        }
        self.verdict = self.judged(policy);
    }

    fn add(&mut self, check: CheckRef, findings: Vec<Finding>) {
        let results = findings.iter().map(|it| (it.subject.clone(), Outcome::Fail(Box::new(it.clone()))));
        self.checks.push(CheckReport { check, results: results.collect(), panic: None });
        self.root_causes.push(RootCause {
            check,
            certainty: Certainty::Certain,
            candidates: Vec::new(),
            decide: None,
            findings,
            explains: Vec::new(),
            remedies: Vec::new(),
        });
    }

    /// Whether the verdict counts a root cause of this weight: one of its findings is enough.
    #[must_use]
    pub fn counts(&self, cause: &RootCause) -> bool {
        cause.findings.iter().any(|it| self.excused.counts(cause.check.code, &it.subject))
    }

    /// What the baseline has and this diagnosis does not.
    #[must_use]
    pub fn gone(&self) -> Vec<(&str, &Subject)> {
        let causes = self
            .root_causes
            .iter()
            .flat_map(|cause| cause.findings.iter().map(|finding| (cause.check.0.code, &finding.subject)));
        let symptoms = self.unexplained.iter().map(|it| (it.check.0.code, &it.finding.subject));
        let found: BTreeSet<(&str, &Subject)> = causes.chain(symptoms).collect();
        let known = self.excused.baseline.iter().flatten().map(|(code, subject)| (code.as_str(), subject));
        known.filter(|key| !found.contains(key)).collect()
    }

    fn judged(&self, policy: Policy) -> Verdict {
        let cause = |it: &&RootCause| it.severity() >= policy.fail_on && self.counts(it);
        let found = self.root_causes.iter().any(|it| cause(&it))
            || self.unexplained.iter().any(|it| {
                it.check.severity >= policy.fail_on && self.excused.counts(it.check.code, &it.finding.subject)
            });
        let open = self.undecided.iter().any(|question| question.deciding || policy.strict);
        let broken = self.checks.iter().any(|report| report.panic.is_some());
        match (found, open || broken) {
            (true, _) => Verdict::Fail,
            (false, true) => Verdict::Undecided,
            (false, false) => Verdict::Pass,
        }
    }
}

/// A waiver is unused when its check has looked at everything and found nothing that the waiver names.
fn state(waiver: &Waiver, diagnosis: &Diagnosis, today: Date) -> WaiverState {
    if waiver.expires < today {
        return WaiverState::Expired;
    }
    let Some(report) = diagnosis.checks.iter().find(|report| report.check.code == waiver.code) else {
        // The question was another one.
        return WaiverState::InForce;
    };
    let open = report.results.iter().any(|(_, outcome)| matches!(outcome, Outcome::Undecided(_)));
    let named = report.failures().any(|finding| waiver.names(&waiver.code, &finding.subject));
    if named || open || report.panic.is_some() { WaiverState::InForce } else { WaiverState::Unused }
}

fn finding(waiver: &Waiver, state: WaiverState) -> Finding {
    let Waiver { code, subject, reason, owner, expires, place } = waiver;
    let (file, line) = (&place.file, place.line);
    let (detail, path, value, expected) = match state {
        WaiverState::Expired => (
            format!(
                "It held until {expires} for {owner}, and has no effect any more: {reason} ({file}:{line})"
            ),
            "expires",
            expires.to_string(),
            "a day that is not over",
        ),
        _ => (
            format!("{code} did not find this, so that {owner} can remove it: {reason} ({file}:{line})"),
            "subject",
            subject.clone(),
            "what the check finds",
        ),
    };
    let about = Subject::cluster_scoped("Waiver", format!("of {code} for {subject}"));
    let mut finding = Finding::new(about, detail);
    finding.citations.push(Citation {
        request: None,
        path: path.to_owned(),
        value,
        expected: expected.to_owned(),
        place: Some(place.clone()),
    });
    finding
}

fn looks_at_no_evidence(_: &Evidence, _: &mut Results<'_>) {}

const fn about_waivers(
    code: &'static str,
    name: &'static str,
    title: &'static str,
    severity: Severity,
    source: &'static str,
) -> Check {
    Check {
        code,
        name,
        title,
        // They belong to no link of the chain; this one shows the state of the API server alone.
        hop: Hop::Api,
        severity,
        kind: Kind::Cause,
        modes: &[Mode::Installed, Mode::BeforeInstall, Mode::Gate],
        needs: &[],
        explains: &[],
        question: Question::Listed,
        source,
        run: looks_at_no_evidence,
        remedies: no_remedies,
    }
}

/// A waiver whose day is over.
pub static EXPIRED: Check = about_waivers(
    "MP091",
    "waiver-expired",
    "A waiver has expired",
    Severity::Warning,
    "//! The day until which a waiver held is over, and what it named counts again.\n\
     //!\n\
     //! Cure what it names, or decide anew and give it a later day.\n",
);

/// A waiver that names nothing that was found.
pub static UNUSED: Check = about_waivers(
    "MP092",
    "waiver-unused",
    "A waiver names what was not found",
    Severity::Info,
    "//! The check that a waiver names has looked at everything, and has not found what the waiver names.\n\
     //!\n\
     //! Remove it: it would hide the fault if it came back.\n",
);
