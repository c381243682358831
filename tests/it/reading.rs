//! Every format read back, as its readers do: whether it is sound, and what it says of the verdict and the exit code.
//!
//! The unit tests of the formats use this file as well.

use std::sync::LazyLock;

use serde_json::Value;

/// What `-o` takes, but for the table.
pub(crate) const FORMATS: [&str; 9] =
    ["short", "json", "yaml", "junit", "sarif", "github", "gitlab", "markdown", "html"];

/// What a document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// The verdict, `none` for none; nothing where the format cannot tell.
    pub(crate) verdict: Option<String>,
    /// The exit code; nothing where the format cannot tell.
    pub(crate) exit: Option<i64>,
    /// Whether its reader shows it as failed.
    pub(crate) red: bool,
}

impl Said {
    /// Compares with what the run came to.
    pub(crate) fn agrees(&self, verdict: &str, exit: i64) -> Result<(), String> {
        let verdict_fits = self.verdict.as_ref().is_none_or(|said| said == verdict);
        let exit_fits = self.exit.is_none_or(|said| said == exit);
        if verdict_fits && exit_fits && self.red == (exit != 0) {
            return Ok(());
        }
        Err(format!("says {self:?} where the verdict is {verdict} and the exit code {exit}"))
    }
}

/// Reads a document; an error says what is wrong with it.
pub(crate) fn read(format: &str, text: &str) -> Result<Said, String> {
    if !text.ends_with('\n') || text.ends_with("\n\n") {
        return Err("it does not end with one line break".to_owned());
    }
    match format {
        "short" => last_line(text, ""),
        "json" => json(text),
        "yaml" => yaml(text),
        "junit" => junit(text),
        "sarif" => sarif(text),
        "github" => github(text),
        "gitlab" => gitlab(text),
        "markdown" => markdown(text),
        "html" => html(text),
        _ => Err("there is no such format".to_owned()),
    }
}

/// The document of a YAML text.
pub(crate) fn yaml_value(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

fn json(text: &str) -> Result<Said, String> {
    of_document(&serde_json::from_str(text).map_err(|error| error.to_string())?)
}

fn yaml(text: &str) -> Result<Said, String> {
    of_document(&yaml_value(text)?)
}

fn of_document(document: &Value) -> Result<Said, String> {
    let exit = document["exit_code"].as_i64().ok_or("no exit code")?;
    let verdict = document["verdict"].as_str().unwrap_or("none");
    Ok(Said { verdict: Some(verdict.to_owned()), exit: Some(exit), red: exit != 0 })
}

/// `verdict fail, exit code 1: ...`, behind `lead`.
fn last_line(text: &str, lead: &str) -> Result<Said, String> {
    let last = text.lines().last().unwrap_or_default();
    said(last.strip_prefix(lead).ok_or_else(|| format!("the last line is {last:?}"))?)
}

fn said(line: &str) -> Result<Said, String> {
    let wrong = || format!("no verdict: {line:?}");
    let rest = line.strip_prefix("verdict ").ok_or_else(wrong)?;
    let (verdict, rest) = rest.split_once(", exit code ").ok_or_else(wrong)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let exit: i64 = digits.parse().map_err(|_| wrong())?;
    Ok(Said { verdict: Some(verdict.to_owned()), exit: Some(exit), red: exit != 0 })
}

/// Whether an element keeps to a schema of which elements have their names once: attributes that are declared and those
/// that are required, and elements that may stand in it. Of types only the patterns are looked at.
fn keeps_to(element: roxmltree::Node<'_, '_>, schema: roxmltree::Node<'_, '_>) -> Result<(), String> {
    let name = element.tag_name().name();
    let declared = |kind: &str, name: &str| {
        let mut all = schema.children().filter(|node| node.tag_name().name() == kind);
        all.find(|node| node.attribute("name") == Some(name))
    };
    let declaration = declared("element", name).ok_or_else(|| format!("the schema has no {name}"))?;
    let is_plain = declaration.attribute("type").is_some();
    let attributes = || declaration.descendants().filter(|node| node.tag_name().name() == "attribute");
    for attribute in element.attributes() {
        let own = attributes().find(|node| node.attribute("name") == Some(attribute.name()));
        let own = own.ok_or_else(|| format!("the schema has no {}/@{}", name, attribute.name()))?;
        let limits = own.attribute("type").and_then(|kind| declared("simpleType", kind));
        if limits.is_some() && !attribute.value().bytes().all(|it| it.is_ascii_digit() || b".,".contains(&it))
        {
            return Err(format!("{name}/@{} is {:?}", attribute.name(), attribute.value()));
        }
    }
    for required in attributes().filter(|node| node.attribute("use") == Some("required")) {
        let wanted = required.attribute("name").unwrap_or_default();
        if element.attribute(wanted).is_none() {
            return Err(format!("the schema wants {name}/@{wanted}"));
        }
    }
    for child in element.children().filter(roxmltree::Node::is_element) {
        let mut inner = declaration.descendants().filter(|node| node.tag_name().name() == "element");
        if is_plain || !inner.any(|node| node.attribute("ref") == Some(child.tag_name().name())) {
            return Err(format!("the schema has no {:?} in {name}", child.tag_name()));
        }
        keeps_to(child, schema)?;
    }
    Ok(())
}

/// A document of JUnit with a suite that holds this.
pub(crate) fn suite(inner: &str) -> String {
    format!(
        "<testsuites><testsuite name='a' tests='1' failures='0' errors='0'>{inner}</testsuite></testsuites>"
    )
}

/// What a suite may hold.
pub(crate) const SOUND: &str = "<properties><property name='a' value='b'/></properties><testcase name='a' time='0.000'>\
     <failure message='m'>t</failure><system-out>o</system-out></testcase>";

/// What it may not hold, and how we say so.
pub(crate) const WRONG: [(&str, &str); 5] = [
    ("<testcase name='a' line='3'/>", "the schema has no testcase/@line"),
    ("<testcase classname='a'/>", "the schema wants testcase/@name"),
    ("<testcase name='a'><note/></testcase>", "the schema has no "),
    ("<failure/>", "the schema has no "),
    ("<testsuite name='a' tests='1' failures='0' errors='0' time='soon'/>", "testsuite/@time is \"soon\""),
];

#[test]
fn the_schema_of_junit_refuses_what_it_does_not_have() {
    let schema = roxmltree::Document::parse(include_str!("../schemas/junit-10.xsd")).expect("XML");
    let judged = |text: &str| {
        let document = roxmltree::Document::parse(text).expect("XML");
        keeps_to(document.root_element(), schema.root_element()).err().unwrap_or_default()
    };
    assert_eq!(judged(&suite(SOUND)), "");
    for (inner, wrong) in WRONG {
        assert!(judged(&suite(inner)).starts_with(wrong), "{inner}: {}", judged(&suite(inner)));
    }
    assert_eq!(judged("<testsuites skipped='1'/>"), "the schema has no testsuites/@skipped");
}

/// The schema of the xUnit plugin of Jenkins, and beyond it order and counts.
fn junit(text: &str) -> Result<Said, String> {
    let document = roxmltree::Document::parse(text).map_err(|error| error.to_string())?;
    let root = document.root_element();
    let schema = roxmltree::Document::parse(include_str!("../schemas/junit-10.xsd")).expect("XML");
    keeps_to(root, schema.root_element())?;
    let number = |node: roxmltree::Node<'_, '_>, name: &str| -> Result<usize, String> {
        let value = node.attribute(name).ok_or_else(|| format!("{name} is missing"))?;
        value.parse().map_err(|_| format!("{name} is {value}"))
    };
    if !root.has_tag_name("testsuites") {
        return Err(format!("the root is {:?}", root.tag_name()));
    }
    let mut names = std::collections::HashSet::new();
    let mut sums = [0; 4];
    let mut verdict = None;
    let mut exit = None;
    for suite in root.children().filter(roxmltree::Node::is_element) {
        if !suite.has_tag_name("testsuite") || suite.attribute("name").is_none_or(str::is_empty) {
            return Err("a suite without a name".to_owned());
        }
        let mut counted = [0; 4];
        for child in suite.children().filter(roxmltree::Node::is_element) {
            if child.has_tag_name("properties") && counted[0] == 0 {
                let value = |name: &str| {
                    let mut properties = child.children().filter(|node| node.has_tag_name("property"));
                    properties.find(|it| it.attribute("name") == Some(name))?.attribute("value")
                };
                verdict = verdict.or(value("verdict").map(str::to_owned));
                exit = exit.or(value("exit_code").and_then(|value| value.parse().ok()));
                continue;
            }
            if !child.has_tag_name("testcase") {
                return Err(format!("{:?} in a suite", child.tag_name()));
            }
            let key = (child.attribute("classname"), child.attribute("name"));
            if key.0.is_none_or(str::is_empty) || key.1.is_none_or(str::is_empty) || !names.insert(key) {
                return Err(format!("the case {key:?} has no name of its own"));
            }
            let has = |name: &str| child.children().filter(|node| node.has_tag_name(name)).count();
            let (failures, errors, skipped) = (has("failure"), has("error"), has("skipped"));
            let outputs = has("system-out");
            let all = child.children().filter(roxmltree::Node::is_element).count();
            if failures + errors + skipped > 1 || outputs > 1 || all != failures + errors + skipped + outputs
            {
                return Err(format!("the case {key:?} has more than one result"));
            }
            for (sum, one) in counted.iter_mut().zip([1, failures, errors, skipped]) {
                *sum += one;
            }
        }
        for (index, name) in ["tests", "failures", "errors", "skipped"].into_iter().enumerate() {
            if number(suite, name)? != counted[index] {
                return Err(format!("{name} of a suite are miscounted"));
            }
            sums[index] += counted[index];
        }
    }
    for (index, name) in ["tests", "failures", "errors"].into_iter().enumerate() {
        if number(root, name)? != sums[index] {
            return Err(format!("{name} are miscounted"));
        }
    }
    Ok(Said {
        verdict: Some(verdict.ok_or("no verdict")?),
        exit: Some(exit.ok_or("no exit code")?),
        red: sums[1] + sums[2] > 0,
    })
}

static SARIF: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    // The pattern of a language has a bracket too many, which the erratum to the standard has taken out.
    let text = include_str!("../schemas/sarif-2.1.0.json");
    let text = text.replace("^[a-zA-Z]{2}|^[a-zA-Z]{2}-[a-zA-Z]{2}]?$", "^[a-zA-Z]{2}(-[a-zA-Z]{2})?$");
    let schema = serde_json::from_str(&text).expect("JSON");
    jsonschema::validator_for(&schema).expect("a schema")
});

fn sarif(text: &str) -> Result<Said, String> {
    let log: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let faults: Vec<String> =
        SARIF.iter_errors(&log).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    if !faults.is_empty() {
        return Err(faults.join("; "));
    }
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut prints = std::collections::HashSet::new();
    for result in run["results"].as_array().into_iter().flatten() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        if rules.get(index).is_none_or(|rule| rule["id"] != result["ruleId"]) {
            return Err(format!("{} is not the rule at {index}", result["ruleId"]));
        }
        if !prints.insert(result["partialFingerprints"].to_string()) {
            return Err("two results have one fingerprint".to_owned());
        }
        if !result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].is_string() {
            return Err("a result without a place, which code scanning refuses".to_owned());
        }
    }
    let invocation = &run["invocations"][0];
    let exit = invocation["exitCode"].as_i64().ok_or("no exit code")?;
    let grave = |list: &Value| list.as_array().into_iter().flatten().any(|it| it["level"] == "error");
    let successful = invocation["executionSuccessful"].as_bool().ok_or("no success")?;
    if successful != (exit <= 1) || (!successful && !grave(&invocation["toolExecutionNotifications"])) {
        return Err(format!("successful is {successful} with the exit code {exit}, or nothing says why"));
    }
    if exit == 1 && run["results"].as_array().is_none_or(Vec::is_empty) {
        return Err("findings without a result".to_owned());
    }
    let verdict = run["properties"]["verdict"].as_str().unwrap_or("none");
    Ok(Said { verdict: Some(verdict.to_owned()), exit: Some(exit), red: exit != 0 })
}

fn github(text: &str) -> Result<Said, String> {
    for line in text.lines() {
        let sound =
            ["::error title=", "::warning title=", "::notice title="].iter().any(|it| line.starts_with(it));
        let properties = line.trim_start_matches(':').split_once("::").map(|(properties, _)| properties);
        let known = properties.is_some_and(|properties| {
            let (_, properties) = properties.split_once(' ').unwrap_or_default();
            let mut keys = properties.split(',').map(|it| it.split_once('=').map_or("", |(key, _)| key));
            keys.all(|key| ["title", "file", "line", "col", "endLine"].contains(&key))
        });
        if !sound || !known || line.contains('\r') {
            return Err(format!("no command: {line:?}"));
        }
    }
    let last = text.lines().last().unwrap_or_default();
    let (lead, line) = last.split_once(" title=metrics-preflight::").ok_or("no verdict")?;
    let said = said(line)?;
    if lead != if said.exit > Some(1) { "::error" } else { "::notice" } {
        return Err(format!("the verdict is a {lead}"));
    }
    Ok(said)
}

/// The form that GitLab documents, and whether its widget counts something as major.
fn gitlab(text: &str) -> Result<Said, String> {
    let list: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let list = list.as_array().ok_or("no list")?;
    let mut prints = std::collections::HashSet::new();
    let mut counted = Vec::new();
    for entry in list {
        let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        let keys: Vec<&str> =
            entry.as_object().ok_or("an entry is no object")?.keys().map(String::as_str).collect();
        if keys != ["check_name", "description", "fingerprint", "location", "severity"] {
            return Err(format!("the keys {keys:?}"));
        }
        let path = entry["location"]["path"].as_str().ok_or("no path")?;
        if path.is_empty() || path.split('/').any(|segment| ["", ".", ".."].contains(&segment)) {
            return Err(format!("the path {path:?}"));
        }
        if !text(&entry["description"]) || !text(&entry["check_name"]) {
            return Err("an entry that says nothing".to_owned());
        }
        if entry["location"]["lines"]["begin"].as_u64().is_none_or(|line| line == 0) {
            return Err("an entry without a line".to_owned());
        }
        if !prints.insert(entry["fingerprint"].as_str().ok_or("no fingerprint")?) {
            return Err("two entries have one fingerprint".to_owned());
        }
        let severity = entry["severity"].as_str().ok_or("no severity")?;
        if !["info", "minor", "major", "critical", "blocker"].contains(&severity) {
            return Err(format!("the severity {severity}"));
        }
        if ["major", "critical", "blocker"].contains(&severity) {
            counted.push(entry);
        }
    }
    Ok(Said { verdict: None, exit: None, red: !counted.is_empty() })
}

fn markdown(text: &str) -> Result<Said, String> {
    let mut lines = text.lines();
    let heading = lines.next().unwrap_or_default();
    let line = lines.nth(1).unwrap_or_default();
    let said = said(line.trim_matches('*'))?;
    let good = heading.starts_with("## ✅ ");
    if !heading.starts_with("## ") || good != (said.verdict.as_deref() == Some("pass") && !said.red) {
        return Err(format!("the heading {heading:?}"));
    }
    Ok(said)
}

fn html(text: &str) -> Result<Said, String> {
    let start = "<!DOCTYPE html>\n<html lang=\"en\" data-verdict=\"";
    let rest = text.strip_prefix(start).ok_or("not a page")?;
    let (verdict, rest) = rest.split_once("\" data-exit-code=\"").ok_or("no exit code")?;
    let (exit, _) = rest.split_once("\">").ok_or("no exit code")?;
    let exit: i64 = exit.parse().map_err(|_| format!("the exit code {exit}"))?;
    if !text.ends_with("</html>\n") {
        return Err("half a page".to_owned());
    }
    for forbidden in ["<script", "<link", "<img", "<iframe", "@import", "javascript:", " style=", " on"] {
        let tags = tags(text);
        if tags.iter().any(|tag| tag.contains(forbidden)) {
            return Err(format!("{forbidden} in a tag"));
        }
    }
    if tags(text).iter().any(|tag| tag.contains("src=") || tag.contains("href=")) {
        return Err("something that is to be loaded".to_owned());
    }
    let green = text.contains("<div class=\"tone pass\">");
    if green != (verdict == "pass" && exit == 0) {
        return Err("the colour of the headline is wrong".to_owned());
    }
    Ok(Said { verdict: Some(verdict.to_owned()), exit: Some(exit), red: exit != 0 })
}

/// Everything between `<` and `>`, in its order.
pub(crate) fn tags(text: &str) -> Vec<&str> {
    text.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default()).collect()
}
