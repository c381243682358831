//! The fields of the two versions of the API, and the types of their values.

use serde_json::Value;

use super::old_fields;
use super::{Fault, shown};
use crate::plan::nearest::is_near;

/// The type of a value.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    Int32,
    Quantity,
    /// A map of texts.
    Texts,
    /// A list of texts.
    Names,
    List(&'static Shape),
    Map(&'static [(&'static str, Shape)]),
    /// Nobody writes it by hand.
    Open,
}

use Shape::{Int32, List, Map, Names, Open, Text, Texts};

const REFERENCE: Shape = Map(&[("apiVersion", Text), ("kind", Text), ("name", Text)]);
const EXPRESSION: Shape = Map(&[("key", Text), ("operator", Text), ("values", Names)]);
const SELECTOR: Shape = Map(&[("matchLabels", Texts), ("matchExpressions", List(&EXPRESSION))]);
const IDENTIFIER: Shape = Map(&[("name", Text), ("selector", SELECTOR)]);
const TARGET: Shape = Map(&[
    ("type", Text),
    ("value", Shape::Quantity),
    ("averageValue", Shape::Quantity),
    ("averageUtilization", Int32),
]);
const METRIC: Shape = Map(&[
    ("type", Text),
    ("resource", Map(&[("name", Text), ("target", TARGET)])),
    ("containerResource", Map(&[("name", Text), ("container", Text), ("target", TARGET)])),
    ("pods", Map(&[("metric", IDENTIFIER), ("target", TARGET)])),
    ("object", Map(&[("describedObject", REFERENCE), ("metric", IDENTIFIER), ("target", TARGET)])),
    ("external", Map(&[("metric", IDENTIFIER), ("target", TARGET)])),
]);
const POLICY: Shape = Map(&[("type", Text), ("value", Int32), ("periodSeconds", Int32)]);
const RULES: Shape = Map(&[
    ("stabilizationWindowSeconds", Int32),
    ("selectPolicy", Text),
    ("policies", List(&POLICY)),
    ("tolerance", Shape::Quantity),
]);
const METADATA: Shape = Map(&[
    ("name", Text),
    ("generateName", Text),
    ("namespace", Text),
    ("labels", Texts),
    ("annotations", Texts),
    ("finalizers", Names),
    ("ownerReferences", Open),
    ("managedFields", Open),
    ("creationTimestamp", Open),
    ("deletionTimestamp", Open),
    ("deletionGracePeriodSeconds", Open),
    ("generation", Open),
    ("resourceVersion", Text),
    ("selfLink", Text),
    ("uid", Text),
]);
const V2: Shape = Map(&[
    ("apiVersion", Text),
    ("kind", Text),
    ("metadata", METADATA),
    (
        "spec",
        Map(&[
            ("scaleTargetRef", REFERENCE),
            ("minReplicas", Int32),
            ("maxReplicas", Int32),
            ("metrics", List(&METRIC)),
            ("behavior", Map(&[("scaleUp", RULES), ("scaleDown", RULES)])),
        ]),
    ),
    ("status", Open),
]);
const V1: Shape = Map(&[
    ("apiVersion", Text),
    ("kind", Text),
    ("metadata", METADATA),
    (
        "spec",
        Map(&[
            ("scaleTargetRef", REFERENCE),
            ("minReplicas", Int32),
            ("maxReplicas", Int32),
            ("targetCPUUtilizationPercentage", Int32),
        ]),
    ),
    ("status", Open),
]);

/// Fields that the version does not have, and values of another type than theirs.
pub(super) fn faults(body: &Value, is_v1: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    walk(body, if is_v1 { V1 } else { V2 }, "", &mut faults);
    faults
}

fn walk(value: &Value, shape: Shape, pointer: &str, faults: &mut Vec<Fault>) {
    let mut wrong = |expected: &str| {
        let name = pointer.rsplit('/').next().unwrap_or_default();
        let what = format!("{name} holds {} and not {expected}", kind_of(value));
        let fault = Fault::new(pointer, value, what, expected);
        // A number in quotes.
        let number = value.as_str().and_then(|text| text.parse::<i32>().ok());
        faults.push(match number.filter(|_| matches!(shape, Int32)) {
            Some(number) => fault.write(number),
            None => fault,
        });
    };
    match (shape, value) {
        (_, Value::Null) | (Open, _) | (Text, Value::String(_)) | (Shape::Quantity, Value::Number(_)) => {}
        (Text, _) => wrong("a text, in quotes"),
        (Int32, value) => {
            if value.as_i64().is_none_or(|number| i32::try_from(number).is_err()) {
                wrong("a whole number");
            }
        }
        (Shape::Quantity, value) => {
            if value.as_str().and_then(sign).is_none() {
                wrong("a quantity such as 100m, 5 or 1.5Gi");
            }
        }
        (Texts, Value::Object(map)) => {
            for (key, value) in map {
                walk(value, Text, &below(pointer, key), faults);
            }
        }
        (Texts, _) => wrong("a map of texts"),
        (Names, Value::Array(list)) => each(list, Text, pointer, faults),
        (Names, _) => wrong("a list of texts"),
        (List(of), Value::Array(list)) => each(list, *of, pointer, faults),
        (List(_), _) => wrong("a list"),
        (Map(fields), Value::Object(map)) => {
            for (key, value) in map {
                match fields.iter().find(|(name, _)| name == key) {
                    Some((_, shape)) => walk(value, *shape, &below(pointer, key), faults),
                    None => faults.push(unknown(fields, key, value, pointer)),
                }
            }
            tolerance(map.get("tolerance"), fields, pointer, faults);
        }
        (Map(_), _) => wrong("a map of fields"),
    }
}

fn each(list: &[Value], shape: Shape, pointer: &str, faults: &mut Vec<Fault>) {
    for (index, value) in list.iter().enumerate() {
        walk(value, shape, &format!("{pointer}/{index}"), faults);
    }
}

/// The field `tolerance` is part of the API since 1.33.
fn tolerance(value: Option<&Value>, fields: &[(&str, Shape)], pointer: &str, faults: &mut Vec<Fault>) {
    let is_known = fields.iter().any(|(name, _)| *name == "tolerance");
    if let Some(value) = value.filter(|value| is_known && !value.is_null()) {
        let what = "the field tolerance is there since Kubernetes 1.33";
        faults.push(Fault::new(below(pointer, "tolerance"), value, what, "leave it out").until(33));
    }
}

fn unknown(fields: &[(&'static str, Shape)], key: &str, value: &Value, pointer: &str) -> Fault {
    let at = below(pointer, key);
    let what = format!("there is no field {key}");
    if let Some(instead) = old_fields::instead(pointer, key, value) {
        let changes = old_fields::changes(pointer, key, value);
        return Fault { changes, ..Fault::new(at, value, what, instead) };
    }
    let near = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(key) || is_near(name, key));
    let expected = if let Some((name, _)) = near {
        format!("{name}: {}", shown(value))
    } else {
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        format!("leave it out; the fields here are {}", names.join(", "))
    };
    let mut fault = Fault::new(at.clone(), value, what, expected);
    if let Some((name, _)) = near {
        fault.changes = vec![(below(pointer, name), Some(value.clone())), (at, None)];
    }
    fault
}

fn below(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// The sign of a quantity, as -1, 0 or 1; nothing for what `resource.ParseQuantity` refuses.
pub(super) fn sign(text: &str) -> Option<i32> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').map_or(rest, |end| &rest[..end]);
    let suffix = &rest[number.len()..];
    let exponent = suffix.strip_prefix(['e', 'E']).is_some_and(|digits| {
        let digits = digits.strip_prefix(['-', '+']).unwrap_or(digits);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    let units = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
        .contains(&suffix);
    let is_number = number.matches('.').count() <= 1 && number.contains(|c: char| c.is_ascii_digit());
    if !is_number || !(units || exponent) {
        return None;
    }
    let is_zero = !number.contains(|c: char| ('1'..='9').contains(&c));
    Some(if is_zero {
        0
    } else if negative {
        -1
    } else {
        1
    })
}
