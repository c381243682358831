//! The allow-list: which fields of which kind survive.
//!
//! A line of a kind names fields by their path; `{a,b}` stands for each of its parts. Arrays are looked through. After
//! the last name, `*` keeps a value whole whatever it contains, `=Kind` keeps what another entry declares, and `!rule`
//! sends it through a rule of its own; with none of these only a plain value (no object, no array) is kept, and an
//! array of plain values by `[]`. A field that stands in no line does not survive, so a field that Kubernetes adds
//! tomorrow does not either.
//!
//! Names of fields are those of the Kubernetes API reference
//! (<https://kubernetes.io/docs/reference/kubernetes-api/>); `Configz` is the kubelet's `/configz`
//! (`kubelet.config.k8s.io/v1beta1` below `kubeletconfig`).

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// The annotations that are kept: where metrics-server asks a node (its own `nodes` client reads it).
pub(super) const ANNOTATIONS: &[&str] = &["metrics.k8s.io/resource-metrics-path"];

/// What every kind with `ObjectMeta` keeps of it.
const META: &[&str] = &[
    "{kind,apiVersion}",
    "metadata.{name,namespace,uid,resourceVersion,generation,creationTimestamp,deletionTimestamp}",
    "metadata.ownerReferences.{kind,name,uid,controller}",
    "metadata.annotations!annotations",
];

/// A list's own fields.
const LIST: &[&str] = &["{kind,apiVersion}", "metadata.{resourceVersion,continue,remainingItemCount}"];

/// A kind that is not in [`KINDS`]: what it is, and nothing of what it holds.
const UNKNOWN: &[&str] = &["{kind,apiVersion}", "metadata.{name,namespace}"];

/// Pieces that several kinds share.
const PIECES: &[(&str, &[&str])] = &[
    (
        "PodSpec",
        &[
            "{nodeName,serviceAccountName,hostNetwork,automountServiceAccountToken,dnsPolicy,priorityClassName}",
            "{resources,tolerations,nodeSelector}*",
            "volumes.name",
            "volumes.configMap.name",
            "{containers,initContainers}=Container",
        ],
    ),
    (
        "Container",
        &[
            "{name,image,restartPolicy}",
            "command!command",
            "args!arguments",
            "env!environment",
            "{ports,resources}*",
            "volumeMounts.{name,mountPath}",
            "{startupProbe,readinessProbe,livenessProbe}=Probe",
        ],
    ),
    (
        "Probe",
        &[
            "{initialDelaySeconds,periodSeconds,timeoutSeconds,failureThreshold,successThreshold}",
            "{httpGet,tcpSocket}.{path,port,scheme,host}",
        ],
    ),
    ("PodTemplate", &["metadata.labels*", "metadata.annotations!annotations", "spec=PodSpec"]),
    ("ContainerStatus", &["{name,ready,started,restartCount,image}", "{state,lastState}=ContainerState"]),
    // The message of a terminated container may be the tail of its log, and a log is never kept.
    (
        "ContainerState",
        &[
            "waiting.{reason,message}",
            "running.startedAt",
            "terminated.{reason,exitCode,signal,startedAt,finishedAt}",
        ],
    ),
    (
        "Workload",
        &["metadata.labels*", "spec.replicas", "spec.selector*", "spec.template=PodTemplate", "status*"],
    ),
    ("Review", &["{kind,apiVersion}", "status*"]),
    ("Binding", &["{subjects,roleRef}*"]),
];

/// The kinds. Those marked `true` carry `ObjectMeta`.
const KINDS: &[(&str, bool, &[&str])] = &[
    (
        "APIService",
        true,
        &[
            "spec.{insecureSkipTLSVerify,caBundle,group,version,groupPriorityMinimum,versionPriority}",
            "spec.service.{namespace,name,port}",
            "status.conditions*",
        ],
    ),
    (
        "Service",
        true,
        &[
            "metadata.labels*",
            "spec.{type,clusterIP,externalName,publishNotReadyAddresses,internalTrafficPolicy}",
            "spec.clusterIPs[]",
            "spec.{selector,ports}*",
        ],
    ),
    (
        "EndpointSlice",
        true,
        &[
            "metadata.labels*",
            "addressType",
            "endpoints.{nodeName,hostname}",
            "endpoints.addresses[]",
            "endpoints.conditions*",
            "endpoints.targetRef.{kind,name,namespace}",
            "ports*",
        ],
    ),
    (
        "Endpoints",
        true,
        &[
            "subsets.{addresses,notReadyAddresses}.{ip,nodeName}",
            "subsets.{addresses,notReadyAddresses}.targetRef.{kind,name,namespace}",
            "subsets.ports*",
        ],
    ),
    (
        "Pod",
        true,
        &[
            "metadata.labels*",
            "spec=PodSpec",
            "status.{phase,podIP,hostIP,startTime,reason,message}",
            "status.podIPs.ip",
            "status.conditions*",
            "status.{containerStatuses,initContainerStatuses}=ContainerStatus",
        ],
    ),
    ("Deployment", true, &["=Workload"]),
    ("ReplicaSet", true, &["=Workload"]),
    ("StatefulSet", true, &["=Workload", "spec.serviceName"]),
    ("DaemonSet", true, &["=Workload"]),
    ("Scale", true, &["{spec,status}*"]),
    (
        "Node",
        true,
        &[
            "metadata.labels*",
            "spec.{podCIDR,providerID,unschedulable}",
            "spec.podCIDRs[]",
            "spec.taints*",
            "status.{addresses,conditions,daemonEndpoints,nodeInfo}*",
        ],
    ),
    ("ConfigMap", true, &["{data,binaryData}!configmap"]),
    (
        "CertificateSigningRequest",
        true,
        &[
            "spec.{signerName,username,request,expirationSeconds}",
            "spec.usages[]",
            "status.conditions*",
            "status.certificate",
        ],
    ),
    ("ClusterRoleBinding", true, &["=Binding"]),
    ("RoleBinding", true, &["=Binding"]),
    ("ClusterRole", true, &["rules*", "aggregationRule*"]),
    ("Role", true, &["rules*"]),
    ("HorizontalPodAutoscaler", true, &["{spec,status}*"]),
    ("Namespace", true, &["status.phase"]),
    ("LimitRange", true, &["spec*"]),
    ("ResourceQuota", true, &["{spec,status}.hard*", "status.used*"]),
    ("VerticalPodAutoscaler", true, &["spec.{targetRef,updatePolicy,resourcePolicy}*", "status.conditions*"]),
    // The metadata of triggers name the systems that are asked, and may hold their addresses.
    (
        "ScaledObject",
        true,
        &[
            "spec.{minReplicaCount,maxReplicaCount,idleReplicaCount}",
            "spec.scaleTargetRef*",
            "spec.triggers.{type,name,metricType}",
            "status.conditions*",
        ],
    ),
    ("Lease", true, &["spec.{holderIdentity,renewTime,leaseDurationSeconds}"]),
    (
        "Event",
        true,
        &["{reason,message,type,count,lastTimestamp,eventTime}", "involvedObject.{kind,name,namespace,uid}"],
    ),
    ("NodeMetrics", true, &["{timestamp,window}", "usage*"]),
    ("PodMetrics", true, &["{timestamp,window}", "containers.name", "containers.usage*"]),
    (
        "MetricValueList",
        false,
        &[
            "{kind,apiVersion}",
            "items.{metricName,timestamp,window,windowSeconds,value}",
            "items.describedObject.{kind,namespace,name,apiVersion}",
            "items.metric.name",
            "items.metric.selector*",
        ],
    ),
    (
        "ExternalMetricValueList",
        false,
        &[
            "{kind,apiVersion}",
            "items.{metricName,timestamp,window,windowSeconds,value}",
            "items.metricLabels*",
        ],
    ),
    ("NetworkPolicy", true, &["spec*"]),
    (
        "Configz",
        false,
        &[
            "kubeletconfig.{address,port,readOnlyPort,serverTLSBootstrap,rotateCertificates,tlsCertFile}",
            "kubeletconfig.{tlsPrivateKeyFile,cgroupDriver,clusterDomain,enableDebuggingHandlers}",
            "kubeletconfig.{authentication,authorization,featureGates}*",
        ],
    ),
    ("Version", false, &["{major,minor,gitVersion,gitCommit,buildDate,goVersion,compiler,platform}"]),
    ("APIVersions", false, &["{kind,apiVersion}", "versions[]"]),
    ("APIGroupList", false, &["{kind,apiVersion}", "groups.name", "groups.{versions,preferredVersion}*"]),
    ("APIGroup", false, &["{kind,apiVersion,name}", "{versions,preferredVersion}*"]),
    (
        "APIResourceList",
        false,
        &[
            "{kind,apiVersion,groupVersion}",
            "resources.{name,singularName,namespaced,kind,group,version}",
            "resources.{verbs,shortNames}[]",
        ],
    ),
    ("Status", false, &["{kind,apiVersion,status,message,reason,code}", "details*"]),
    (
        "SelfSubjectReview",
        false,
        &["{kind,apiVersion}", "status.userInfo.username", "status.userInfo.groups[]"],
    ),
    ("SelfSubjectAccessReview", false, &["=Review"]),
    ("SubjectAccessReview", false, &["=Review"]),
    ("SelfSubjectRulesReview", false, &["=Review"]),
];

/// What is kept of a field.
#[derive(Debug, Default)]
pub(super) struct Field {
    pub(super) rule: Rule,
}

/// How a value is kept.
#[derive(Debug, Default)]
pub(super) enum Rule {
    /// A plain value, no object and no array.
    #[default]
    Scalar,
    /// An array of plain values.
    Scalars,
    /// Whatever it is.
    Whole,
    /// These fields of it.
    Fields(BTreeMap<String, Field>),
    /// The command of a container.
    Command,
    /// The arguments of a container.
    Arguments,
    /// The environment of a container.
    Environment,
    /// The data of a `ConfigMap`.
    ConfigMap,
    /// Annotations, of which [`ANNOTATIONS`] are kept.
    Annotations,
}

static TREES: LazyLock<HashMap<&'static str, Field>> = LazyLock::new(|| {
    KINDS
        .iter()
        .map(|(kind, with_meta, lines)| {
            let meta = if *with_meta { META } else { &[] };
            (*kind, tree(&[meta, lines].concat()))
        })
        .collect()
});
static LISTS: LazyLock<Field> = LazyLock::new(|| tree(LIST));
static UNKNOWNS: LazyLock<Field> = LazyLock::new(|| tree(UNKNOWN));

/// What is declared for a kind.
pub(super) fn kind(name: &str) -> Option<&'static Field> {
    TREES.get(name)
}

/// What is declared for a list beside its items.
pub(super) fn list() -> &'static Field {
    &LISTS
}

/// What is kept of a kind that is not declared.
pub(super) fn unknown() -> &'static Field {
    &UNKNOWNS
}

/// The names of all declared kinds.
#[cfg(test)]
pub(super) fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(kind, _, _)| *kind)
}

fn tree(lines: &[&str]) -> Field {
    let mut root = Field { rule: Rule::Fields(BTreeMap::new()) };
    declare_lines(&mut root, lines);
    root
}

fn declare_lines(root: &mut Field, lines: &[&str]) {
    for line in lines {
        for path in expand(line) {
            let end = path.find(['*', '=', '!', '[']).unwrap_or(path.len());
            let (names, rule) = path.split_at(end);
            declare(root, names, rule);
        }
    }
}

fn declare(root: &mut Field, names: &str, rule: &str) {
    let mut field = root;
    for name in names.split('.').filter(|name| !name.is_empty()) {
        if !matches!(field.rule, Rule::Fields(_)) {
            field.rule = Rule::Fields(BTreeMap::new());
        }
        let Rule::Fields(fields) = &mut field.rule else { return };
        field = fields.entry(name.to_owned()).or_default();
    }
    match rule {
        "" => {}
        "*" => field.rule = Rule::Whole,
        "[]" => field.rule = Rule::Scalars,
        "!command" => field.rule = Rule::Command,
        "!arguments" => field.rule = Rule::Arguments,
        "!environment" => field.rule = Rule::Environment,
        "!configmap" => field.rule = Rule::ConfigMap,
        "!annotations" => field.rule = Rule::Annotations,
        piece => {
            let piece = piece.trim_start_matches('=');
            for (_, lines) in PIECES.iter().filter(|(name, _)| *name == piece) {
                declare_lines(field, lines);
            }
        }
    }
}

/// Replaces each `{a,b}` by each of its parts; braces do not nest.
fn expand(line: &str) -> Vec<String> {
    match line.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
        None => vec![line.to_owned()],
        Some((before, (choice, after))) => {
            choice.split(',').flat_map(|one| expand(&format!("{before}{one}{after}"))).collect()
        }
    }
}
