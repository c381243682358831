//! Why a run decided nothing: what failed, in which context, and what to do about it.

use crate::exit::Exit;
use crate::report::json;
use crate::ui::Ui;

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The arguments cannot be used.
    Usage,
    /// The kubeconfig or what it names cannot be used.
    Configuration,
    /// A file that was to be read cannot be used.
    Input,
    /// The cluster cannot be reached.
    Unreachable,
    /// No pod could look from metrics-server's place.
    Probe,
    /// The user stopped it before anything was seen.
    Interrupted,
    /// The result cannot be written.
    Output,
    /// A defect of this program.
    Bug,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Configuration => "configuration",
            Self::Input => "input",
            Self::Unreachable => "unreachable",
            Self::Probe => "probe",
            Self::Interrupted => "interrupted",
            Self::Output => "output",
            Self::Bug => "bug",
        }
    }

    fn exit(self) -> Exit {
        match self {
            Self::Usage | Self::Configuration | Self::Input | Self::Output => Exit::Usage,
            Self::Unreachable => Exit::Unreachable,
            Self::Probe => Exit::Undecided,
            Self::Interrupted => Exit::Interrupted,
            Self::Bug => Exit::Bug,
        }
    }
}

/// A failure for its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    message: String,
    context: Vec<String>,
    hints: Vec<String>,
}

impl Failure {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), context: Vec::new(), hints: Vec::new() }
    }

    /// A failure from a sentence whose last part, after a semicolon, is the advice.
    pub(super) fn from_sentence(kind: Kind, sentence: &str) -> Self {
        match sentence.rsplit_once("; ") {
            Some((message, hint)) => {
                let mut letters = hint.chars();
                let first =
                    letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
                Self::new(kind, message).hint(format!("{first}{}.", letters.as_str().trim_end_matches('.')))
            }
            None => Self::new(kind, sentence),
        }
    }

    /// Arguments that cannot be used, in the first sentence of what is said about them.
    pub(super) fn of_arguments(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let first = text.split("\n\n").next().unwrap_or_default();
        let words: Vec<&str> = first.strip_prefix("error: ").unwrap_or(first).split_whitespace().collect();
        Self::new(Kind::Usage, words.join(" "))
            .hint("`metrics-preflight check --help` tells of every argument.")
    }

    /// What the run comes to.
    pub(super) fn exit(&self) -> Exit {
        self.kind.exit()
    }

    /// Adds a fact.
    pub(super) fn context(mut self, context: impl Into<String>) -> Self {
        self.context.push(context.into());
        self
    }

    /// Adds an advice.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Tells of it on standard error, and gives the exit code.
    pub(super) fn tell(&self, ui: Ui) -> Exit {
        ui.error(&self.message, &self.context, &self.hints);
        self.kind.exit()
    }

    /// The `error` of a JSON document.
    pub(super) fn as_json(&self) -> json::Error {
        let mut message = self.message.clone();
        for context in &self.context {
            message.push_str("; ");
            message.push_str(context);
        }
        let hint = (!self.hints.is_empty()).then(|| self.hints.join(" "));
        json::Error { kind: self.kind.name(), message, hint }
    }
}

/// Standard output cannot be written to.
pub(super) fn no_output(error: &std::io::Error) -> Failure {
    Failure::new(Kind::Output, "cannot write to standard output").context(error.to_string())
}
