//! JSON in an attribute, which an older or a newer version of this code may have written. It is read tolerantly and written back
//! completely.
//!
//! Input is parsed strictly, stored data is not: while two versions run concurrently, and after a rollback, a function reads
//! members and words that it does not know. It ignores them, counts them in the log line (`stored.unknown`), and keeps them in
//! the item. Unknown data never grants anything.

use crate::base::Error;
use phi::{count_unknown, keep_unknown};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Counts the unknown data that a process has read since the last log line reported it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unknown(Arc<AtomicU64>);

impl Unknown {
    pub(crate) fn add(&self, count: usize) {
        if count > 0 {
            self.0.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
    /// Returns the count, and restarts it at zero.
    pub(crate) fn take(&self) -> Option<u64> {
        Some(self.0.swap(0, Ordering::Relaxed)).filter(|count| *count > 0)
    }
}

/// Whether a stored word is known.
pub(crate) type Knows = fn(&Value) -> bool;

/// An object that is stored as JSON.
pub trait Stored: Serialize + DeserializeOwned {
    /// The members that are lists of words, each with a check whether a word is known.
    const LISTS: &'static [(&'static str, Knows)] = &[];
}

impl Stored for ups::Progress {}

/// Whether a stored word is a value of `T`.
pub(crate) fn is<T: DeserializeOwned>(word: &Value) -> bool {
    T::deserialize(word).is_ok()
}

/// Numbers by name; other values are skipped.
pub(crate) fn numbers<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, u32>, D::Error> {
    let all = BTreeMap::<String, Value>::deserialize(d)?;
    Ok(all.into_iter().filter_map(|(name, value)| Some((name, u32::deserialize(value).ok()?))).collect())
}

/// An object, with its members that this version does not know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept<T> {
    value: T,
    stored: Value,
}

impl<T: Stored> Kept<T> {
    /// The object, and the number of its unknown members.
    ///
    /// # Errors
    /// Internal if the text is not such an object, even when read tolerantly.
    pub(crate) fn read(text: &str, what: &'static str) -> crate::base::Result<(Self, usize)> {
        let unreadable = |_| Error::internal(what);
        let stored: Value = serde_json::from_str(text).map_err(unreadable)?;
        let mut known = stored.clone();
        let mut unknown = 0;
        for (name, is_known) in T::LISTS {
            if let Some(Value::Array(words)) = known.get_mut(name) {
                let all = words.len();
                words.retain(is_known);
                unknown += all - words.len();
            }
        }
        let value = T::deserialize(known).map_err(unreadable)?;
        unknown += count_unknown(&stored, &json(&value));
        Ok((Self { value, stored }, unknown))
    }

    /// Replaces the object and keeps unknown members.
    #[must_use]
    pub fn with(&self, value: T) -> Self {
        let mut stored = json(&value);
        keep_unknown(&self.stored, &json(&self.value), &mut stored);
        for (name, is_known) in T::LISTS {
            if let (Some(Value::Array(before)), Some(Value::Array(words))) = (self.stored.get(name), stored.get_mut(name)) {
                words.extend(before.iter().filter(|word| !is_known(word)).cloned());
            }
        }
        Self { value, stored }
    }

    /// The stored text.
    pub fn to_text(&self) -> String {
        self.stored.to_string()
    }
}

impl<T: Stored> From<T> for Kept<T> {
    fn from(value: T) -> Self {
        let stored = json(&value);
        Self { value, stored }
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// A list of objects. This version may not know some of them, or some of their members.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    known: Vec<T>,
    /// The stored form of each known element, in the same order.
    stored: Vec<Value>,
    unknown: Vec<Value>,
}

impl<T: Serialize + DeserializeOwned + PartialEq> Listed<T> {
    /// The list, and the amount of unknown data in it.
    ///
    /// # Errors
    /// Internal if the text is not a list.
    pub(crate) fn read(text: &str, what: &'static str) -> crate::base::Result<(Self, usize)> {
        let elements: Vec<Value> = serde_json::from_str(text).map_err(|_| Error::internal(what))?;
        let mut list = Self::default();
        let mut count = 0;
        for element in elements {
            match T::deserialize(&element) {
                Ok(known) => {
                    count += count_unknown(&element, &json(&known));
                    list.known.push(known);
                    list.stored.push(element);
                }
                Err(_) => list.unknown.push(element),
            }
        }
        count += list.unknown.len();
        Ok((list, count))
    }

    /// Replaces the elements. Unknown elements are kept. Unknown members are kept in an element that stays, or that `is_changed`
    /// recognises as the changed form of a known one.
    #[must_use]
    pub fn with(&self, known: Vec<T>, is_changed: impl Fn(&T, &T) -> bool) -> Self {
        let over = |new: &T| {
            let mut stored = json(new);
            let at = |is: &dyn Fn(&T) -> bool| self.known.iter().position(is);
            let before = at(&|old| old == new).or_else(|| at(&|old| is_changed(old, new)));
            if let Some((old, before)) = before.and_then(|at| self.known.get(at).zip(self.stored.get(at))) {
                keep_unknown(before, &json(old), &mut stored);
            }
            stored
        };
        let stored = known.iter().map(over).collect();
        Self { known, stored, unknown: self.unknown.clone() }
    }

    /// The stored text.
    pub fn to_text(&self) -> String {
        Value::Array(self.stored.iter().chain(&self.unknown).cloned().collect()).to_string()
    }
}

impl<T: Serialize> From<Vec<T>> for Listed<T> {
    fn from(known: Vec<T>) -> Self {
        let stored = known.iter().map(json).collect();
        Self { known, stored, unknown: Vec::new() }
    }
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { known: Vec::new(), stored: Vec::new(), unknown: Vec::new() }
    }
}

impl<T> Deref for Listed<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.known
    }
}

fn json<T: Serialize>(value: &T) -> Value {
    // INVARIANT: stored values have text keys, so they can be written as JSON.
    serde_json::to_value(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::{Grant, KeyBounds, Role, Timestamp},
        identity::Settings,
    };
    use serde_json::json;

    #[test]
    fn unknown_grants_give_no_role_and_are_kept() {
        let text = r#"[{"role":"viewer","site":"north"},{"role":"archivist"},{"role":"marketer","valid_until":"2026-01-01T00:00:00.000Z"},{"role":"auditor","valid_until":{"in":"days"}},7]"#;
        let (grants, unknown) = Listed::<Grant>::read(text, "grants").unwrap();
        assert_eq!(grants.iter().map(|grant| grant.role).collect::<Vec<_>>(), [Role::Viewer, Role::Marketer]);
        assert_eq!(unknown, 4);
        assert_eq!(serde_json::from_str::<Value>(&grants.to_text()).unwrap().as_array().unwrap().len(), 5);
        // The viewer's term changes, the marketer is removed, an analyst is added.
        let term = Some(Timestamp::from_millis(0));
        let next = vec![Grant { valid_until: term, ..Grant::always(Role::Viewer) }, Grant::always(Role::Analyst)];
        let after = grants.with(next, |a, b| a.role == b.role);
        let expected = json!([
            {"role": "viewer", "site": "north", "valid_until": "1970-01-01T00:00:00.000Z"}, {"role": "analyst"},
            {"role": "archivist"}, {"role": "auditor", "valid_until": {"in": "days"}}, 7
        ]);
        assert_eq!(serde_json::from_str::<Value>(&after.to_text()).unwrap(), expected);
        assert!(Listed::<Grant>::read("{}", "grants").is_err());
    }

    #[test]
    fn unknown_settings_and_words_are_kept_on_replacement() {
        let text =
            r#"{"mfa_roles":["viewer","archivist"],"theme":{"dark":true},"session_hours":3,"rate_limits":{"later":4,"odd":"x"}}"#;
        let (settings, unknown) = Kept::<Settings>::read(text, "settings").unwrap();
        assert_eq!((settings.mfa_roles.as_slice(), settings.session_hours, unknown), (&[Role::Viewer][..], Some(3), 3));
        let after = settings.with(Settings { mfa_roles: vec![Role::Analyst], ..Settings::default() });
        let expected = json!({"mfa_roles": ["analyst", "archivist"], "theme": {"dark": true}, "trusted_networks": [], "rate_limits": {"odd": "x"}});
        assert_eq!(serde_json::from_str::<Value>(&after.to_text()).unwrap(), expected);
    }

    #[test]
    fn unknown_scopes_and_purposes_of_a_key_grant_nothing() {
        let text = r#"{"scopes":["patients.read"],"purposes":["TREAT","HRESCH"],"networks":[],"hours":[8,18]}"#;
        let (bounds, unknown) = Kept::<KeyBounds>::read(text, "bounds").unwrap();
        assert_eq!((bounds.scopes.len(), bounds.purposes.len(), unknown), (0, 1, 3));
        assert_eq!(serde_json::from_str::<Value>(&bounds.to_text()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn own_output_has_no_unknown_data() {
        let grants = Listed::from(vec![
            Grant::always(Role::Viewer),
            Grant { valid_from: Some(Timestamp::from_millis(5)), ..Grant::always(Role::Auditor) },
        ]);
        assert_eq!(Listed::<Grant>::read(&grants.to_text(), "grants").unwrap().1, 0);
        assert_eq!(Kept::<Settings>::read(&Kept::from(Settings::default()).to_text(), "settings").unwrap().1, 0);
        assert_eq!(Kept::<KeyBounds>::read(&Kept::from(KeyBounds::everything()).to_text(), "bounds").unwrap().1, 0);
    }
}
