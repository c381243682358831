//! What a scenario is, and what is expected of a look at it.

/// A fault, and what must be seen of it.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name; recordings carry it.
    pub name: &'static str,
    /// The fault in one sentence.
    pub about: &'static str,
    /// Whether CI runs it on the real cluster.
    pub core: bool,
    /// The looks, each of which is recorded.
    pub looks: &'static [Look],
    /// The printed cure that is run afterwards.
    pub cure: Cure,
}

/// One look at the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// What the recording's name ends with.
    pub name: &'static str,
    /// The question.
    pub mode: Mode,
    /// From where: in the nodes' network, or from a place that reaches the API server alone.
    pub api_only: bool,
    /// As whom: `admin`, `masters`, `edit` (in one namespace) or `nobody` (no rights at all).
    pub user: &'static str,
    /// The machines that `host` looks at first; the look joins what they saw of themselves.
    pub machines: &'static [&'static str],
    /// The host of the kube-apiserver that the kubeconfig names.
    pub through: &'static str,
    /// The arguments of `probe`, which looks instead of `check`.
    pub probe: Option<&'static [&'static str]>,
    /// What must come of it.
    pub expect: Expect,
}

/// The question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `check`.
    Installed,
    /// `check --before-install`.
    BeforeInstall,
}

/// What must come of a look: exactly these root causes, and this exit code.
#[derive(Clone, Copy, Debug)]
pub struct Expect {
    /// The exit code.
    pub exit: i32,
    /// The root causes by name, in any order; nothing else may be named.
    pub roots: &'static [&'static str],
    /// The subjects of the first root cause, where they matter, as `Kind name`.
    pub subjects: &'static [&'static str],
    /// Candidates that the root causes must leave room for.
    pub candidates: &'static [&'static str],
    /// Checks that must be undecided.
    pub undecided: &'static [&'static str],
    /// Symptoms that must stay unexplained; others may not.
    pub unexplained: &'static [&'static str],
}

/// Nothing was found and nothing is open.
pub const CLEAN: Expect =
    Expect { exit: 0, roots: &[], subjects: &[], candidates: &[], undecided: &[], unexplained: &[] };

impl Expect {
    /// Findings at the threshold: these root causes.
    #[must_use]
    pub const fn roots(roots: &'static [&'static str]) -> Self {
        Self { exit: 1, roots, ..CLEAN }
    }

    /// Nothing at the threshold, and a question that the verdict rests on is open.
    #[must_use]
    pub const fn open(undecided: &'static [&'static str]) -> Self {
        Self { exit: 3, undecided, ..CLEAN }
    }

    /// With this exit code.
    #[must_use]
    pub const fn exit(mut self, exit: i32) -> Self {
        self.exit = exit;
        self
    }

    /// On these subjects.
    #[must_use]
    pub const fn on(mut self, subjects: &'static [&'static str]) -> Self {
        self.subjects = subjects;
        self
    }

    /// With these candidates.
    #[must_use]
    pub const fn candidates(mut self, candidates: &'static [&'static str]) -> Self {
        self.candidates = candidates;
        self
    }

    /// With these checks undecided.
    #[must_use]
    pub const fn undecided(mut self, undecided: &'static [&'static str]) -> Self {
        self.undecided = undecided;
        self
    }

    /// With these symptoms unexplained.
    #[must_use]
    pub const fn unexplained(mut self, unexplained: &'static [&'static str]) -> Self {
        self.unexplained = unexplained;
        self
    }
}

/// The printed cure that is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cure {
    /// There is none to run.
    None,
    /// The first remedy for production of every root cause.
    Production,
    /// The first remedy for production of every root cause, which only a person can follow: the runner does for it what
    /// that person would do.
    ByHand,
    /// The remedy for a lab of every root cause; what it says it leaves may stay.
    Lab,
}
