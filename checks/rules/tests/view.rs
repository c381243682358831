//! The table of the evidence agrees with the evidence.

use super::super::schema::{Form, Object, Shape};
use super::super::view::{EVIDENCE, LEFT_OUT};
use super::*;
use crate::evidence::{Evidence, Grant, Mode, Need};

/// What of the evidence the table does not have, and the other way round.
fn differences(json: &Json, shape: &'static Shape, path: &str, found: &mut Vec<String>) {
    match shape {
        Shape::Seen(need, inner) => {
            let Some(look) = json.get("look") else {
                found.push(format!("{path} is not looked for"));
                return;
            };
            let declared = serde_json::to_value(need).expect("a name");
            if json["need"] != declared {
                found.push(format!("{path} needs {} and not {declared}", json["need"]));
            }
            if let Some(seen) = look.get("seen") {
                differences(seen, inner, path, found);
            }
        }
        Shape::Optional(_) if json.is_null() => {}
        Shape::Optional(inner) => differences(json, inner, path, found),
        Shape::List(inner) => match json.as_array() {
            Some(items) => items.iter().for_each(|item| differences(item, inner, path, found)),
            None => found.push(format!("{path} is no list")),
        },
        Shape::Object(object) => object_differences(json, object, path, found),
        Shape::Bool if json.is_boolean() => {}
        Shape::Int if json.is_i64() => {}
        Shape::Text | Shape::TextUnless(..) if json.is_string() => {}
        Shape::Time if json.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()) => {}
        Shape::Texts | Shape::SomeTexts(_)
            if json.as_object().is_some_and(|fields| fields.values().all(Json::is_string)) => {}
        other => found.push(format!("{path} is {json} and not {other:?}")),
    }
}

fn object_differences(json: &Json, object: &'static Object, path: &str, found: &mut Vec<String>) {
    match (object.form, json) {
        (Form::Fields, Json::Object(fields)) => {
            for (key, value) in fields {
                let left_out = LEFT_OUT.iter().any(|(name, _)| *name == format!("{}.{key}", object.name));
                match object.fields.iter().find(|field| field.key == key) {
                    Some(field) => differences(value, &field.shape, &format!("{path}.{key}"), found),
                    None if left_out => {}
                    None => found.push(format!(
                        "the table does not have {}.{key}: add it, or say why it is left out",
                        object.name
                    )),
                }
            }
            for field in object.fields {
                let optional = matches!(field.shape, Shape::Optional(_));
                if !fields.contains_key(field.key) && !optional {
                    found.push(format!("the evidence does not have {}.{}", object.name, field.key));
                }
            }
        }
        (Form::Tuple, Json::Array(parts)) if parts.len() == object.fields.len() => {
            for (part, field) in parts.iter().zip(object.fields) {
                differences(part, &field.shape, &format!("{path}.{}", field.name), found);
            }
        }
        (Form::Certificate | Form::Variants, Json::String(_)) => {}
        (Form::Variants, Json::Object(variant)) if variant.len() == 1 => {
            for (name, content) in variant {
                if let Some(field) = object.field(name) {
                    differences(content, &field.shape, &format!("{path}.{name}"), found);
                } else if let Json::Object(parts) = content {
                    for (key, value) in parts {
                        match object.field(key) {
                            Some(field) => differences(value, &field.shape, &format!("{path}.{key}"), found),
                            None => found.push(format!("{} does not have {key} of {name}", object.name)),
                        }
                    }
                } else {
                    found.push(format!("{} does not have {name}", object.name));
                }
            }
        }
        _ => found.push(format!("{path} is not {}: {json}", object.name)),
    }
}

/// Evidence in which everything is there at least once.
pub(super) fn everything() -> Evidence {
    serde_json::from_str(include_str!("everything.json")).expect("the evidence of the test")
}

#[test]
fn the_table_has_what_the_evidence_has() {
    for evidence in [crate::evidence::unseen(Mode::Installed), everything()] {
        let json = serde_json::to_value(&evidence).expect("evidence can be written");
        let mut found = Vec::new();
        differences(&json, &super::super::run::WHOLE, "evidence", &mut found);
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// The fields of an object that the evidence of the test has at least once.
fn reached(
    json: &Json,
    shape: &'static Shape,
    seen: &mut std::collections::BTreeSet<(&'static str, &'static str)>,
) {
    match shape {
        Shape::Seen(_, inner) => {
            if let Some(value) = json["look"].get("seen") {
                reached(value, inner, seen);
            }
        }
        Shape::Optional(inner) if !json.is_null() => reached(json, inner, seen),
        Shape::List(inner) => {
            json.as_array().into_iter().flatten().for_each(|item| reached(item, inner, seen));
        }
        Shape::Object(object) => {
            for field in object.fields {
                let data = super::super::value::Data { json, shape, from: None };
                let stands = data.has(object, field).unwrap_or(false);
                if stands {
                    seen.insert((object.name, field.name));
                }
                let below = match (object.form, json) {
                    (Form::Tuple, Json::Array(parts)) => {
                        object.fields.iter().position(|it| it.name == field.name).and_then(|at| parts.get(at))
                    }
                    (Form::Variants, Json::Object(parts)) => {
                        parts.iter().next().and_then(|(name, content)| {
                            if name == field.name { Some(content) } else { content.get(field.key) }
                        })
                    }
                    _ => json.get(field.key),
                };
                if let Some(below) = below {
                    reached(below, &field.shape, seen);
                }
            }
        }
        _ => {}
    }
}

#[test]
fn the_evidence_of_the_test_has_every_field() {
    let json = serde_json::to_value(everything()).expect("evidence can be written");
    let mut seen = std::collections::BTreeSet::new();
    reached(&json, &super::super::run::WHOLE, &mut seen);
    let mut missing = Vec::new();
    for object in EVIDENCE.reachable() {
        for field in object.fields {
            if !seen.contains(&(object.name, field.name)) {
                missing.push(format!("{}.{}", object.name, field.name));
            }
        }
    }
    assert!(missing.is_empty(), "nothing shows that these can be read: {missing:?}");
}

#[test]
fn what_is_left_out_is_there() {
    let json = serde_json::to_value(everything()).expect("evidence can be written");
    assert!(json.get("requests").is_some());
    assert!(json["cluster"].get("clock_offset_s").is_some());
    assert!(json["backend"]["reviews"].get("account").is_some());
    let hpa = &json["hpas"]["look"]["seen"][0];
    let pod = &hpa["pods"]["look"]["seen"][0];
    let container = &pod["containers"][0];
    let has = [
        hpa.get("spec"),
        hpa.get("status"),
        pod.get("owner"),
        container.get("probed"),
        container.get("pointer"),
    ];
    assert!(has.iter().all(Option::is_some));
    let gate = &json["gate"];
    let [document, plan] = [&gate["manifests"]["documents"][0], &gate["plans"][0]];
    let has = [
        gate.get("live"),
        gate.get("namespaces"),
        gate["manifests"].get("problems"),
        gate["manifests"].get("files"),
        gate["manifests"].get("odd"),
        document.get("body"),
        document.get("place"),
        document.get("places"),
        plan.get("document"),
        gate["trials"][0].get("document"),
        plan["spec"].get("behavior"),
        plan["spec"]["metrics"][0].get("pointer"),
        plan["metrics"][0]["answer"]["look"]["seen"]["items"][0].get("containers"),
    ];
    assert!(has.iter().all(Option::is_some), "{has:?}");
    assert_eq!(LEFT_OUT.len(), 25, "look for the new one too");
}

#[test]
fn every_kind_of_observation_can_be_read() {
    let mut needs: std::collections::BTreeSet<Need> = std::collections::BTreeSet::new();
    for object in EVIDENCE.reachable() {
        for field in object.fields {
            let mut shape = &field.shape;
            while let Shape::Seen(_, inner) | Shape::Optional(inner) | Shape::List(inner) = shape {
                if let Shape::Seen(need, _) = shape {
                    needs.insert(*need);
                }
                shape = inner;
            }
        }
    }
    // Manifests are at hand, namespaces of a gate are left out, and which API answers for a metric its type says.
    let of_gate = [
        Need::Manifests,
        Need::Namespaces,
        Need::LimitRanges,
        Need::Quotas,
        Need::OtherAutoscalers,
        Need::PodMetrics,
        Need::ExternalMetrics,
    ];
    needs.extend(of_gate);
    // And what machines, probes and policies are looked at for is left out with them.
    let from_within = |need: &&Need| {
        matches!(need.grant(), Grant::Host | Grant::Probe)
            || matches!(need, Need::NetworkPolicies | Need::ApiServers)
    };
    needs.extend(Need::ALL.iter().filter(from_within));
    let missing: Vec<&Need> = Need::ALL.iter().filter(|need| !needs.contains(need)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_reference_has_every_field_and_function() {
    let text = super::super::reference::markdown();
    for object in EVIDENCE.reachable() {
        assert!(text.contains(&format!("### {}\n", object.name)));
        assert!(object.fields.iter().all(|field| text.contains(&format!("| `{}` |", field.name))));
    }
    assert!(text.contains("`cidr.containsIP(ip): bool`"));
}
