//! The metrics of an autoscaler.

use serde_json::Value;

use super::metadata::{is_label, is_qualified};
use super::spec::{one_of, quantity_sign, reference};
use super::{Fault, is_absent, lacks_text, not_a_segment};

/// The types of metrics, each with the field that holds its source.
const TYPES: [(&str, &str); 5] = [
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
    ("Pods", "pods"),
    ("Object", "object"),
    ("External", "external"),
];

/// What `validateMetrics` refuses.
pub(super) fn faults(metrics: &Value, faults: &mut Vec<Fault>) {
    for (index, entry) in metrics.as_array().into_iter().flatten().enumerate() {
        if entry.is_object() {
            metric(entry, &format!("/spec/metrics/{index}"), faults);
        }
    }
}

fn metric(entry: &Value, pointer: &str, faults: &mut Vec<Fault>) {
    let kind = &entry["type"];
    let wanted = TYPES.iter().find(|(name, _)| kind == name).map(|(_, field)| *field);
    let given: Vec<&str> =
        TYPES.iter().map(|(_, field)| *field).filter(|field| !is_absent(&entry[*field])).collect();
    if lacks_text(kind) {
        let guess = given.first().and_then(|given| TYPES.iter().find(|(_, field)| field == given));
        let expected = guess.map_or("Resource, or another type", |(name, _)| *name);
        let fault = Fault::missing(format!("{pointer}/type"), expected);
        faults.push(match guess {
            Some((name, _)) if given.len() == 1 => fault.write(*name),
            _ => fault,
        });
    } else {
        one_of(kind, pointer, "type", &TYPES.map(|(name, _)| name), faults);
    }
    match wanted {
        Some(wanted) if !given.contains(&wanted) => {
            let mut fault = Fault::missing(format!("{pointer}/{wanted}"), format!("the field {wanted}"));
            if let Some(other) = given.first() {
                fault.what = format!("the type wants the field {wanted}, and there is {other}");
            }
            faults.push(fault);
        }
        Some(wanted) => {
            for other in given.iter().filter(|other| **other != wanted) {
                let what = format!("{other} stands beside {wanted}, and a metric has one source");
                let expected = "leave it out, or make it a metric of its own";
                faults.push(Fault::new(format!("{pointer}/{other}"), &entry[*other], what, expected));
            }
        }
        None => {}
    }
    for field in given {
        source(field, &entry[field], &format!("{pointer}/{field}"), faults);
    }
}

fn source(field: &str, body: &Value, pointer: &str, faults: &mut Vec<Fault>) {
    if !body.is_object() {
        return;
    }
    match field {
        "resource" => {
            if lacks_text(&body["name"]) {
                faults.push(Fault::missing(format!("{pointer}/name"), "cpu or memory"));
            }
        }
        "containerResource" => container(body, pointer, faults),
        "object" => {
            reference(&body["describedObject"], &format!("{pointer}/describedObject"), false, faults);
            identifier(body, pointer, faults);
        }
        _ => identifier(body, pointer, faults),
    }
    target(field, &body["target"], &format!("{pointer}/target"), faults);
}

fn container(body: &Value, pointer: &str, faults: &mut Vec<Fault>) {
    let name = &body["name"];
    if lacks_text(name) {
        faults.push(Fault::missing(format!("{pointer}/name"), "cpu or memory"));
    } else if name.as_str().is_some_and(|name| !is_container_resource(name)) {
        let what = "name is no resource of a container";
        faults.push(Fault::new(format!("{pointer}/name"), name, what, "cpu or memory"));
    }
    let container = &body["container"];
    if lacks_text(container) {
        faults.push(Fault::missing(format!("{pointer}/container"), "the name of the container"));
    } else if container.as_str().is_some_and(|name| !is_label(name)) {
        let what = "container is no name of a container";
        faults.push(Fault::new(format!("{pointer}/container"), container, what, "the name of the container"));
    }
}

/// What `ValidateContainerResourceName` takes.
fn is_container_resource(name: &str) -> bool {
    let is_standard =
        matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    is_qualified(name) && (is_standard || name.contains('/'))
}

fn identifier(body: &Value, pointer: &str, faults: &mut Vec<Fault>) {
    let name = &body["metric"]["name"];
    let at = format!("{pointer}/metric/name");
    if lacks_text(name) {
        faults.push(Fault::missing(at, "the name of the metric"));
    } else if let Some(why) = name.as_str().and_then(not_a_segment) {
        faults.push(Fault::new(at, name, format!("the name of the metric {why}"), "the name of the metric"));
    }
}

fn target(field: &str, target: &Value, pointer: &str, faults: &mut Vec<Fault>) {
    let kind = &target["type"];
    if lacks_text(kind) {
        faults.push(Fault::missing(format!("{pointer}/type"), "Utilization, Value or AverageValue"));
    } else {
        one_of(kind, pointer, "type", &["Utilization", "Value", "AverageValue"], faults);
    }
    for name in ["value", "averageValue"] {
        if quantity_sign(&target[name]).is_some_and(|sign| sign < 1) {
            faults.push(Fault::new(
                format!("{pointer}/{name}"),
                &target[name],
                format!("{name} is not above 0"),
                "more than 0",
            ));
        }
    }
    let percent = &target["averageUtilization"];
    if percent.as_i64().is_some_and(|percent| percent < 1) {
        let what = "averageUtilization is below 1";
        faults.push(Fault::new(format!("{pointer}/averageUtilization"), percent, what, "80"));
    }
    let has = |name: &str| !is_absent(&target[name]);
    let (one, other) = match field {
        "resource" | "containerResource" => ("averageUtilization", "averageValue"),
        "pods" => ("averageValue", "averageValue"),
        _ => ("value", "averageValue"),
    };
    if !has(one) && !has(other) {
        let what = match (one, has("value")) {
            ("averageUtilization", true) => {
                "value is for metrics of objects and of the outside, and there is no other"
            }
            ("averageValue", true) => "value is for metrics of objects and of the outside",
            _ => "there is nothing to hold the metric against",
        };
        let expected = if one == other { one.to_owned() } else { format!("{one} or {other}") };
        let mut fault = Fault::missing(format!("{pointer}/{one}"), expected);
        what.clone_into(&mut fault.what);
        faults.push(fault);
    }
    if one != other && field != "object" && has(one) && has(other) {
        let what = format!("{one} and {other} are given, and a target is one of them");
        let named = if field == "external" { one } else { other };
        let expected = "leave one of the two out";
        let mut fault = Fault::new(format!("{pointer}/{named}"), &target[named], what, expected);
        // The type says which of the two is meant.
        let meant = match kind.as_str() {
            Some("Utilization") => "averageUtilization",
            Some("AverageValue") => "averageValue",
            Some("Value") => "value",
            _ => "",
        };
        if let Some((_, spare)) = [(one, other), (other, one)].iter().find(|(it, _)| *it == meant) {
            fault.changes = vec![(format!("{pointer}/{spare}"), None)];
        }
        faults.push(fault);
    }
}
