//! What an autoscaler says of the way up and the way down, in `spec.behavior`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The annotation in which `autoscaling/v1` keeps the behavior, in the words of Go's fields
/// (`pkg/apis/autoscaling/v1/conversion.go`).
const ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// Both ways.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behavior {
    /// `scaleUp`.
    pub up: Way,
    /// `scaleDown`.
    pub down: Way,
}

/// What is said of one way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// `selectPolicy`; the API fills in `Max`.
    pub policy: Option<String>,
    /// `tolerance`, from 1.35 on.
    pub tolerance: Option<String>,
}

impl Behavior {
    /// Reads an autoscaler.
    #[must_use]
    pub(super) fn read(object: &Value) -> Self {
        let annotation = object["metadata"]["annotations"][ANNOTATION].as_str();
        let annotated: Value =
            annotation.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let behavior = &object["spec"]["behavior"];
        let behavior = if behavior.is_object() { behavior } else { &annotated };
        Self { up: Way::read(field(behavior, "scaleUp")), down: Way::read(field(behavior, "scaleDown")) }
    }
}

impl Way {
    fn read(rules: &Value) -> Self {
        let tolerance = match field(rules, "tolerance") {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        Self { policy: field(rules, "selectPolicy").as_str().map(str::to_owned), tolerance }
    }

    /// Whether nothing goes this way. `other` is what the cluster has: a field that a manifest leaves out may stay as it
    /// is there.
    pub(crate) fn is_off(&self, other: &Self) -> bool {
        self.policy.as_ref().or(other.policy.as_ref()).is_some_and(|policy| policy == "Disabled")
    }

    /// The tolerance that counts, as a quantity.
    pub(crate) fn tolerance<'s>(&'s self, other: &'s Self) -> Option<&'s str> {
        self.tolerance.as_deref().or(other.tolerance.as_deref())
    }
}

/// A field of an object. In an annotation Go minds no capitals.
fn field<'v>(object: &'v Value, name: &str) -> &'v Value {
    let mut fields = object.as_object().into_iter().flatten();
    fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or(&Value::Null, |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_versions_say_which_way_is_closed() {
        let v2 = json!({"spec": {"behavior": {"scaleDown": {"selectPolicy": "Disabled", "tolerance": 0.2}}}});
        let text =
            r#"{"ScaleUp":null,"ScaleDown":{"SelectPolicy":"Disabled","Policies":null,"Tolerance":"0.2"}}"#;
        let v1 = json!({"metadata": {"annotations": {ANNOTATION: text}}});
        for object in [v2, v1] {
            let read = Behavior::read(&object);
            assert_eq!(read.up, Way::default());
            assert!(read.down.is_off(&Way::default()));
            assert_eq!(read.down.tolerance(&Way::default()), Some("0.2"));
        }
        assert_eq!(
            Behavior::read(&json!({"metadata": {"annotations": {ANNOTATION: "no JSON"}}})),
            Behavior::default()
        );
    }

    #[test]
    fn what_a_manifest_leaves_out_may_stay() {
        let way = |policy: Option<&str>| Way { policy: policy.map(str::to_owned), tolerance: None };
        assert!(way(None).is_off(&way(Some("Disabled"))));
        assert!(!way(Some("Max")).is_off(&way(Some("Disabled"))));
        assert!(!way(None).is_off(&way(None)));
    }
}
