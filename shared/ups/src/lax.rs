//! Reads JSON in the variations that UPS writes, so that only broken JSON is an error. A value of an unexpected type counts as
//! absent, strings are trimmed and cut, numbers become their digits, and lists may be null, absent or a single element.
//!
//! The parser skips members that no type here names; they never become a value.

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use std::{fmt, marker::PhantomData};
use zeroize::Zeroizing;

use crate::Malformed;

/// The longest text that is kept, in bytes.
pub(crate) const MAX_TEXT: usize = 256;

/// The largest number of elements of a list that are kept. UPS lists activities newest first, so the newest are kept.
pub(crate) const MAX_ELEMENTS: usize = 1000;

/// Reads a whole body.
///
/// # Errors
/// [`Malformed`] if it is not a JSON object, repeats a member that is read, or nests a read member deeper than 128 levels.
/// Skipped members may be nested to any depth, because skipping needs no stack.
pub(crate) fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Malformed> {
    let Lax(found) = serde_json::from_slice(body).map_err(|_| Malformed("the body is not json"))?;
    found.ok_or(Malformed("the body is not a json object"))
}

/// `text` without white space around it and without control characters, cut to `limit` bytes between two characters.
pub(crate) fn clean(text: &str, limit: usize) -> String {
    let mut kept = String::new();
    for c in text.trim().chars().filter(|c| !c.is_control()) {
        if kept.len() + c.len_utf8() > limit {
            break;
        }
        kept.push(c);
    }
    kept.truncate(kept.trim_end().len());
    kept
}

/// Empty if the member was absent, null, or of another type.
#[derive(Default)]
pub(crate) struct Text(pub(crate) String);

impl Text {
    /// A status type or code: only the printable ASCII characters without spaces, at most 16, so that no free text fits.
    pub(crate) fn code(&self) -> String {
        self.0.chars().filter(char::is_ascii_graphic).take(16).collect()
    }
}

/// A secret, which must be text. It is overwritten when dropped.
#[derive(Deserialize)]
#[serde(from = "String")]
pub(crate) struct SecretText(pub(crate) Zeroizing<String>);

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

/// An object, or nothing. For a list, its first object.
pub(crate) struct Lax<T>(pub(crate) Option<T>);

impl<T> Default for Lax<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Default> Lax<T> {
    pub(crate) fn or_default(self) -> T {
        self.0.unwrap_or_default()
    }
}

/// A list without the elements that do not fit its type. A single element counts as a list of one.
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// A value of an unexpected type counts as absent.
macro_rules! nothing {
    ($($visit:ident($($arg:ty)?)),* $(,)?) => {
        $(fn $visit<E>(self $(, _: $arg)?) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        })*
    };
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(clean(text, MAX_TEXT)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Text, E> {
        Ok(Text(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Text, E> {
        Ok(Text(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Text, E> {
        Ok(Text(clean(&number.to_string(), MAX_TEXT)))
    }

    nothing!(visit_bool(bool), visit_unit());

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Text, A::Error> {
        skip(SeqAccessDeserializer::new(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text, A::Error> {
        skip(MapAccessDeserializer::new(map))
    }
}

fn skip<'de, T: Default, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| T::default())
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct LaxVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for LaxVisitor<T> {
    type Value = Lax<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    nothing!(visit_bool(bool), visit_u64(u64), visit_i64(i64), visit_f64(f64), visit_str(&str), visit_unit());

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Lax<T>, A::Error> {
        let mut first = None;
        while first.is_none() {
            let Some(Lax(element)) = list.next_element()? else { return Ok(Lax(None)) };
            first = element;
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Lax(first))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Lax<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|found| Lax(Some(found)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lax<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LaxVisitor(PhantomData))
    }
}

/// A type that may be an element of a [`List`].
pub(crate) trait Element: Sized {
    type Read: for<'de> Deserialize<'de>;
    fn of(read: Self::Read) -> Option<Self>;
}

impl Element for Text {
    type Read = Self;

    fn of(read: Self) -> Option<Self> {
        (!read.0.is_empty()).then_some(read)
    }
}

impl<T: DeserializeOwned> Element for T
where
    T: Object,
{
    type Read = Lax<T>;

    fn of(Lax(read): Lax<T>) -> Option<Self> {
        read
    }
}

/// Marks types that are objects on the wire.
pub(crate) trait Object {}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Element> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    nothing!(visit_bool(bool), visit_u64(u64), visit_i64(i64), visit_f64(f64), visit_unit());

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<List<T>, E> {
        let lone = T::Read::deserialize(serde::de::value::StrDeserializer::<E>::new(text))?;
        Ok(List(T::of(lone).into_iter().collect()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<T>, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < MAX_ELEMENTS {
            let Some(element) = list.next_element::<T::Read>()? else { return Ok(List(kept)) };
            kept.extend(T::of(element));
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(List(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<List<T>, A::Error> {
        let lone = T::Read::deserialize(MapAccessDeserializer::new(map))?;
        Ok(List(T::of(lone).into_iter().collect()))
    }
}

impl<'de, T: Element> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Sample {
        text: Text,
        object: Lax<Inner>,
        list: List<Inner>,
        words: List<Text>,
    }

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Inner {
        word: Text,
    }

    impl Object for Inner {}

    fn read(json: &str) -> Sample {
        object(json.as_bytes()).unwrap()
    }

    #[test]
    fn member_of_any_json_type_is_read() {
        for value in ["null", "true", "-1", "1.5", r#""text""#, r#"["a", 1, null, {}]"#, r#"{"word": [{"deep": []}]}"#, "[[[]]]"]
        {
            read(&format!(r#"{{"text": {value}, "object": {value}, "list": {value}, "words": {value}}}"#));
        }
    }

    #[test]
    fn text_is_trimmed_and_cut_and_numbers_become_their_digits() {
        assert_eq!(read(r#"{"text": "  Out for\u0000 Delivery \n"}"#).text.0, "Out for Delivery");
        assert_eq!(read(r#"{"text": 14399}"#).text.0, "14399");
        assert_eq!(read(r#"{"text": -5}"#).text.0, "-5");
        assert_eq!(read(r#"{"text": 1.5}"#).text.0, "1.5");
        assert_eq!(read(r#"{"text": -0.25}"#).text.0, "-0.25");
        let long = "é".repeat(MAX_TEXT);
        assert_eq!(read(&format!(r#"{{"text": "{long}"}}"#)).text.0, "é".repeat(MAX_TEXT / 2));
    }

    #[test]
    fn single_element_is_read_as_list_and_list_as_its_first_object() {
        let lone = read(r#"{"list": {"word": "a"}, "words": "b", "object": [null, {"word": "c"}, {"word": "d"}]}"#);
        assert_eq!(lone.list.0[0].word.0, "a");
        assert_eq!(lone.words.0[0].0, "b");
        assert_eq!(lone.object.or_default().word.0, "c");
    }

    #[test]
    fn list_keeps_only_its_first_thousand_elements() {
        let many = vec![r#"{"word": "x"}"#; MAX_ELEMENTS + 5].join(",");
        assert_eq!(read(&format!(r#"{{"list": [{many}], "text": "after"}}"#)).list.0.len(), MAX_ELEMENTS);
    }

    #[test]
    fn body_that_is_not_an_object_or_nested_too_deeply_is_refused() {
        for body in ["", "null", "[]", "1", "\"a\"", "{", "{}x"] {
            assert!(object::<Sample>(body.as_bytes()).is_err(), "`{body}`");
        }
        let deep = |member: &str| format!(r#"{{"{member}": {}{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
        for read in ["object", "list"] {
            assert!(object::<Sample>(deep(read).as_bytes()).is_err(), "{read}");
        }
        assert!(object::<Sample>(deep("skipped").as_bytes()).is_ok());
    }
}
