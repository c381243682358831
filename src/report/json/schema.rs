//! The published schema: generated from the types, and every document is valid against it.

use schemars::generate::SchemaSettings;

use super::Document;
use crate::report::testing;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/report.schema.json");

fn generated() -> serde_json::Value {
    let mut schema = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<Document<'static>>();
    schema.insert("$id".to_owned(), "urn:metrics-preflight:report:1".into());
    schema.insert("title".to_owned(), "The report of metrics-preflight, format 1".into());
    schema.to_value()
}

/// `UPDATE=1 cargo test` writes the schema anew.
#[test]
fn the_published_schema_is_that_of_the_types() {
    let text = serde_json::to_string_pretty(&generated()).expect("JSON") + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(PATH, &text).expect("the schema is written");
    }
    let published = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(published == text, "{PATH} is stale: run UPDATE=1 cargo test");
}

#[test]
fn every_document_is_valid() {
    let validator = jsonschema::draft202012::new(&generated()).expect("a schema");
    for (name, text) in testing::documents() {
        let document: serde_json::Value = serde_json::from_str(&text).expect("a document");
        let faults: Vec<String> = validator
            .iter_errors(&document)
            .map(|fault| format!("{}: {fault}", fault.instance_path()))
            .collect();
        assert!(faults.is_empty(), "{name}: {faults:#?}");
    }
}

#[test]
fn the_schema_refuses_what_is_not_a_report() {
    let validator = jsonschema::draft202012::new(&generated()).expect("a schema");
    let (_, text) = testing::documents().remove(0);
    let mut document: serde_json::Value = serde_json::from_str(&text).expect("a document");
    document["verdict"] = "fine".into();
    assert!(!validator.is_valid(&document));
    document["verdict"] = "pass".into();
    document.as_object_mut().expect("an object").remove("exit_code");
    assert!(!validator.is_valid(&document));
}
