//! Changes of single fields.

use serde_json::{Map, Value};

/// Does to an object what a change of one of its fields does: writes the value, with the maps on the way that lack, or
/// takes the field out. Nothing where that cannot be.
#[must_use]
pub fn change(body: &mut Value, pointer: &str, value: Option<&Value>) -> Option<()> {
    let mut at = body;
    let steps = pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
    let mut steps = steps.peekable();
    while let Some(step) = steps.next() {
        if let Value::Array(list) = at {
            at = list.get_mut(step.parse::<usize>().ok()?)?;
            continue;
        }
        if at.is_null() && value.is_some() {
            *at = Value::Object(Map::new());
        }
        let map = at.as_object_mut()?;
        match value {
            None if steps.peek().is_none() => return map.remove(&step).map(|_| ()),
            None => at = map.get_mut(&step)?,
            Some(_) => at = map.entry(step).or_insert(Value::Null),
        }
    }
    *at = value?.clone();
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_written_and_taken_out() {
        let mut body = json!({"a": [{"b": 1}], "c/d": null});
        assert_eq!(change(&mut body, "/a/0/e/f", Some(&json!(2))), Some(()));
        assert_eq!(change(&mut body, "/c~1d/g", Some(&json!("h"))), Some(()));
        assert_eq!(change(&mut body, "/a/0/b", None), Some(()));
        assert_eq!(body, json!({"a": [{"e": {"f": 2}}], "c/d": {"g": "h"}}));
    }

    #[test]
    fn what_cannot_be_changed_is_said() {
        let mut body = json!({"a": [1], "b": "text"});
        assert_eq!(change(&mut body, "/a/1", Some(&json!(2))), None);
        assert_eq!(change(&mut body, "/b/c", Some(&json!(2))), None);
        assert_eq!(change(&mut body, "/c", None), None);
        assert_eq!(change(&mut body, "/c/d", None), None);
        assert_eq!(body, json!({"a": [1], "b": "text"}));
    }
}
