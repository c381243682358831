//! The labels of a probe: those of metrics-server's pod that NetworkPolicies select on, minus any that would make a
//! Service send traffic to it or a controller take it for its own.

use checks::plan::{Labels, Selector};

/// Marks every object of a probe; the value is the run.
pub const MARK: &str = "metrics-preflight/probe";
/// What the objects are called, where metrics-server's own label of that key is not needed.
pub const NAME: (&str, &str) = ("app.kubernetes.io/name", "metrics-preflight-probe");

/// A selector, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// Such as `Service metrics-server`.
    pub whose: String,
    /// What it selects.
    pub selector: Selector,
}

/// The labels that a probe carries, and what that means.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// Without the mark.
    pub carried: Labels,
    /// Why NetworkPolicies may treat metrics-server's pod in another way.
    pub policies_differ: Option<String>,
}

/// Chooses. `own` are the labels of metrics-server's pod. What could not be listed is the reason.
///
/// # Errors
/// When a Service or controller would match whatever the labels; its name.
pub fn choose(
    own: &Labels,
    policies: &Result<Vec<Named>, String>,
    takers: &Result<Vec<Named>, String>,
    run: &str,
) -> Result<Choice, String> {
    let (policies, unseen) = match (policies, takers) {
        (Err(why), _) => (&[][..], Some(format!("the NetworkPolicies were not seen ({why})"))),
        (Ok(policies), _) => (policies.as_slice(), None),
    };
    let wanted = |key: &String| policies.iter().any(|policy| policy.selector.keys().contains(&key.as_str()));
    let selected = own.iter().filter(|(key, _)| wanted(key)).map(|(key, value)| (key.clone(), value.clone()));
    // Where it is not known who would take it, it carries none.
    let mut carried: Labels = if takers.is_ok() { selected.collect() } else { Labels::new() };
    let takers = takers.as_deref().unwrap_or_default();
    let taker = |carried: &Labels| takers.iter().find(|taker| taker.selector.matches(&marked(carried, run)));
    let mut avoided: Vec<&str> = Vec::new();
    while let Some(taker) = taker(&carried) {
        // Of what makes it match, the label that fewest policies select on.
        let uses = |key: &&str| policies.iter().filter(|policy| policy.selector.keys().contains(key)).count();
        let droppable =
            taker.selector.keys().into_iter().filter(|key| carried.contains_key(*key)).min_by_key(uses);
        let Some(key) = droppable.map(str::to_owned) else { return Err(taker.whose.clone()) };
        carried.remove(&key);
        avoided.push(&taker.whose);
    }
    let all = marked(&carried, run);
    let differing =
        policies.iter().filter(|policy| policy.selector.matches(own) != policy.selector.matches(&all));
    let names: Vec<&str> = differing.map(|policy| policy.whose.as_str()).collect();
    avoided.sort_unstable();
    avoided.dedup();
    let differ = (!names.is_empty()).then(|| match avoided.as_slice() {
        [] => format!("{} cannot be told to treat both alike", names.join(", ")),
        avoided => {
            format!(
                "{} selects metrics-server by labels that {} selects too",
                names.join(", "),
                avoided.join(", ")
            )
        }
    });
    Ok(Choice { carried, policies_differ: unseen.or(differ) })
}

/// The labels with the marks of a probe.
#[must_use]
pub fn marked(carried: &Labels, run: &str) -> Labels {
    let mut labels = carried.clone();
    labels.entry(NAME.0.to_owned()).or_insert_with(|| NAME.1.to_owned());
    labels.insert(MARK.to_owned(), run.to_owned());
    labels
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn named(whose: &str, pairs: &[(&str, &str)]) -> Named {
        Named { whose: whose.to_owned(), selector: Selector::of(&labels(pairs)) }
    }

    fn own() -> Labels {
        labels(&[("k8s-app", "metrics-server"), ("tier", "system"), ("pod-template-hash", "abc")])
    }

    #[test]
    fn without_policies_no_label_is_needed() {
        let service = named("Service metrics-server", &[("k8s-app", "metrics-server")]);
        let choice = choose(&own(), &Ok(Vec::new()), &Ok(vec![service]), "r");
        assert_eq!(choice, Ok(Choice::default()));
    }

    #[test]
    fn what_a_policy_selects_on_is_carried_where_nobody_takes_it() {
        let policy = named("NetworkPolicy system", &[("tier", "system")]);
        let service = named("Service metrics-server", &[("k8s-app", "metrics-server")]);
        let choice = choose(&own(), &Ok(vec![policy]), &Ok(vec![service]), "r").expect("a choice");
        assert_eq!(choice.carried, labels(&[("tier", "system")]));
        assert_eq!(choice.policies_differ, None);
    }

    #[test]
    fn a_label_of_policy_and_service_is_left_out_and_said() {
        let policy = named("NetworkPolicy metrics-server", &[("k8s-app", "metrics-server")]);
        let service = named("Service metrics-server", &[("k8s-app", "metrics-server")]);
        let choice = choose(&own(), &Ok(vec![policy]), &Ok(vec![service]), "r").expect("a choice");
        assert_eq!(choice.carried, Labels::new());
        let words = choice.policies_differ.expect("it is said");
        assert!(
            words.contains("NetworkPolicy metrics-server") && words.contains("Service metrics-server"),
            "{words}"
        );
    }

    #[test]
    fn a_service_of_two_labels_costs_one_of_them() {
        let both = [("k8s-app", "metrics-server"), ("tier", "system")];
        let policies = vec![named("NetworkPolicy a", &[("tier", "system")]), named("NetworkPolicy b", &both)];
        let service = named("Service metrics-server", &both);
        let choice = choose(&own(), &Ok(policies), &Ok(vec![service]), "r").expect("a choice");
        assert_eq!(
            choice.carried,
            labels(&[("tier", "system")]),
            "the one that fewer policies select on went"
        );
        assert!(choice.policies_differ.is_some_and(|words| words.contains("NetworkPolicy b")));
    }

    #[test]
    fn a_policy_for_all_pods_treats_both_alike() {
        let all = Named {
            whose: "NetworkPolicy default-deny".to_owned(),
            selector: Selector::read(&json!({})).expect("a selector"),
        };
        let choice = choose(&own(), &Ok(vec![all]), &Ok(Vec::new()), "r").expect("a choice");
        assert_eq!(choice.policies_differ, None);
    }

    #[test]
    fn a_policy_for_all_but_metrics_server_treats_them_differently() {
        let selector = json!({"matchExpressions": [{"key": "other", "operator": "DoesNotExist"}]});
        let but = json!({"matchExpressions": [{"key": MARK, "operator": "Exists"}]});
        let policy = |name: &str, selector| Named {
            whose: format!("NetworkPolicy {name}"),
            selector: Selector::read(selector).expect("a selector"),
        };
        let policies = Ok(vec![policy("a", &selector), policy("b", &but)]);
        let choice = choose(&own(), &policies, &Ok(Vec::new()), "r").expect("a choice");
        assert_eq!(
            choice.policies_differ.as_deref(),
            Some("NetworkPolicy b cannot be told to treat both alike")
        );
    }

    #[test]
    fn what_was_not_seen_is_said() {
        let unseen = Err("forbidden".to_owned());
        let choice = choose(&own(), &unseen, &Ok(Vec::new()), "r").expect("a choice");
        assert!(choice.policies_differ.is_some_and(|words| words.contains("forbidden")));
        let policy = named("NetworkPolicy system", &[("tier", "system")]);
        let choice = choose(&own(), &Ok(vec![policy]), &unseen, "r").expect("a choice");
        assert_eq!(choice.carried, Labels::new());
        assert!(choice.policies_differ.is_some());
    }

    #[test]
    fn who_takes_any_pod_makes_it_impossible() {
        let any = Named {
            whose: "ReplicaSet odd".to_owned(),
            selector: Selector::read(
                &json!({"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}),
            )
            .expect("a selector"),
        };
        assert_eq!(choose(&own(), &Ok(Vec::new()), &Ok(vec![any]), "r"), Err("ReplicaSet odd".to_owned()));
    }
}
