//! Which labels a selector matches.

use std::collections::BTreeMap;

use serde_json::Value;

/// Labels by key.
pub type Labels = BTreeMap<String, String>;

/// A label selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Reads a `LabelSelector`, of `matchLabels` and `matchExpressions`; nothing where it is none.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        let value = value.as_object()?;
        let mut requirements = Vec::new();
        for (key, value) in value.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            requirements
                .push(Requirement { key: key.clone(), test: Test::In(vec![value.as_str()?.to_owned()]) });
        }
        let expressions = value.get("matchExpressions").and_then(Value::as_array);
        for expression in expressions.into_iter().flatten() {
            let values = expression["values"].as_array().into_iter().flatten();
            let values: Vec<String> = values.filter_map(Value::as_str).map(str::to_owned).collect();
            let test = match expression["operator"].as_str()? {
                "In" => Test::In(values),
                "NotIn" => Test::NotIn(values),
                "Exists" => Test::Exists,
                "DoesNotExist" => Test::DoesNotExist,
                _ => return None,
            };
            requirements.push(Requirement { key: expression["key"].as_str()?.to_owned(), test });
        }
        Some(Self(requirements))
    }

    /// The selector of exactly these labels.
    #[must_use]
    pub fn of(labels: &Labels) -> Self {
        let requirement = |(key, value): (&String, &String)| Requirement {
            key: key.clone(),
            test: Test::In(vec![value.clone()]),
        };
        Self(labels.iter().map(requirement).collect())
    }

    /// Reads a selector as `status.selector` of a scale writes it: `app=web,tier in (a,b),!canary`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut requirements = Vec::new();
        for part in split(text)? {
            requirements.push(requirement(part.trim())?);
        }
        Some(Self(requirements))
    }

    /// Whether these labels match. A selector without requirements matches everything.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.test {
                Test::In(values) => value.is_some_and(|value| values.contains(value)),
                Test::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Test::Exists => value.is_some(),
                Test::DoesNotExist => value.is_none(),
            }
        })
    }

    /// The labels that it asks for by their values, of which each has one.
    pub(super) fn asked(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().filter_map(|Requirement { key, test }| match test {
            Test::In(values) => Some((key.as_str(), values.as_slice())),
            _ => None,
        })
    }

    /// The keys that it asks for.
    #[must_use]
    pub fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|requirement| requirement.key.as_str()).collect()
    }

    /// Whether it has no requirement at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, Requirement { key, test }) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match test {
                Test::In(values) if values.len() == 1 => write!(f, "{key}={}", values[0])?,
                Test::In(values) => write!(f, "{key} in ({})", values.join(","))?,
                Test::NotIn(values) => write!(f, "{key} notin ({})", values.join(","))?,
                Test::Exists => f.write_str(key)?,
                Test::DoesNotExist => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

/// The parts between the commas that stand in no brackets.
fn split(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut inside) = (Vec::new(), 0, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'(' if !inside => inside = true,
            b')' if inside => inside = false,
            b'(' | b')' => return None,
            b',' if !inside => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    if inside {
        return None;
    }
    if !text.trim().is_empty() {
        parts.push(&text[start..]);
    }
    Some(parts)
}

fn requirement(part: &str) -> Option<Requirement> {
    if let Some(key) = part.strip_prefix('!') {
        return named(key.trim(), Test::DoesNotExist);
    }
    if let Some((key, value)) = part.split_once("!=") {
        return named(key.trim(), Test::NotIn(vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = part.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value);
        return named(key.trim(), Test::In(vec![value.trim().to_owned()]));
    }
    let Some((head, values)) = part.split_once('(') else { return named(part, Test::Exists) };
    let values = values.strip_suffix(')')?.split(',').map(|value| value.trim().to_owned()).collect();
    let (key, operator) = head.trim().rsplit_once(char::is_whitespace)?;
    match operator {
        "in" => named(key.trim(), Test::In(values)),
        "notin" => named(key.trim(), Test::NotIn(values)),
        _ => None,
    }
}

fn named(key: &str, test: Test) -> Option<Requirement> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
    (!key.is_empty() && key.bytes().all(plain)).then(|| Requirement { key: key.to_owned(), test })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_operator_matches_as_the_api_defines_it() {
        let pod = labels(&[("app", "web"), ("tier", "front"), ("empty", "")]);
        for (selector, expected) in [
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "web", "tier": "back"}}), false),
            (json!({"matchLabels": {"empty": ""}}), true),
            (json!({"matchLabels": {"absent": ""}}), false),
            (
                json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["back", "front"]}]}),
                true,
            ),
            (json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["back"]}]}), true),
            (json!({"matchExpressions": [{"key": "absent", "operator": "NotIn", "values": ["back"]}]}), true),
            (json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}), true),
            (json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}), false),
            (json!({}), true),
        ] {
            let read = Selector::read(&selector).expect("a selector");
            assert_eq!(read.matches(&pod), expected, "{selector}");
            assert_eq!(Selector::parse(&read.to_string()), Some(read.clone()), "{read}");
        }
        assert_eq!(Selector::read(&json!({"matchExpressions": [{"key": "a", "operator": "Like"}]})), None);
        assert_eq!(Selector::read(&json!("app=web")), None);
    }

    #[test]
    fn reads_the_selector_of_a_scale() {
        let pod = labels(&[("app", "web"), ("tier", "front")]);
        for (text, expected) in [
            ("app=web", true),
            ("app==web,tier!=back", true),
            ("app = web , tier in (back, front)", true),
            ("tier notin (front)", false),
            ("app,!canary", true),
            ("!app", false),
            ("", true),
        ] {
            assert_eq!(Selector::parse(text).expect("a selector").matches(&pod), expected, "{text}");
        }
        for text in ["{\"app\":\"web\"}", "app in (web", "tier like (x)", "app=a,,b", "in (a)"] {
            assert_eq!(Selector::parse(text), None, "{text}");
        }
    }
}
