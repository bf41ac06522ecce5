use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that is protected health information.
///
/// Implement it by [`phi_text!`](crate::phi_text) or [`phi_struct!`](crate::phi_struct), and do not give the type `Serialize` or
/// `Display`. Then a value can leave the program only by being sealed or by [`disclose`](Self::disclose).
///
/// Deserialising also reads records that were sealed years ago, so a type's parser may be loosened but never tightened.
pub trait PhiValue: DeserializeOwned {
    /// Writes the plaintext. Sealing and [`Disclosed`] call this.
    ///
    /// # Errors
    /// Those of the serializer.
    fn serialize_plain<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

    /// Whether the value is stored as no field at all.
    fn is_absent(&self) -> bool {
        false
    }

    /// The value to use for a missing field, if the type has one.
    fn absent() -> Option<Self> {
        None
    }

    /// Allows the value to leave in a response. Record the read in the audit log first.
    fn disclose(self) -> Disclosed<Self> {
        Disclosed(self)
    }
}

impl<T: PhiValue> PhiValue for Option<T> {
    fn serialize_plain<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Some(value) => serializer.serialize_some(&Plain(value)),
            None => serializer.serialize_none(),
        }
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: PhiValue> PhiValue for Vec<T> {
    fn serialize_plain<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut items = serializer.serialize_seq(Some(self.len()))?;
        for item in self {
            items.serialize_element(&Plain(item))?;
        }
        items.end()
    }
}

/// The plaintext of a borrowed value as serde sees it. The crate seals with it, and its macros build structs with it.
#[doc(hidden)]
pub struct Plain<'a, T>(pub &'a T);

impl<T: PhiValue> Serialize for Plain<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_plain(serializer)
    }
}

impl<T> fmt::Debug for Plain<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[phi]")
    }
}

/// PHI that may leave in a response; only this form serialises. [`PhiValue::disclose`] makes it. Its `Debug` is redacted too, so
/// that logging a response shows no PHI.
#[derive(Clone, PartialEq, Eq)]
pub struct Disclosed<T>(T);

impl<T> Disclosed<T> {
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: PhiValue> Serialize for Disclosed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_plain(serializer)
    }
}

impl<T> fmt::Debug for Disclosed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[phi]")
    }
}

impl<T: JsonSchema> JsonSchema for Disclosed<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// An input that must not reach a log: it prints as `[phi]`, deserialises as a `T` and does not serialise.
///
/// Its deserialisation errors do not quote the value, even if `T`'s own errors would.
#[derive(Clone, PartialEq, Eq)]
pub struct Phi<T>(T);

impl<T> Phi<T> {
    pub fn new(value: T) -> Self {
        Self(value)
    }

    pub fn expose(&self) -> &T {
        &self.0
    }

    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: PhiValue> Phi<T> {
    /// As [`PhiValue::disclose`].
    pub fn disclose(self) -> Disclosed<T> {
        self.0.disclose()
    }
}

impl<T> fmt::Debug for Phi<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[phi]")
    }
}

impl<T> fmt::Display for Phi<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[phi]")
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Phi<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match T::deserialize(deserializer) {
            Ok(value) => Ok(Self(value)),
            Err(_) => Err(serde::de::Error::custom("not a valid value")),
        }
    }
}

impl<T: JsonSchema> JsonSchema for Phi<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
