//! What the exit code does not count.

use checks::check;
use checks::diagnosis::{self, Diagnosis};

use super::build::{place, subject};
use super::{Baseline, Excuse, Gone, Waiver};

/// Every waiver, with what became of it.
pub(super) fn waivers(excused: &diagnosis::Excused) -> Vec<Waiver<'_>> {
    let waivers = excused.waivers.iter().map(|(waiver, state)| Waiver {
        code: &waiver.code,
        subject: &waiver.subject,
        reason: &waiver.reason,
        owner: &waiver.owner,
        expires: waiver.expires.to_string(),
        state: state.name(),
        place: place(&waiver.place),
    });
    waivers.collect()
}

/// Why a finding is not counted, if it is not.
pub(super) fn excuse<'r>(
    excused: &'r diagnosis::Excused,
    code: &str,
    about: &'r check::Subject,
) -> Option<Excuse<'r>> {
    let why = why(excused, code, about)?;
    let waiver = excused.waiver(code, about);
    let known = excused.is_known(code, about);
    let waiver = waiver.and_then(|waiver| excused.waivers.iter().position(|(it, _)| it == waiver));
    Some(Excuse { subject: subject(about), waiver, known, why })
}

/// The same as a sentence.
pub(crate) fn why(excused: &diagnosis::Excused, code: &str, about: &check::Subject) -> Option<String> {
    match excused.waiver(code, about) {
        Some(it) => Some(format!("waived until {} by {}: {}", it.expires, it.owner, it.reason)),
        None => excused.is_known(code, about).then(|| "known from the baseline".to_owned()),
    }
}

/// What became of the findings of the baseline.
pub(super) fn baseline(diagnosis: &Diagnosis) -> Option<Baseline<'_>> {
    let known = diagnosis.excused.baseline.as_ref()?;
    let gone = diagnosis.gone();
    Some(Baseline {
        known: known.len() - gone.len(),
        gone: gone.into_iter().map(|(code, about)| Gone { code, subject: subject(about) }).collect(),
    })
}
