use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{BranchKey, FieldNumber, KeyVersion, OpenError, Place, RecordOpener, RecordSealer, SealError, SealedBytes};

/// A field of a sealed record: its number in the format, and its name in the API and in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSpec {
    pub number: FieldNumber,
    pub name: &'static str,
}

/// A set of PHI fields that are sealed together. Implemented by [`sealed_fields!`](crate::sealed_fields).
pub trait SealedFields: Sized {
    /// The table the record is bound to.
    const TABLE: &'static str;
    /// Every field, by ascending number.
    const FIELDS: &'static [FieldSpec];

    /// # Errors
    /// [`SealError`] of the first field that cannot be sealed.
    fn write(&self, sealer: &mut RecordSealer) -> Result<(), SealError>;

    /// # Errors
    /// [`OpenError`] when any field differs from the sealed one, or no longer parses.
    fn read(opener: &RecordOpener<'_>) -> Result<Self, OpenError>;
}

/// A set of PHI fields sealed together as one record. PHI is stored only in this form.
///
/// Serialises as base64url without padding, for stores that hold text; [`as_bytes`](Self::as_bytes) is a quarter smaller.
pub struct Sealed<T>(SealedBytes, PhantomData<fn() -> T>);

impl<T> Sealed<T> {
    /// # Errors
    /// [`OpenError`] when the bytes are not one sealed record.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, OpenError> {
        SealedBytes::parse(bytes).map(|bytes| Self(bytes, PhantomData))
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_vec()
    }

    /// The version of the branch key that opens the record.
    pub fn key_version(&self) -> KeyVersion {
        self.0.key_version()
    }
}

impl<T: SealedFields> Sealed<T> {
    /// Seals `value` as `record` of `tenant`, under a fresh record key.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(value: &T, key: &BranchKey, tenant: &str, record: &str) -> Result<Self, SealError> {
        let mut sealer = key.sealer(&Place { tenant, table: T::TABLE, record })?;
        value.write(&mut sealer)?;
        sealer.finish().map(|bytes| Self(bytes, PhantomData))
    }

    /// Seals `value` in place of the record that `before` opens. Data of that record that this version of the code does not know
    /// is kept: fields with other numbers, and unknown members of fields that are objects.
    ///
    /// # Errors
    /// [`SealError`]; [`SealError::Before`] when the previous record cannot be read.
    pub fn reseal(value: &T, before: &RecordOpener<'_>, key: &BranchKey, tenant: &str, record: &str) -> Result<Self, SealError> {
        let mut sealer = key.sealer(&Place { tenant, table: T::TABLE, record })?;
        sealer.keep(before, T::FIELDS)?;
        value.write(&mut sealer)?;
        sealer.finish().map(|bytes| Self(bytes, PhantomData))
    }

    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, key: &BranchKey, tenant: &str, record: &str) -> Result<T, OpenError> {
        T::read(&self.opener(key, tenant, record)?)
    }

    /// Use it to read only some of the fields: `opener(..)?.value::<Reference>(number)`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn opener(&self, key: &BranchKey, tenant: &str, record: &str) -> Result<RecordOpener<'_>, OpenError> {
        key.opener(&Place { tenant, table: T::TABLE, record }, &self.0)
    }
}

impl<T> Clone for Sealed<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<T> PartialEq for Sealed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Sealed<T> {}

impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.as_bytes().len())
    }
}

impl<T> Serialize for Sealed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.as_bytes()))
    }
}

impl<'de, T> Deserialize<'de> for Sealed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let refuse = || serde::de::Error::custom(OpenError);
        let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).map_err(|_| refuse())?;
        Self::from_bytes(bytes).map_err(|_| refuse())
    }
}

/// Declares a struct of PHI fields and how it is sealed. The compiler checks that field numbers ascend and begin at 1 or above.
///
/// Every field's type is a [`PhiValue`](crate::PhiValue). An `Option` that is `None` adds no bytes. Numbers are stored, so never
/// change or reuse one. A field that is added later must be an `Option`.
///
/// ```
/// phi::sealed_fields! {
///     #[derive(Debug, Clone, PartialEq)]
///     pub struct ContactPhi in "contacts" {
///         1 => name: phi::PersonName,
///         2 => phone: Option<phi::Phone>,
///     }
/// }
/// ```
///
/// ```compile_fail,E0080
/// phi::sealed_fields! {
///     struct Twice in "contacts" { 2 => name: phi::PersonName, 2 => phone: phi::Phone }
/// }
/// ```
#[macro_export]
macro_rules! sealed_fields {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident in $table:literal {
            $( $(#[$field_meta:meta])* $number:literal => $field:ident : $type:ty ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        $vis struct $name { $( $(#[$field_meta])* pub $field: $type ),+ }

        impl $crate::SealedFields for $name {
            const TABLE: &'static str = $table;
            const FIELDS: &'static [$crate::FieldSpec] =
                &[$( $crate::FieldSpec { number: $crate::field_number!($number), name: stringify!($field) } ),+];

            fn write(&self, sealer: &mut $crate::RecordSealer) -> ::std::result::Result<(), $crate::SealError> {
                $( sealer.value($crate::field_number!($number), &self.$field)?; )+
                Ok(())
            }

            fn read(opener: &$crate::RecordOpener<'_>) -> ::std::result::Result<Self, $crate::OpenError> {
                Ok(Self { $( $field: opener.value($crate::field_number!($number))? ),+ })
            }
        }

        const _: () = $crate::assert_ascending(<$name as $crate::SealedFields>::FIELDS);
    };
}

/// A [`FieldNumber`] from a literal, checked at compile time.
#[macro_export]
macro_rules! field_number {
    ($number:expr) => {
        const {
            match $crate::FieldNumber::new($number) {
                Some(number) => number,
                None => panic!("field numbers start at 1"),
            }
        }
    };
}

#[doc(hidden)]
pub const fn assert_ascending(fields: &[FieldSpec]) {
    let mut i = 1;
    while i < fields.len() {
        assert!(fields[i - 1].number.get() < fields[i].number.get(), "field numbers must ascend");
        i += 1;
    }
}
