//! What holds for any input.

use checks::evidence::{Manifests, Place};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::tree::{At, Content, Node};
use super::{Memory, Reader, read_text, scalar, tree};

/// Words and marks that make up manifests, and break them.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("apiVersion: v1\nkind: Pod\n".to_owned()),
        Just("apiVersion: v1\nkind: List\nitems:\n".to_owned()),
        Just("metadata: {name: web}\n".to_owned()),
        Just("\n---\n".to_owned()),
        Just("&a ".to_owned()),
        Just("*a\n".to_owned()),
        Just("<<: *a\n".to_owned()),
        Just("{{ .Values.x }}".to_owned()),
        Just("${X}".to_owned()),
        Just("|\n  text\n".to_owned()),
        Just("!!str ".to_owned()),
        Just("\r\n".to_owned()),
        Just("\r".to_owned()),
        Just("\t".to_owned()),
        Just("名".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("\u{85}\u{2028}".to_owned()),
        "[ \\-:{}\\[\\],\"'#?%>|\n]{1,4}",
        "[a-z0-9]{1,6}(: |\n)?",
        "\\PC{0,6}",
    ]
}

fn manifest() -> impl Strategy<Value = String> {
    prop::collection::vec(fragment(), 0..40).prop_map(|parts| parts.concat())
}

/// A place lies within its file, or right behind the end of a line of it.
fn lies_inside(manifests: &Manifests, place: &Place) -> Result<(), String> {
    let lines = manifests.files.get(&place.file).ok_or("no such file")?;
    let fits = |line: usize, column: usize| {
        let length = match line.checked_sub(1).map(|index| lines.get(index)) {
            Some(Some(line)) => line.chars().count(),
            Some(None) if line == lines.len() + 1 => 0,
            _ => return false,
        };
        (1..=length + 1).contains(&column)
    };
    let ordered = (place.line, place.column) <= (place.end_line, place.end_column);
    if fits(place.line, place.column) && fits(place.end_line, place.end_column) && ordered {
        return Ok(());
    }
    Err(format!("{place:?} in {lines:?}"))
}

/// JSON as people and programs write it.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1000_i32..1000, 1_i32..9)
            .prop_map(|(whole, tenth)| json!(f64::from(whole) + f64::from(tenth) / 10.0)),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!("\u{1}\t\n\r\u{1f600}\\\"/")),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("\\PC{1,8}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn object(value: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "x": value})
}

/// Every plain or quoted scalar of a tree with the text of its place.
fn scalars<'n>(node: &'n Node, found: &mut Vec<(&'n Value, At, At)>) {
    match &node.content {
        Content::Scalar(value) => found.push((value, node.range.start, node.range.end)),
        Content::List(items) => items.iter().for_each(|item| scalars(item, found)),
        Content::Map(entries) => entries.iter().for_each(|entry| scalars(&entry.value, found)),
        Content::Alias(_) => {}
    }
}

proptest! {
    #[test]
    fn bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut reader = Reader::default();
        reader.file("a", &bytes, true);
        let manifests = reader.reading.manifests;
        prop_assert!(!manifests.problems.is_empty() || !manifests.documents.is_empty());
    }

    #[test]
    fn every_place_lies_in_its_file(text in manifest()) {
        let reading = read_text("a", &text);
        let manifests = &reading.manifests;
        for problem in &manifests.problems {
            prop_assert_eq!(lies_inside(manifests, &problem.place), Ok(()), "{:?}", problem);
        }
        for document in &manifests.documents {
            for place in document.places.values().chain([&document.place]) {
                prop_assert_eq!(lies_inside(manifests, place), Ok(()));
            }
            for pointer in document.places.keys().filter(|pointer| !pointer.ends_with('#')) {
                prop_assert!(document.body.pointer(pointer).is_some(), "{}", pointer);
            }
        }
    }

    #[test]
    fn a_place_can_be_shown(text in manifest(), width in 0_usize..120) {
        let reading = read_text("a", &text);
        for problem in &reading.manifests.problems {
            for line in super::snippet(&reading.manifests, &problem.place, width) {
                prop_assert!(!line.contains(char::is_control), "{:?}", line);
            }
        }
    }

    #[test]
    fn json_is_what_serde_makes_of_it(value in json_value(), pretty in any::<bool>()) {
        let object = object(&value);
        let text = if pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) };
        let text = text.expect("JSON can be written");
        let reading = read_text("a.json", &text);
        prop_assert_eq!(&reading.manifests.problems, &[]);
        prop_assert_eq!(&reading.manifests.documents[0].body, &object, "{}", text);
    }

    #[test]
    fn kube_reads_the_same_yaml(value in json_value()) {
        let object = object(&value);
        let text = serde_saphyr::to_string(&object).expect("YAML can be written");
        let reading = read_text("a.yaml", &text);
        prop_assert_eq!(&reading.manifests.problems, &[], "{}", text);
        let kube: Value = serde_saphyr::from_str(&text).expect("it reads what it wrote");
        prop_assert_eq!(&reading.manifests.documents[0].body, &kube, "{}", text);
    }

    #[test]
    fn the_text_at_a_place_is_the_value(text in manifest()) {
        // The parser takes a byte order mark at the beginning of any line of a document's head for none of its columns.
        let text = text.replace('\u{feff}', "");
        let lines: Vec<&str> = super::pieces::lines(&text).collect();
        for document in tree::read(&text, At { line: 1, column: 1 }, &mut Memory::new()).documents {
            let mut found = Vec::new();
            scalars(&document, &mut found);
            for (value, start, end) in found.into_iter().filter(|(_, start, end)| start.line == end.line && start != end) {
                let line: Vec<char> = lines[start.line - 1].chars().collect();
                let shown: String = line[start.column - 1..end.column - 1].iter().collect();
                let quoted = shown.starts_with(['"', '\'']);
                let is_tagged_or_block = shown.starts_with(['|', '>']);
                if quoted || is_tagged_or_block {
                    continue;
                }
                let again = scalar::resolve(&shown);
                // A block ends with a line break, which stands at no place of its own.
                let words = value.as_str().map(|words| words.strip_suffix('\n').unwrap_or(words));
                prop_assert!(again.as_ref() == Ok(value) || words == Some(&shown), "{:?} {:?}", shown, value);
            }
        }
    }
}
