//! The exit codes: public interface, the same in every format.

use checks::diagnosis::{Diagnosis, Verdict};

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: nothing was found at or above the threshold, and every deciding question is settled.
    Clean,
    /// 1: something was found at or above the threshold.
    Findings,
    /// 2: the arguments, a configuration or an input file cannot be used; nothing was decided.
    Usage,
    /// 3: nothing was found, and a question that the verdict rests on is open.
    Undecided,
    /// 4: the cluster cannot be reached; nothing was decided.
    Unreachable,
    /// 5: a defect of this program; the rest of the report stands.
    Bug,
    /// 130: interrupted; the report holds what was seen until then.
    Interrupted,
}

impl Exit {
    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Findings => 1,
            Self::Usage => 2,
            Self::Undecided => 3,
            Self::Unreachable => 4,
            Self::Bug => 5,
            Self::Interrupted => 130,
        }
    }

    /// What a diagnosis comes to: findings before defects before open questions.
    pub(crate) fn of(diagnosis: &Diagnosis, allow_undecided: bool) -> Self {
        let panicked = diagnosis.checks.iter().any(|report| report.panic.is_some());
        match diagnosis.verdict {
            Verdict::Fail => Self::Findings,
            _ if panicked => Self::Bug,
            Verdict::Undecided if !allow_undecided => Self::Undecided,
            Verdict::Undecided | Verdict::Pass => Self::Clean,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis(verdict: Verdict, panicked: bool) -> Diagnosis {
        let mut diagnosis = crate::report::testing::pass().diagnosis;
        diagnosis.verdict = verdict;
        diagnosis.checks[0].panic = panicked.then(|| "index out of bounds".to_owned());
        diagnosis
    }

    #[test]
    fn precedence() {
        for (verdict, panicked, allow_undecided, code) in [
            (Verdict::Pass, false, false, 0),
            (Verdict::Pass, false, true, 0),
            (Verdict::Pass, true, false, 5),
            (Verdict::Fail, false, false, 1),
            (Verdict::Fail, true, false, 1),
            (Verdict::Fail, false, true, 1),
            (Verdict::Undecided, false, false, 3),
            (Verdict::Undecided, false, true, 0),
            (Verdict::Undecided, true, false, 5),
            (Verdict::Undecided, true, true, 5),
        ] {
            let exit = Exit::of(&diagnosis(verdict, panicked), allow_undecided);
            assert_eq!(exit.code(), code, "{verdict:?} {panicked} {allow_undecided}");
        }
    }
}
