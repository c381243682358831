//! What RBAC grants an identity, as its authorizer in kube-apiserver reads roles and bindings.
//!
//! It only proves that something is allowed. Where no role allows it, another authorizer may, so that nothing is known
//! then (Kubernetes `plugin/pkg/auth/authorizer/rbac/rbac.go`, `pkg/apis/rbac/v1/evaluation_helpers.go` and
//! `pkg/registry/rbac/validation/rule.go`).

use serde_json::Value;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The user name.
    pub name: &'a str,
    /// The groups.
    pub groups: &'a [&'a str],
}

/// What is asked of a resource in a namespace.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The verb.
    pub verb: &'a str,
    /// The API group, empty for the core.
    pub group: &'a str,
    /// The resource.
    pub resource: &'a str,
    /// The subresource; empty for none.
    pub subresource: &'a str,
    /// The name of the object; empty for a request about no single one.
    pub name: &'a str,
}

/// A `ClusterRole` or a `Role`; what the former aggregates stands among its rules already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    name: String,
    rules: Vec<Rule>,
}

/// A rule about resources. One about paths that are no resources grants none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    verbs: Vec<String>,
    groups: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
}

/// A `ClusterRoleBinding` or a `RoleBinding`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    name: String,
    namespace: String,
    role_kind: String,
    role: String,
    /// Kind, namespace and name.
    subjects: Vec<(String, String, String)>,
}

/// The roles and bindings that count in one namespace, as far as they were seen.
#[derive(Clone, Copy, Debug)]
pub struct Rbac<'a> {
    /// The `ClusterRoles`.
    pub cluster_roles: &'a [Role],
    /// The `ClusterRoleBindings`.
    pub cluster_bindings: &'a [Binding],
    /// The `Roles` of the namespace.
    pub roles: &'a [Role],
    /// The `RoleBindings` of the namespace.
    pub bindings: &'a [Binding],
}

impl Rbac<'_> {
    /// The binding that allows it; nothing where none does.
    #[must_use]
    pub fn allows(&self, caller: Caller<'_>, asked: Asked<'_>) -> Option<String> {
        let clusterwide = self.cluster_bindings.iter().filter(|binding| binding.role_kind == "ClusterRole");
        let all = clusterwide
            .map(|binding| ("ClusterRoleBinding", binding))
            .chain(self.bindings.iter().map(|binding| ("RoleBinding", binding)));
        let mut all = all.filter(|(_, binding)| binding.is_of(caller));
        all.find(|(_, binding)| self.role(binding).is_some_and(|role| role.allows(asked))).map(
            |(kind, binding)| format!("{kind} {} of {} {}", binding.name, binding.role_kind, binding.role),
        )
    }

    fn role(&self, binding: &Binding) -> Option<&Role> {
        let roles = match binding.role_kind.as_str() {
            "ClusterRole" => self.cluster_roles,
            "Role" => self.roles,
            _ => return None,
        };
        roles.iter().find(|role| role.name == binding.role)
    }
}

impl Role {
    /// Reads a `ClusterRole` or a `Role`.
    #[must_use]
    pub fn read(object: &Value) -> Option<Self> {
        let rules = object["rules"].as_array().into_iter().flatten();
        Some(Self {
            name: object["metadata"]["name"].as_str()?.to_owned(),
            rules: rules.map(Rule::read).collect(),
        })
    }

    fn allows(&self, asked: Asked<'_>) -> bool {
        self.rules.iter().any(|rule| rule.allows(asked))
    }
}

impl Rule {
    fn read(rule: &Value) -> Self {
        Self {
            verbs: texts(&rule["verbs"]),
            groups: texts(&rule["apiGroups"]),
            resources: texts(&rule["resources"]),
            names: texts(&rule["resourceNames"]),
        }
    }

    fn allows(&self, asked: Asked<'_>) -> bool {
        let or_all = |list: &[String], wanted: &str| list.iter().any(|one| one == "*" || one == wanted);
        or_all(&self.verbs, asked.verb)
            && or_all(&self.groups, asked.group)
            && self.resources.iter().any(|resource| covers(resource, asked))
            && (self.names.is_empty() || self.names.iter().any(|name| name == asked.name))
    }
}

/// `ResourceMatches`: all of them, the very one, or a subresource of any.
fn covers(rule: &str, asked: Asked<'_>) -> bool {
    if rule == "*" {
        return true;
    }
    if asked.subresource.is_empty() {
        return rule == asked.resource;
    }
    // The subresource of a custom metric is the metric's name, which may hold a slash.
    rule.strip_prefix(asked.resource).and_then(|rest| rest.strip_prefix('/')) == Some(asked.subresource)
        || rule.strip_prefix("*/") == Some(asked.subresource)
}

impl Binding {
    /// Reads a `ClusterRoleBinding` or a `RoleBinding`.
    #[must_use]
    pub fn read(object: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let subjects = object["subjects"].as_array().into_iter().flatten();
        Some(Self {
            name: object["metadata"]["name"].as_str()?.to_owned(),
            namespace: text(&object["metadata"]["namespace"]),
            role_kind: text(&object["roleRef"]["kind"]),
            role: text(&object["roleRef"]["name"]),
            subjects: subjects
                .map(|subject| (text(&subject["kind"]), text(&subject["namespace"]), text(&subject["name"])))
                .collect(),
        })
    }

    /// `appliesToUser`: a `ServiceAccount` without a namespace is one of the binding's own.
    fn is_of(&self, caller: Caller<'_>) -> bool {
        self.subjects.iter().any(|(kind, namespace, name)| match kind.as_str() {
            "User" => caller.name == name,
            "Group" => caller.groups.contains(&name.as_str()),
            "ServiceAccount" => {
                let namespace = if namespace.is_empty() { &self.namespace } else { namespace };
                let account = caller.name.strip_prefix("system:serviceaccount:");
                !namespace.is_empty() && account.and_then(|it| it.split_once(':')) == Some((namespace, name))
            }
            _ => false,
        })
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HPA: Caller<'_> = Caller {
        name: "system:serviceaccount:kube-system:horizontal-pod-autoscaler",
        groups: &["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
    };
    const PODS: Asked<'_> =
        Asked { verb: "list", group: "metrics.k8s.io", resource: "pods", subresource: "", name: "" };
    const SCALE: Asked<'_> =
        Asked { verb: "update", group: "apps", resource: "deployments", subresource: "scale", name: "web" };

    fn role(rules: &Value) -> Role {
        Role::read(&json!({"metadata": {"name": "r"}, "rules": rules})).expect("a role")
    }

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]) -> Value {
        json!([{"verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names}])
    }

    fn binding(namespace: &str, kind: &str, subject: &Value) -> Binding {
        let binding = json!({
            "metadata": {"name": "b", "namespace": namespace},
            "roleRef": {"kind": kind, "name": "r"},
            "subjects": [subject],
        });
        Binding::read(&binding).expect("a binding")
    }

    fn account() -> Value {
        json!({"kind": "ServiceAccount", "namespace": "kube-system", "name": "horizontal-pod-autoscaler"})
    }

    #[test]
    fn a_rule_covers_what_the_authorizer_lets_through() {
        let custom = |name: &'static str| Asked {
            verb: "get",
            group: "custom.metrics.k8s.io",
            resource: "pods",
            subresource: name,
            name: "*",
        };
        for (rules, asked, expected) in [
            (rule(&["list"], &["metrics.k8s.io"], &["pods"], &[]), PODS, true),
            (rule(&["*"], &["*"], &["*"], &[]), PODS, true),
            (rule(&["get"], &["metrics.k8s.io"], &["pods"], &[]), PODS, false),
            (rule(&["list"], &[""], &["pods"], &[]), PODS, false),
            (rule(&["list"], &["metrics.k8s.io"], &["nodes"], &[]), PODS, false),
            // A list names no object, so that a rule for some of them does not cover it.
            (rule(&["list"], &["metrics.k8s.io"], &["pods"], &["web-1"]), PODS, false),
            // The role that Kubernetes makes: `get` and `update` on `*/scale` of every group.
            (rule(&["get", "update"], &["*"], &["*/scale"], &[]), SCALE, true),
            (rule(&["update"], &["apps"], &["deployments/scale"], &[]), SCALE, true),
            (rule(&["update"], &["apps"], &["deployments"], &[]), SCALE, false),
            (rule(&["update"], &["apps"], &["deployments/*"], &[]), SCALE, false),
            (rule(&["update"], &["apps"], &["*"], &[]), SCALE, true),
            (rule(&["update"], &["apps"], &["*/scale"], &["web"]), SCALE, true),
            (rule(&["update"], &["apps"], &["*/scale"], &["api"]), SCALE, false),
            (rule(&["update"], &["apps"], &["*/status"], &[]), SCALE, false),
            (rule(&["get"], &["custom.metrics.k8s.io"], &["*"], &[]), custom("queue"), true),
            (rule(&["get"], &["custom.metrics.k8s.io"], &["pods/queue"], &[]), custom("queue"), true),
            (rule(&["get"], &["custom.metrics.k8s.io"], &["pods/queue"], &[]), custom("depth"), false),
            (json!([{"verbs": ["*"], "nonResourceURLs": ["*"]}]), PODS, false),
            (json!([]), PODS, false),
        ] {
            assert_eq!(role(&rules).allows(asked), expected, "{rules} for {asked:?}");
        }
    }

    #[test]
    fn a_binding_is_of_whom_it_names() {
        for (namespace, subject, expected) in [
            ("", account(), true),
            ("", json!({"kind": "User", "name": HPA.name}), true),
            ("", json!({"kind": "Group", "name": "system:serviceaccounts:kube-system"}), true),
            ("", json!({"kind": "Group", "name": "system:masters"}), false),
            ("", json!({"kind": "ServiceAccount", "name": "horizontal-pod-autoscaler"}), false),
            ("kube-system", json!({"kind": "ServiceAccount", "name": "horizontal-pod-autoscaler"}), true),
            ("shop", json!({"kind": "ServiceAccount", "name": "horizontal-pod-autoscaler"}), false),
            (
                "",
                json!({"kind": "ServiceAccount", "namespace": "shop", "name": "horizontal-pod-autoscaler"}),
                false,
            ),
            ("", json!({"kind": "User", "name": "horizontal-pod-autoscaler"}), false),
        ] {
            assert_eq!(
                binding(namespace, "ClusterRole", &subject).is_of(HPA),
                expected,
                "{namespace} {subject}"
            );
        }
    }

    #[test]
    fn roles_are_found_where_a_binding_may_name_them() {
        let roles = [role(&rule(&["list"], &["*"], &["*"], &[]))];
        let look = |cluster_roles: &[Role], cluster: &[Binding], own: &[Role], bindings: &[Binding]| {
            Rbac { cluster_roles, cluster_bindings: cluster, roles: own, bindings }.allows(HPA, PODS)
        };
        let of_cluster = [binding("", "ClusterRole", &account())];
        let of_space = [binding("shop", "Role", &account())];
        let expected = |text: &str| Some(text.to_owned());
        assert_eq!(look(&roles, &of_cluster, &[], &[]), expected("ClusterRoleBinding b of ClusterRole r"));
        assert_eq!(look(&[], &[], &roles, &of_space), expected("RoleBinding b of Role r"));
        assert_eq!(look(&roles, &[], &[], &of_cluster), expected("RoleBinding b of ClusterRole r"));
        // A role of a namespace grants nothing by a binding of the whole cluster.
        assert_eq!(look(&[], &of_space, &roles, &[]), None);
        assert_eq!(look(&[], &of_cluster, &roles, &[]), None);
        assert_eq!(look(&roles, &[], &roles, &[]), None);
    }
}
