//! The bounds, the target and the behaviour of an autoscaler.

use serde_json::Value;

use super::metrics;
use super::schema::sign;
use super::{Fault, is_absent, lacks_text, not_a_segment};

/// The first version in which an autoscaler may scale to nothing without a feature gate.
const TO_ZERO: u32 = 37;

/// What `validateHorizontalPodAutoscalerSpec` refuses.
pub(super) fn faults(body: &Value, is_v1: bool, faults: &mut Vec<Fault>) {
    let spec = &body["spec"];
    bounds(spec, is_v1, faults);
    let is_controller = spec["scaleTargetRef"]["kind"] == "ReplicationController";
    reference(&spec["scaleTargetRef"], "/spec/scaleTargetRef", !is_controller, faults);
    if is_v1 {
        let target = &spec["targetCPUUtilizationPercentage"];
        if target.as_i64().is_some_and(|percent| percent < 1) {
            let what = "targetCPUUtilizationPercentage is below 1";
            faults.push(Fault::new("/spec/targetCPUUtilizationPercentage", target, what, "80"));
        }
        return;
    }
    metrics::faults(&spec["metrics"], faults);
    for way in ["scaleUp", "scaleDown"] {
        rules(&spec["behavior"][way], &format!("/spec/behavior/{way}"), faults);
    }
}

fn bounds(spec: &Value, is_v1: bool, faults: &mut Vec<Fault>) {
    let (min, max) = (&spec["minReplicas"], &spec["maxReplicas"]);
    if is_absent(max) {
        faults.push(Fault::missing("/spec/maxReplicas", "a number of 1 or more"));
    }
    if max.as_i64().is_some_and(|max| max < 1) {
        faults.push(Fault::new("/spec/maxReplicas", max, "maxReplicas is below 1", "a number of 1 or more"));
    }
    if let (Some(least), Some(most)) = (min.as_i64(), max.as_i64())
        && most < least
    {
        let what = format!("maxReplicas is below minReplicas, which is {least}");
        faults.push(Fault::new("/spec/maxReplicas", max, what, format!("{least} or more")));
    }
    match min.as_i64() {
        Some(least) if least < 0 => {
            faults.push(Fault::new("/spec/minReplicas", min, "minReplicas is below 0", "1"));
        }
        Some(0) => {
            let from_outside = |metric: &Value| metric["type"] == "Object" || metric["type"] == "External";
            let may_be_zero =
                !is_v1 && spec["metrics"].as_array().is_some_and(|list| list.iter().any(from_outside));
            let what = if may_be_zero {
                "minReplicas is 0, which needs the feature gate HPAScaleToZero before Kubernetes 1.37"
            } else {
                "minReplicas is 0 and no metric is of the type Object or External, so nothing could start the pods"
            };
            let fault = Fault::new("/spec/minReplicas", min, what, "1").write(1);
            faults.push(if may_be_zero { fault.until(TO_ZERO) } else { fault });
        }
        _ => {}
    }
}

/// A reference to an object; `needs_group` where the core group has nothing that fits.
pub(super) fn reference(reference: &Value, pointer: &str, needs_group: bool, faults: &mut Vec<Fault>) {
    for field in ["kind", "name"] {
        let value = &reference[field];
        let at = format!("{pointer}/{field}");
        if lacks_text(value) {
            faults.push(Fault::missing(at, format!("the {field} of the object")));
        } else if let Some(why) = value.as_str().and_then(not_a_segment) {
            faults.push(Fault::new(
                at,
                value,
                format!("{field} {why}"),
                format!("the {field} of the object"),
            ));
        }
    }
    let value = &reference["apiVersion"];
    let version = value.as_str().unwrap_or_default();
    let at = format!("{pointer}/apiVersion");
    let has_group = version.split_once('/').is_some_and(|(group, _)| !group.is_empty());
    let expected = match reference["kind"].as_str() {
        Some("Deployment" | "StatefulSet" | "ReplicaSet" | "DaemonSet") => "apps/v1",
        _ => "the group and version of the kind, such as apps/v1",
    };
    if version.matches('/').count() > 1 {
        faults.push(Fault::new(at, value, "apiVersion is not GROUP/VERSION", expected));
    } else if needs_group && !has_group && (is_absent(value) || value.is_string()) {
        let what = "apiVersion has no API group, so the controller finds no such kind";
        let fault = Fault::new(at, value, what, expected);
        faults.push(if expected == "apps/v1" { fault.write(expected) } else { fault });
    }
}

fn rules(rules: &Value, pointer: &str, faults: &mut Vec<Fault>) {
    let window = &rules["stabilizationWindowSeconds"];
    if window.as_i64().is_some_and(|seconds| !(0..=3600).contains(&seconds)) {
        let what = "stabilizationWindowSeconds is not within 0 and 3600";
        let fault = Fault::new(format!("{pointer}/stabilizationWindowSeconds"), window, what, "0 to 3600");
        let nearest = if window.as_i64().unwrap_or_default() < 0 { 0 } else { 3600 };
        faults.push(fault.write(nearest));
    }
    one_of(&rules["selectPolicy"], pointer, "selectPolicy", &["Max", "Min", "Disabled"], faults);
    let policies = &rules["policies"];
    if policies.as_array().is_some_and(Vec::is_empty) {
        let what = "policies is empty; left out it has a default";
        let at = format!("{pointer}/policies");
        faults.push(Fault::new(at, policies, what, "leave it out, or give one policy").remove());
    }
    for (index, policy) in policies.as_array().into_iter().flatten().enumerate() {
        let pointer = format!("{pointer}/policies/{index}");
        if lacks_text(&policy["type"]) {
            faults.push(Fault::missing(format!("{pointer}/type"), "Pods or Percent"));
        }
        one_of(&policy["type"], &pointer, "type", &["Pods", "Percent"], faults);
        for (field, most) in [("value", i64::from(i32::MAX)), ("periodSeconds", 1800)] {
            let value = &policy[field];
            let at = format!("{pointer}/{field}");
            if is_absent(value) {
                faults.push(Fault::missing(at, "a number above 0"));
            } else if value.as_i64().is_some_and(|number| !(1..=most).contains(&number)) {
                let what = format!("{field} is not within 1 and {most}");
                let fault = Fault::new(at, value, what, "a number within these");
                let is_too_long = field == "periodSeconds" && value.as_i64() > Some(most);
                faults.push(if is_too_long { fault.write(most) } else { fault });
            }
        }
    }
    let tolerance = &rules["tolerance"];
    if quantity_sign(tolerance) == Some(-1) {
        faults.push(Fault::new(format!("{pointer}/tolerance"), tolerance, "tolerance is below 0", "0.1"));
    }
}

/// A text that has to be one of these, where it is given.
pub(super) fn one_of(value: &Value, pointer: &str, field: &str, known: &[&str], faults: &mut Vec<Fault>) {
    let Some(text) = value.as_str().filter(|text| !known.contains(text)) else { return };
    let near = known.iter().find(|known| known.eq_ignore_ascii_case(text));
    let expected = near.map_or_else(|| known.join(", "), |near| (*near).to_owned());
    let what = format!("{field} is none of {}", known.join(", "));
    let fault = Fault::new(format!("{pointer}/{field}"), value, what, expected);
    faults.push(match near {
        Some(near) => fault.write(*near),
        None => fault,
    });
}

/// The sign of a quantity, where it is one.
pub(super) fn quantity_sign(value: &Value) -> Option<i32> {
    match value {
        Value::String(text) => sign(text),
        Value::Number(number) => sign(&number.to_string()),
        _ => None,
    }
}
