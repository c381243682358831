//! The schema of the files for editors: `docs/rules.schema.json`, made from the types that read them.

use super::super::file::File;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rules.schema.json");

#[test]
fn the_schema_is_that_of_the_types() {
    let schema =
        schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<File>();
    let mut schema = serde_json::to_value(schema).expect("a schema");
    schema["title"] = "Rules of metrics-preflight".into();
    let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(PATH, &text).expect("the schema can be written");
    }
    let mut stands = String::new();
    let read = std::fs::OpenOptions::new().read(true).open(PATH);
    std::io::Read::read_to_string(&mut read.expect("the schema"), &mut stands).expect("text");
    assert!(
        stands == text,
        "docs/rules.schema.json is stale: UPDATE=1 cargo test -p metrics-preflight-checks schema"
    );
}
