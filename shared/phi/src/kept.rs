use serde_json::Value;

/// Puts the members that `stored` has and this version does not know into `new`, at any depth. `read` is what this version
/// reads of `stored`, written again: the member that it lacks is unknown. A list is one value, and is the new one.
pub fn keep_unknown(stored: &Value, read: &Value, new: &mut Value) {
    let (Value::Object(stored), Value::Object(read), Value::Object(new)) = (stored, read, new) else { return };
    for (name, value) in stored {
        match (read.get(name), new.get_mut(name)) {
            (None, None) => drop(new.insert(name.clone(), value.clone())),
            (Some(read), Some(new)) => keep_unknown(value, read, new),
            // It is known, and this version has taken it away or given it its first value.
            (Some(_), None) | (None, Some(_)) => {}
        }
    }
}

/// How many members of `stored`, at any depth, this version does not know. `read` is as in [`keep_unknown`].
pub fn count_unknown(stored: &Value, read: &Value) -> usize {
    let (Value::Object(stored), Value::Object(read)) = (stored, read) else { return 0 };
    let count = |(name, value): (&String, &Value)| match read.get(name) {
        Some(read) => count_unknown(value, read),
        // A known member without a value may be left out.
        None => usize::from(!value.is_null()),
    };
    stored.iter().map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kept(stored: &Value, read: &Value, mut new: Value) -> Value {
        keep_unknown(stored, read, &mut new);
        new
    }

    #[test]
    fn unknown_members_stay_and_known_ones_are_replaced() {
        let stored = json!({"a": 1, "b": {"c": 2, "x": [3]}, "y": null, "z": 4, "removed": 1, "list": [{"x": 1}]});
        let read = json!({"a": 1, "b": {"c": 2}, "removed": 1, "list": [{}]});
        assert_eq!(count_unknown(&stored, &read), 2);
        let new = kept(&stored, &read, json!({"a": 9, "b": {"c": 8}, "added": 7, "list": []}));
        assert_eq!(new, json!({"a": 9, "b": {"c": 8, "x": [3]}, "y": null, "z": 4, "added": 7, "list": []}));
    }

    #[test]
    fn a_value_without_unknown_members_is_replaced_whole() {
        for (stored, new) in [(json!({"a": 1}), json!({})), (json!([1, 2]), json!([])), (json!("a"), json!("b"))] {
            assert_eq!(count_unknown(&stored, &stored), 0);
            assert_eq!(kept(&stored, &stored, new.clone()), new);
        }
    }
}
