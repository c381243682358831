use super::*;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/config.schema.json");

fn parsed(text: &str) -> Result<Config, Vec<Problem>> {
    parse(NAME, text, Path::new(env!("CARGO_MANIFEST_DIR")))
}

fn refused(text: &str) -> String {
    let problems = parsed(text).expect_err("it cannot be used");
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn schema() -> serde_json::Value {
    let mut schema =
        schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<File>();
    schema.insert("$id".to_owned(), "urn:metrics-preflight:config:1".into());
    schema.insert("title".to_owned(), "The configuration of metrics-preflight, version 1".into());
    schema.to_value()
}

/// `UPDATE=1 cargo test` writes the schema anew.
#[test]
fn the_published_schema_is_that_of_the_types() {
    let text = serde_json::to_string_pretty(&schema()).expect("JSON") + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(SCHEMA, &text).expect("the schema is written");
    }
    let published = std::fs::read_to_string(SCHEMA).unwrap_or_default();
    assert!(published == text, "{SCHEMA} is stale: run UPDATE=1 cargo test");
}

#[test]
fn everything_that_can_be_set_is_set_and_told() {
    let config = parsed(
        "version: 1\nfailOn: warning\nstrict: true\nallowUndecided: false\nkubelets: never\n\
         namespace: shop\ntargetVersion: \"1.34\"\nrules: [docs/rules]\n",
    );
    let config = config.expect("it can be used");
    assert_eq!(config.fail_on, Some(Severity::Warning));
    assert_eq!((config.strict, config.allow_undecided), (Some(true), Some(false)));
    assert_eq!((config.namespace.as_deref(), config.target_minor), (Some("shop"), Some(34)));
    assert_eq!(config.rules, [Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules")]);
    let told = config.settings();
    assert_eq!(told.len(), 7, "{told:?}");
    assert_eq!(told[..4], ["failOn warning", "strict true", "allowUndecided false", "kubelets never"]);
    assert!(parsed("version: 1\n").expect("it can be used").settings().is_empty());
}

#[test]
fn what_cannot_be_used_is_refused_at_its_place() {
    for (text, place, word) in [
        ("version: 1\nfailon: error\n", ":2:1: ", "did you mean `failOn`?"),
        ("version: 1\nfailOn: warnin\n", ":2:9: ", "did you mean `warning`?"),
        ("version: 2\n", ":1:10: ", "this version reads `version: 1`"),
        ("version: 1\nnamespace: ../x\n", ":2:12: ", "no name of a namespace"),
        ("version: 1\ntargetVersion: \"2.1\"\n", ":2:16: ", "such as \"1.34\""),
        ("version: 1\nrules: [/etc]\n", ":2:9: ", "below the directory"),
        ("version: 1\nrules: [docs/../../x]\n", ":2:9: ", "below the directory"),
        ("version: 1\nrules: [not-there]\n", ":2:9: ", "cannot be read"),
    ] {
        let said = refused(text);
        assert!(said.starts_with(&format!("{NAME}{place}")), "{text}: {said}");
        assert!(said.contains(word) && said.contains('^'), "{text}: {said}");
    }
    assert!(refused("").contains(NAME) && refused("failOn: error\n").contains("version"));
}

#[test]
fn what_a_stranger_may_not_name_has_no_key() {
    for key in ["kubeconfig", "context", "output", "record", "replay", "baseline", "timeout"] {
        assert!(
            refused(&format!("version: 1\n{key}: x\n")).contains(&format!("unknown field `{key}`")),
            "{key}"
        );
    }
}

#[test]
fn a_waiver_says_everything() {
    let whole = "version: 1\nwaivers:\n  - code: MP501\n    subject: Node n*\n    reason: they go\n    owner: ops\n    \
                 expires: 2027-01-31\n";
    let config = parsed(whole).expect("it can be used");
    assert_eq!((config.waivers[0].place.line, config.waivers[0].place.column), (3, 11));
    assert_eq!(config.waivers[0].expires.to_string(), "2027-01-31");
    assert_eq!(config.settings(), ["1 waiver"]);
    for line in whole.lines().skip(3) {
        assert!(refused(&whole.replace(&format!("{line}\n"), "")).contains("missing field"), "{line}");
    }
    for (from, to, word) in [
        ("MP501", "MP591", "no such check"),
        ("MP501", "MP091", "no such check"),
        ("Node n*", "'*'", "write the kind"),
        ("Node n*", "Node*", "write the kind"),
        ("Node n*", "Node n*1", "write the kind"),
        ("they go", "' '", "needs a text"),
        ("2027-01-31", "2027-02-31", "give a day"),
        ("2027-01-31", "never", "give a day"),
    ] {
        assert!(refused(&whole.replace(from, to)).contains(word), "{to}");
    }
    assert!(parsed(&whole.replace("MP501", "ORG-1").replace("Node n*", "cluster")).is_ok());
}

#[cfg(unix)]
#[test]
fn a_link_does_not_lead_out() {
    let folder = std::env::temp_dir().join(format!("metrics-preflight-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a scratch directory");
    let link = folder.join("out.yaml");
    let made = std::os::unix::fs::symlink("/etc/hostname", &link);
    let refused = parse(NAME, "version: 1\nrules: [out.yaml]\n", &folder);
    let _ = std::fs::remove_dir_all(&folder);
    made.expect("a link");
    assert!(refused.expect_err("it leads out")[0].message.contains("leads out"));
}
