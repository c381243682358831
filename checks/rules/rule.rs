//! A rule that is ready to look, and what a file has to say for it.

use std::collections::BTreeSet;

use serde_saphyr::Spanned;

use super::compile::{Compiled, compile};
use super::expr::Expr;
use super::file::{self, Each};
use super::page;
use super::problem::Problem;
use super::schema::{Field, Object, Shape};
use super::types::Type;
use super::view::{BACKEND, EVIDENCE, FRONT_PROXY, GATE};
use crate::check::{Audience, Check, Finding, Hop, Kind, Question, Remedy, Severity, Step, no_remedies};
use crate::diagnosis::CheckRef;
use crate::evidence::{Mode, Need};
use crate::registry::CHECKS;
use crate::support::word;

/// How many subjects the steps of a cure are written out for.
const MOST_SUBJECTS: usize = 20;
const LONGEST_TITLE: usize = 200;
const LONGEST_PAGE: usize = 20_000;
/// Where a rule applies that does not say so. A gate looks at little of the cluster, so it has to be named.
const MODES: &[Mode] = &[Mode::Installed, Mode::BeforeInstall];
const ALL_MODES: &[Mode] = &[Mode::Installed, Mode::BeforeInstall, Mode::Gate];

/// A rule that is ready to look.
#[derive(Clone)]
pub struct Rule {
    pub(super) check: CheckRef,
    pub(super) each: Each,
    pub(super) when: Option<(Expr, String)>,
    /// The condition, and the result of it that is a failure.
    pub(super) condition: (Expr, bool),
    pub(super) detail: Option<Expr>,
    pub(super) expected: String,
    remedies: Vec<Remedy>,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rule({})", self.check.code)
    }
}

impl Rule {
    /// What a diagnosis says of the rule: its code, its name, its page.
    #[must_use]
    pub fn check(&self) -> CheckRef {
        self.check
    }

    /// The cures, with the names of what has the fault filled in.
    #[must_use]
    pub fn remedies(&self, findings: &[Finding]) -> Vec<Remedy> {
        let mut remedies = self.remedies.clone();
        for remedy in &mut remedies {
            remedy.steps = remedy.steps.iter().flat_map(|step| filled(step, findings)).collect();
        }
        remedies
    }
}

/// A step for each subject where it names one; otherwise the step itself.
fn filled(step: &Step, findings: &[Finding]) -> Vec<Step> {
    let texts = [&step.run_on, &step.command, &step.manual, &step.verify];
    if !texts.iter().any(|text| text.contains("{name}") || text.contains("{namespace}")) {
        return vec![step.clone()];
    }
    let fill = |text: &str, finding: &Finding, quote: fn(&str) -> String| {
        // One pass, so that a name that looks like a placeholder stays a name.
        text.split("{namespace}")
            .map(|part| part.split("{name}").collect::<Vec<_>>().join(&quote(&finding.subject.name)))
            .collect::<Vec<_>>()
            .join(&quote(&finding.subject.namespace))
    };
    findings
        .iter()
        .take(MOST_SUBJECTS)
        .map(|finding| Step {
            run_on: fill(&step.run_on, finding, str::to_owned),
            command: fill(&step.command, finding, word),
            manual: fill(&step.manual, finding, str::to_owned),
            verify: fill(&step.verify, finding, word),
        })
        .collect()
}

impl Each {
    /// The fields that lead to the list, the variable, the kind of subject and the object; nothing for the cluster.
    pub(super) fn list(self) -> Option<List> {
        let (above, field, variable, kind): (Option<&'static str>, _, _, _) = match self {
            Self::Cluster => return None,
            Self::Nodes => (None, EVIDENCE.field("nodes"), "node", "Node"),
            Self::Hpas => (None, EVIDENCE.field("hpas"), "hpa", "HorizontalPodAutoscaler"),
            Self::Pods => (Some("backend"), BACKEND.field("pods"), "pod", "Pod"),
            Self::Endpoints => (Some("backend"), BACKEND.field("endpoints"), "endpoint", "Endpoint"),
            Self::AnonymousBindings => {
                (Some("front_proxy"), FRONT_PROXY.field("anonymous_bindings"), "binding", "Binding")
            }
            Self::Plans => (Some("gate"), GATE.field("plans"), "plan", "HorizontalPodAutoscaler"),
        };
        let field = field?;
        let (need, object) = match &field.shape {
            Shape::Seen(need, Shape::List(Shape::Object(object))) => (*need, *object),
            Shape::List(Shape::Object(object)) => (Need::Manifests, *object),
            _ => return None,
        };
        Some(List { above, field, variable, kind, object, need })
    }

    fn hop(self) -> Hop {
        match self {
            Self::Cluster => Hop::Api,
            Self::Nodes => Hop::Kubelet,
            Self::Pods => Hop::Workload,
            Self::Endpoints => Hop::Service,
            Self::Hpas | Self::Plans => Hop::Hpa,
            Self::AnonymousBindings => Hop::Authorization,
        }
    }
}

/// A list whose items are looked at one by one.
pub(super) struct List {
    pub(super) above: Option<&'static str>,
    pub(super) field: &'static Field,
    pub(super) variable: &'static str,
    pub(super) kind: &'static str,
    pub(super) object: &'static Object,
    pub(super) need: Need,
}

/// A file while its rules are read.
pub(super) struct Reader<'f> {
    pub(super) name: &'f str,
    pub(super) text: &'f str,
    pub(super) problems: Vec<Problem>,
}

impl Reader<'_> {
    pub(super) fn complain<T>(&mut self, value: &Spanned<T>, message: impl Into<String>) {
        self.problems.push(Problem::of(self.name, self.text, value, message));
    }

    fn compile(&mut self, value: &Spanned<String>, each: Each, wanted: &Type) -> Option<Compiled> {
        let subject = each.list().map(|list| (list.variable, list.object));
        match compile(&value.value, subject, wanted) {
            Ok(compiled) => Some(compiled),
            Err(wrong) => {
                let problem =
                    Problem::within(self.name, self.text, value, &wrong.at, wrong.message).hint(wrong.hint);
                self.problems.push(problem);
                None
            }
        }
    }

    /// A rule that is ready to look; nothing when it cannot be used, and the problems say why.
    pub(super) fn rule(&mut self, rule: &file::Rule) -> Option<Rule> {
        let before = self.problems.len();
        self.metadata(rule);
        let each = rule.for_each.unwrap_or(Each::Cluster);
        let mut needs: BTreeSet<Need> = each.list().map(|list| list.need).into_iter().collect();
        let mut compiled = |reader: &mut Self, value: &Spanned<String>, wanted: &Type| {
            let compiled = reader.compile(value, each, wanted)?;
            needs.extend(&compiled.needs);
            Some(compiled.expr)
        };
        let when = rule.when.as_ref().map(|when| (compiled(self, when, &Type::Bool), when.value.clone()));
        let condition = match (&rule.fails, &rule.pass) {
            (Some(fails), None) => compiled(self, fails, &Type::Bool).map(|expr| (expr, true)),
            (None, Some(pass)) => compiled(self, pass, &Type::Bool).map(|expr| (expr, false)),
            _ => {
                self.complain(&rule.code, "a rule has either `fails` or `pass`: a condition in CEL");
                None
            }
        };
        let detail = rule.detail.as_ref().map(|detail| compiled(self, detail, &Type::Text));
        let remedies = self.remedies(rule);
        if self.problems.len() > before {
            return None;
        }
        let check = CheckRef(leak(check(rule, each, &needs)));
        Some(Rule {
            check,
            each,
            when: when.and_then(|(expr, text)| Some((expr?, text))),
            condition: condition?,
            detail: detail.flatten(),
            expected: rule.expected.clone().unwrap_or_else(|| rule.title.value.clone()),
            remedies,
        })
    }

    fn metadata(&mut self, rule: &file::Rule) {
        if !is_code(&rule.code.value) {
            let message = "a code is of the shape ORG-123: capitals and digits, a dash, capitals and digits; codes that begin \
                           with MP are those of the program";
            self.complain(&rule.code, message);
        }
        if !is_name(&rule.name.value) {
            self.complain(
                &rule.name,
                "a name is words of small letters and digits with dashes, at most 60 characters",
            );
        } else if CHECKS.iter().any(|check| check.name == rule.name.value) {
            self.complain(&rule.name, format!("`{}` is the name of a check of the program", rule.name.value));
        }
        let title = &rule.title.value;
        if title.trim().is_empty() || title.len() > LONGEST_TITLE || title.contains('\n') {
            self.complain(&rule.title, format!("a title is one sentence of at most {LONGEST_TITLE} bytes"));
        }
        if rule.page.as_ref().is_some_and(|page| page.len() > LONGEST_PAGE) {
            self.complain(&rule.code, format!("its page has more than {LONGEST_PAGE} bytes"));
        }
        if rule.expected.as_ref().is_some_and(|expected| expected.len() > LONGEST_TITLE) {
            self.complain(&rule.code, format!("`expected` has more than {LONGEST_TITLE} bytes"));
        }
        if let Some(modes) = rule.modes.as_ref().filter(|modes| modes.value.is_empty()) {
            self.complain(modes, "a rule without modes never applies");
        }
    }

    fn remedies(&mut self, rule: &file::Rule) -> Vec<Remedy> {
        for remedy in &rule.remedies {
            let size = remedy.steps.iter().map(|step| step.command.len() + step.manual.len()).sum::<usize>();
            if rule.remedies.len() > 5 || remedy.steps.len() > 20 || size > LONGEST_PAGE {
                self.complain(&rule.code, "a rule has at most 5 remedies, each of at most 20 steps");
            }
            if remedy.steps.iter().any(|step| step.command.is_empty() == step.manual.is_empty()) {
                self.complain(&rule.code, "a step of a remedy has either `command` or `manual`");
            }
        }
        let step = |step: &file::Step| Step {
            run_on: step.run_on.clone(),
            command: step.command.trim_end().to_owned(),
            manual: step.manual.trim_end().to_owned(),
            verify: step.verify.trim_end().to_owned(),
        };
        let remedy = |remedy: &file::Remedy| Remedy {
            title: remedy.title.clone(),
            audience: match remedy.audience {
                Some(file::Audience::Lab) => Audience::Lab,
                Some(file::Audience::Production) | None => Audience::Production,
            },
            cost: remedy.cost.clone(),
            leaves: Vec::new(),
            steps: remedy.steps.iter().map(step).collect(),
        };
        rule.remedies.iter().map(remedy).collect()
    }
}

/// The metadata of a check live as long as the program. Rules are loaded once, and their number and size are bounded, so
/// theirs may do so as well.
fn leak(check: Check) -> &'static Check {
    Box::leak(Box::new(check))
}

fn text(text: &str) -> &'static str {
    text.to_owned().leak()
}

fn check(rule: &file::Rule, each: Each, needs: &BTreeSet<Need>) -> Check {
    let severity = match rule.severity {
        file::Severity::Error => Severity::Error,
        file::Severity::Warning => Severity::Warning,
        file::Severity::Info => Severity::Info,
    };
    let modes = match &rule.modes {
        None => MODES,
        Some(modes) => {
            let chosen = |mode: &&Mode| match mode {
                Mode::Installed => modes.value.contains(&file::Mode::Check),
                Mode::BeforeInstall => modes.value.contains(&file::Mode::BeforeInstall),
                Mode::Gate => modes.value.contains(&file::Mode::Gate),
                // What a machine is, is not in the view of rules yet.
                Mode::Host => false,
            };
            ALL_MODES.iter().filter(chosen).copied().collect::<Vec<_>>().leak()
        }
    };
    let deciding = rule.deciding.unwrap_or(severity == Severity::Error);
    Check {
        code: text(&rule.code.value),
        name: text(&rule.name.value),
        title: text(rule.title.value.trim()),
        hop: rule.hop.map_or(each.hop(), hop),
        severity,
        kind: match rule.class {
            Some(file::Class::Hazard) => Kind::Hazard,
            Some(file::Class::Fault) | None => Kind::Cause,
        },
        modes,
        needs: needs.iter().copied().collect::<Vec<_>>().leak(),
        explains: &[],
        // No proof further down the chain settles what somebody else asks.
        question: Question::Deciding { modes: if deciding { modes } else { &[] }, unless: &[] },
        source: text(&page::source(rule, needs)),
        run: |_, _| {},
        remedies: no_remedies,
    }
}

fn hop(hop: file::Hop) -> Hop {
    match hop {
        file::Hop::Api => Hop::Api,
        file::Hop::Registration => Hop::Registration,
        file::Hop::Service => Hop::Service,
        file::Hop::Workload => Hop::Workload,
        file::Hop::ApiAccess => Hop::ApiAccess,
        file::Hop::Kubelet => Hop::Kubelet,
        file::Hop::FrontProxy => Hop::FrontProxy,
        file::Hop::Authorization => Hop::Authorization,
        file::Hop::Metrics => Hop::Metrics,
        file::Hop::Hpa => Hop::Hpa,
    }
}

/// Whether it is a code, and can never be one of the program's.
fn is_code(code: &str) -> bool {
    let sound = |part: &str| {
        (1..=16).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    code.split_once('-').is_some_and(|(organisation, number)| {
        sound(organisation)
            && sound(number)
            && organisation.starts_with(|first: char| first.is_ascii_uppercase())
            && organisation != "MP"
    })
}

fn is_name(name: &str) -> bool {
    let sound = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    name.len() <= 60
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.split('-').all(sound)
}
