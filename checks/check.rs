//! What a check is, and the only way in which it reaches the evidence.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::evidence::{Document, Evidence, Host, Look, Mode, Need, Node, Obs, Place, RequestId, Why};

/// A check: metadata, its page, and two pure functions.
#[derive(Clone, Copy)]
pub struct Check {
    /// The code that users quote; it never changes its meaning and is never used again.
    pub code: &'static str,
    /// The name; it says the fault.
    pub name: &'static str,
    /// One sentence that states the fault as a fact.
    pub title: &'static str,
    /// The link of the chain.
    pub hop: Hop,
    /// What a failure weighs.
    pub severity: Severity,
    /// What kind of statement a failure is.
    pub kind: Kind,
    /// The modes in which the check applies.
    pub modes: &'static [Mode],
    /// The kinds of observation that it reads; a law compares them with what it read.
    pub needs: &'static [Need],
    /// The names of the checks whose failure a failure of this one can explain.
    pub explains: &'static [&'static str],
    /// Whether an open answer leaves the verdict undecided, and what else settles it.
    pub question: Question,
    /// The text of the check's own file; its leading comment is the check's page, and all that the registry keeps of it.
    pub source: &'static str,
    /// Looks at the evidence.
    pub run: fn(&Evidence, &mut Results<'_>),
    /// The cures for what was found, the first for production.
    pub remedies: fn(&Evidence, &[&Finding]) -> Vec<Remedy>,
}

impl Check {
    /// The check's page for its user: Markdown, from the leading comment of its file.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = String::new();
        for line in self.source.lines().map_while(|line| line.strip_prefix("//!")) {
            page.push_str(line.strip_prefix(' ').unwrap_or(line));
            page.push('\n');
        }
        page
    }

    /// Looks, and gives the result of every subject.
    #[must_use]
    pub fn run(&self, evidence: &Evidence) -> Outcomes {
        let mut results = Results { read: RefCell::default(), list: Vec::new(), evidence };
        (self.run)(evidence, &mut results);
        Outcomes { results: results.list, read: results.read.into_inner() }
    }
}

/// The links of the chain, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hop {
    /// The caller to kube-apiserver.
    Api,
    /// The APIService of the Metrics API.
    Registration,
    /// Its Service and EndpointSlices.
    Service,
    /// The pods of metrics-server.
    Workload,
    /// metrics-server to kube-apiserver.
    ApiAccess,
    /// metrics-server to the kubelets.
    Kubelet,
    /// kube-apiserver to metrics-server: its identity there.
    FrontProxy,
    /// What metrics-server may ask and callers may do.
    Authorization,
    /// The answers of the Metrics API.
    Metrics,
    /// The HorizontalPodAutoscalers.
    Hpa,
    /// Beneath the chain: the machines, looked at from within.
    Host,
}

impl Hop {
    /// All hops, in the order of the chain.
    pub const ALL: [Self; 11] = [
        Self::Api,
        Self::Registration,
        Self::Service,
        Self::Workload,
        Self::ApiAccess,
        Self::Kubelet,
        Self::FrontProxy,
        Self::Authorization,
        Self::Metrics,
        Self::Hpa,
        Self::Host,
    ];

    /// The name in the JSON document.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Registration => "registration",
            Self::Service => "service",
            Self::Workload => "workload",
            Self::ApiAccess => "api-access",
            Self::Kubelet => "kubelet",
            Self::FrontProxy => "front-proxy",
            Self::Authorization => "authorization",
            Self::Metrics => "metrics",
            Self::Hpa => "hpa",
            Self::Host => "host",
        }
    }

    /// What it is, for a person.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Api => "you → kube-apiserver",
            Self::Registration => "APIService",
            Self::Service => "Service and EndpointSlices",
            Self::Workload => "metrics-server pods",
            Self::ApiAccess => "metrics-server → kube-apiserver",
            Self::Kubelet => "metrics-server → kubelets",
            Self::FrontProxy => "kube-apiserver → metrics-server",
            Self::Authorization => "authorization",
            Self::Metrics => "Metrics API",
            Self::Hpa => "HorizontalPodAutoscalers",
            Self::Host => "machines beneath",
        }
    }
}

/// What a failure weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Works, but is unsafe or going to break.
    Warning,
    /// Broken now, or open to anyone on the network.
    Error,
}

/// What kind of statement a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something that can be cured: a root cause.
    Cause,
    /// Something dangerous that works; a root cause of the class `hazard`.
    Hazard,
    /// Something that another fault brings about; never a root cause.
    Symptom,
    /// The place of the fault is known and the cause is not: it gives way to any of these causes
    /// that is found at its place.
    Place(&'static [&'static str]),
}

/// Whether the verdict rests on a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// An open answer is listed and does not change the verdict.
    Listed,
    /// In these modes an open answer leaves the verdict undecided, unless one of the proofs holds.
    Deciding {
        /// The modes whose verdict rests on it.
        modes: &'static [Mode],
        /// What settles it otherwise.
        unless: &'static [Proof],
    },
}

/// A proof further down the chain that settles questions above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// Fresh metrics of the subject, a node, or of every Ready node when the subject is no node.
    FreshNodeMetrics,
    /// The Metrics API answered discovery for a caller who is not in `system:masters`.
    MetricsApiAnswers,
}

/// What a result is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
pub struct Subject {
    /// The kind, such as `Node`, `APIService`, `Cluster`.
    pub kind: String,
    /// The namespace; empty for what has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Subject {
    /// A subject without a namespace.
    pub fn cluster_scoped(kind: &str, name: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), namespace: String::new(), name: name.into() }
    }

    /// A subject in a namespace.
    pub fn namespaced(kind: &str, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), namespace: namespace.into(), name: name.into() }
    }

    /// The whole cluster.
    #[must_use]
    pub fn cluster() -> Self {
        Self::cluster_scoped("Cluster", "cluster")
    }

    /// A machine: the Node that it is, or else its own name.
    #[must_use]
    pub fn host(host: &Host) -> Self {
        match &host.node {
            Some(node) => Self::node(node),
            None => Self::cluster_scoped("Host", &host.name),
        }
    }

    /// A node.
    pub fn node(name: impl Into<String>) -> Self {
        Self::cluster_scoped("Node", name)
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.kind.as_str(), self.namespace.as_str()) {
            ("Cluster", _) => f.write_str("cluster"),
            (kind, "") => write!(f, "{kind} {}", self.name),
            (kind, namespace) => write!(f, "{kind} {namespace}/{}", self.name),
        }
    }
}

/// The result for one subject.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Looked at, and fine.
    Pass,
    /// The fault is there.
    Fail(Box<Finding>),
    /// It could not be decided.
    Undecided(Undecided),
    /// The question does not arise, and why.
    NotApplicable(String),
}

/// What was missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// The observation that would decide it.
    pub need: Need,
    /// Why it is not there.
    pub why: Why,
}

/// A fault of one subject, with its proof.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What it is about.
    pub subject: Subject,
    /// One sentence with the facts of this subject.
    pub detail: String,
    /// The proof.
    pub citations: Vec<Citation>,
    /// Whether the proof leaves room for another cause.
    pub certainty: Certainty,
    /// For a place: the causes that are possible; for a likely cause: the others.
    pub candidates: Vec<&'static str>,
    /// The command that decides between the candidates.
    pub decide: Option<Step>,
    /// For a symptom: every one of these needs an explanation before the symptom has one.
    pub over: Vec<Subject>,
    /// The machines whose own faults could bring it about, as nodes or hosts; empty where that cannot be said.
    pub at: Vec<Subject>,
    /// Facts for the remedies: named, with units in the name.
    pub facts: BTreeMap<&'static str, String>,
    /// The changes of manifests that would cure it, all of them together; empty where they are not certain.
    pub edits: Vec<Edit>,
}

impl Finding {
    /// A certain finding without proof yet; a law demands at least one citation.
    pub fn new(subject: Subject, detail: impl Into<String>) -> Self {
        Self {
            subject,
            detail: detail.into(),
            citations: Vec::new(),
            certainty: Certainty::Certain,
            candidates: Vec::new(),
            decide: None,
            over: Vec::new(),
            at: Vec::new(),
            facts: BTreeMap::new(),
            edits: Vec::new(),
        }
    }

    /// Adds a change of a manifest that is part of the cure: what the field is to hold, or nothing where it is to go.
    #[must_use]
    pub fn change(mut self, document: &Document, pointer: impl Into<String>, value: Option<Value>) -> Self {
        self.edits.push(Edit { document: document.place.clone(), pointer: pointer.into(), value });
        self
    }

    /// Adds a proof: the field `path` of what `obs` was read from holds `value`.
    #[must_use]
    pub fn cite<T>(
        mut self,
        obs: &Obs<T>,
        path: impl Into<String>,
        value: impl Into<String>,
        expected: &str,
    ) -> Self {
        self.citations.push(Citation {
            request: obs.from.last().copied(),
            path: path.into(),
            value: value.into(),
            expected: expected.to_owned(),
            place: None,
        });
        self
    }

    /// Adds a proof out of a manifest: the field at the JSON pointer holds `value`.
    #[must_use]
    pub fn cite_manifest(
        mut self,
        document: &Document,
        pointer: &str,
        value: impl Into<String>,
        expected: &str,
    ) -> Self {
        self.citations.push(Citation {
            request: None,
            path: pointer.trim_start_matches('/').replace('/', "."),
            value: value.into(),
            expected: expected.to_owned(),
            place: Some(document.place_of(pointer).clone()),
        });
        self
    }

    /// Marks the finding as likely, with what else it could be.
    #[must_use]
    pub fn likely(mut self, others: &[&'static str]) -> Self {
        self.certainty = Certainty::Likely;
        self.candidates.extend(others);
        self
    }

    /// The command that tells the candidates apart.
    #[must_use]
    pub fn decided_by(mut self, step: Step) -> Self {
        self.decide = Some(step);
        self
    }

    /// A named fact for the remedies.
    #[must_use]
    pub fn fact(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.facts.insert(name, value.into());
        self
    }

    /// The machines whose own faults could bring it about.
    #[must_use]
    pub fn at(mut self, machines: impl IntoIterator<Item = Subject>) -> Self {
        self.at.extend(machines);
        self
    }

    /// What else needs an explanation before this symptom has one.
    #[must_use]
    pub fn over(mut self, subjects: impl IntoIterator<Item = Subject>) -> Self {
        self.over.extend(subjects);
        self
    }
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// The evidence leaves room for other causes.
    Likely,
    /// The evidence proves it.
    Certain,
}

/// A place in an answer that proves something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Citation {
    /// The request whose answer it is; `None` only for what no request can show.
    pub request: Option<RequestId>,
    /// The field, log line or property of a certificate.
    pub path: String,
    /// What it held.
    pub value: String,
    /// What it should have held.
    pub expected: String,
    /// Where it stands in a manifest.
    pub place: Option<Place>,
}

/// A change of one field of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edit {
    /// Where the document begins.
    pub document: Place,
    /// The field, as a JSON pointer; what lacks on the way to it is to be added.
    pub pointer: String,
    /// What it is to hold; nothing where it is to go.
    pub value: Option<Value>,
}

/// One way to cure what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// What it does.
    pub title: String,
    /// Whom it is for.
    pub audience: Audience,
    /// What it costs; empty when it costs nothing.
    pub cost: String,
    /// Names of checks that will still warn afterwards, as the cost says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leaves: Vec<&'static str>,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// Whom a remedy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// What a production cluster should do.
    Production,
    /// What a lab may do.
    Lab,
}

/// One step of a remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Where it runs: `workstation`, `node NAME`, `every node`, `every control-plane host`.
    pub run_on: String,
    /// A script for `sh`; empty for a step that a person has to do.
    pub command: String,
    /// What a person has to do where no command can; empty otherwise.
    pub manual: String,
    /// A command that succeeds once the step has worked, and fails before; empty when the next step shows it.
    pub verify: String,
}

impl Step {
    /// A script to run on a host.
    pub fn run(run_on: impl Into<String>, command: impl Into<String>) -> Self {
        Self { run_on: run_on.into(), command: command.into(), manual: String::new(), verify: String::new() }
    }

    /// Something that a person has to do.
    pub fn manual(run_on: impl Into<String>, what: impl Into<String>) -> Self {
        Self { run_on: run_on.into(), command: String::new(), manual: what.into(), verify: String::new() }
    }

    /// How to see that it worked: a command for `sh` that fails while the fault is there.
    #[must_use]
    pub fn verify(mut self, command: impl Into<String>) -> Self {
        self.verify = command.into();
        self
    }
}

/// The results of a check and what it read.
#[derive(Clone, Debug)]
pub struct Outcomes {
    /// One result a subject.
    pub results: Vec<(Subject, Outcome)>,
    /// The kinds of observation that were read.
    pub read: BTreeSet<Need>,
}

/// Collects the results of one check.
pub struct Results<'e> {
    read: RefCell<BTreeSet<Need>>,
    list: Vec<(Subject, Outcome)>,
    evidence: &'e Evidence,
}

/// What a check decides about a subject: a result, or what was missing.
pub type Decision = Result<Outcome, Undecided>;

/// The only way to the value of an observation.
pub struct Context<'r> {
    read: &'r RefCell<BTreeSet<Need>>,
}

impl Context<'_> {
    /// The value, or "undecided" with the reason.
    ///
    /// # Errors
    ///
    /// When the value was not seen.
    pub fn need<'o, T>(&self, obs: &'o Obs<T>) -> Result<&'o T, Undecided> {
        self.read.borrow_mut().insert(obs.need);
        match &obs.look {
            Look::Seen(value) => Ok(value),
            Look::Unseen(why) => Err(Undecided { need: obs.need, why: why.clone() }),
        }
    }
}

impl Results<'_> {
    /// Decides about one subject.
    pub fn about(&mut self, subject: Subject, decide: impl FnOnce(&Context<'_>) -> Decision) {
        let outcome = decide(&Context { read: &self.read }).unwrap_or_else(Outcome::Undecided);
        self.list.push((subject, outcome));
    }

    /// Decides about the cluster as a whole.
    pub fn about_cluster(&mut self, decide: impl FnOnce(&Context<'_>) -> Decision) {
        self.about(Subject::cluster(), decide);
    }

    /// Decides about every node; when the nodes were not seen, the cluster's result is undecided.
    pub fn about_nodes(&mut self, decide: impl Fn(&Context<'_>, &Node, Subject) -> Decision) {
        let evidence = self.evidence;
        self.each(&evidence.nodes, |node| Subject::node(&node.name), decide);
    }

    /// Decides about every machine that was looked at; where none was, the cluster's result is undecided.
    ///
    /// The subject is the Node that the machine is, or the machine by its own name.
    pub fn about_hosts(&mut self, need: Need, decide: impl Fn(&Context<'_>, &Host, Subject) -> Decision) {
        let evidence = self.evidence;
        if evidence.hosts.is_empty() {
            self.read.borrow_mut().insert(need);
            let why = Why::NotAsked("no machine was looked at from within (`host`)".to_owned());
            self.list.push((Subject::cluster(), Outcome::Undecided(Undecided { need, why })));
        }
        for host in &evidence.hosts {
            let subject = Subject::host(host);
            self.about(subject.clone(), |ctx| decide(ctx, host, subject));
        }
    }

    /// Decides about every item of a list that may not have been seen.
    pub fn each<T>(
        &mut self,
        list: &Obs<Vec<T>>,
        subject: impl Fn(&T) -> Subject,
        decide: impl Fn(&Context<'_>, &T, Subject) -> Decision,
    ) {
        self.read.borrow_mut().insert(list.need);
        match &list.look {
            Look::Unseen(why) => {
                let missing = Undecided { need: list.need, why: why.clone() };
                self.list.push((Subject::cluster(), Outcome::Undecided(missing)));
            }
            Look::Seen(items) => {
                for item in items {
                    let subject = subject(item);
                    self.about(subject.clone(), |ctx| decide(ctx, item, subject));
                }
            }
        }
    }
}

/// Shorthand for [`Outcome::Fail`].
#[must_use]
pub fn fail(finding: Finding) -> Outcome {
    Outcome::Fail(Box::new(finding))
}

/// Shorthand for [`Outcome::NotApplicable`].
pub fn not_applicable(why: impl Into<String>) -> Outcome {
    Outcome::NotApplicable(why.into())
}

/// For checks whose failures have no cure of their own: symptoms and places.
#[must_use]
pub fn no_remedies(_: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    Vec::new()
}
