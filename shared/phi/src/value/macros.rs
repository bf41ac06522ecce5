/// Implements [`PhiValue`](crate::PhiValue) for a [`PhiText`](crate::PhiText) type: deserialisation by its parser with errors
/// that do not quote the value, `JsonSchema`, `FromStr`, and a redacted `Debug`.
///
/// ```
/// #[derive(Clone, PartialEq)]
/// pub struct Ward(String);
///
/// impl phi::PhiText for Ward {
///     const EXPECTED: &'static str = "a ward such as `3B`";
///     const LENGTH: std::ops::RangeInclusive<usize> = 2..=2;
///     fn parse(text: &str) -> Result<Self, phi::InvalidValue> {
///         if text.len() == 2 { Ok(Self(text.to_owned())) } else { Err(phi::InvalidValue(Self::EXPECTED)) }
///     }
///     fn as_str(&self) -> &str {
///         &self.0
///     }
/// }
/// phi::phi_text!(Ward);
///
/// assert_eq!(format!("{:?}", "3B".parse::<Ward>()), "Ok(Ward([phi]))");
/// ```
#[macro_export]
macro_rules! phi_text {
    ($name:ident $(<const $max:ident : usize>)?) => {
        impl $(<const $max: usize>)? $crate::PhiValue for $name $(<$max>)? {
            fn serialize_plain<S: $crate::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str($crate::PhiText::as_str(self))
            }
        }

        impl $(<const $max: usize>)? ::std::str::FromStr for $name $(<$max>)? {
            type Err = $crate::InvalidValue;

            fn from_str(text: &str) -> ::std::result::Result<Self, $crate::InvalidValue> {
                <Self as $crate::PhiText>::parse(text)
            }
        }

        impl $(<const $max: usize>)? ::std::fmt::Debug for $name $(<$max>)? {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(concat!(stringify!($name), "([phi])"))
            }
        }

        impl<'de $(, const $max: usize)?> $crate::__private::serde::Deserialize<'de> for $name $(<$max>)? {
            fn deserialize<D: $crate::__private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<Self, D::Error> {
                $crate::__private::text(deserializer)
            }
        }

        impl $(<const $max: usize>)? $crate::__private::schemars::JsonSchema for $name $(<$max>)? {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut $crate::__private::schemars::SchemaGenerator) -> $crate::__private::schemars::Schema {
                let length = <Self as $crate::PhiText>::LENGTH;
                let mut schema = $crate::__private::schemars::json_schema!({
                    "type": "string",
                    "minLength": length.start(),
                    "maxLength": length.end(),
                    "description": <Self as $crate::PhiText>::EXPECTED,
                });
                if let ::std::option::Option::Some((keyword, value)) = <Self as $crate::PhiText>::FORM {
                    schema.insert(keyword.to_owned(), value.into());
                }
                schema
            }
        }
    };
}

/// Declares an object of PHI values. Every field is a [`PhiValue`](crate::PhiValue), `None` is written as `null`, and `Debug` is
/// redacted. Members that this version does not know are skipped, because the object is also read from sealed records; they are
/// kept when the record is sealed again ([`Sealed::reseal`](crate::Sealed::reseal)). Input needs a separate type that refuses
/// unknown members.
///
/// ```
/// phi::phi_struct! {
///     /// The person to be called.
///     pub struct Contact: "a contact" { name: phi::PersonName, phone: Option<phi::Phone> }
/// }
/// ```
#[macro_export]
macro_rules! phi_struct {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident : $expected:literal {
            $( $(#[$field_meta:meta])* $field:ident : $type:ty ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, $crate::__private::schemars::JsonSchema)]
        #[schemars(crate = "::phi::__private::schemars", deny_unknown_fields)]
        $vis struct $name { $( $(#[$field_meta])* pub $field: $type ),+ }

        impl $crate::PhiValue for $name {
            fn serialize_plain<S: $crate::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::std::result::Result<S::Ok, S::Error> {
                use $crate::__private::serde::ser::SerializeStruct as _;
                let fields = [$( stringify!($field) ),+].len();
                let mut object = serializer.serialize_struct(stringify!($name), fields)?;
                $( object.serialize_field(stringify!($field), &$crate::__private::Plain(&self.$field))?; )+
                object.end()
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(concat!(stringify!($name), "([phi])"))
            }
        }

        impl<'de> $crate::__private::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::__private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<Self, D::Error> {
                #[derive($crate::__private::serde::Deserialize)]
                #[serde(crate = "::phi::__private::serde")]
                struct Fields { $( $field: $type ),+ }

                let fields: Fields = $crate::__private::object(deserializer, $expected)?;
                Ok(Self { $( $field: fields.$field ),+ })
            }
        }
    };
}
