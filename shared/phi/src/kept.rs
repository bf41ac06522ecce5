use serde_json::Value;

/// Copies into `new` the members of `stored` that this version of the code does not know, at any depth. `read` is `stored` as
/// this version reads it and writes it again, so a member that is missing from `read` is unknown. A list counts as one value and
/// is taken from `new`.
pub fn keep_unknown(stored: &Value, read: &Value, new: &mut Value) {
    let (Value::Object(stored), Value::Object(read), Value::Object(new)) = (stored, read, new) else { return };
    for (name, value) in stored {
        match (read.get(name), new.get_mut(name)) {
            (None, None) => drop(new.insert(name.clone(), value.clone())),
            (Some(read), Some(new)) => keep_unknown(value, read, new),
            // This version knows the member, and has removed it or set it for the first time.
            (Some(_), None) | (None, Some(_)) => {}
        }
    }
}

/// Counts the members of `stored`, at any depth, that this version does not know. `read` is as in [`keep_unknown`].
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
    fn unknown_members_are_kept_and_known_ones_are_replaced() {
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
