//! How an object of config.json becomes a struct: one macro, so that every field of every section treats a missing key and
//! `null` alike. Knows nothing of what the fields mean.

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

/// Declares a struct that reads and writes a JSON object with camelCase keys.
///
/// * A missing key and `null` both give the type's default, as in Go: callers marshal absent sections as `null`.
/// * Unknown keys are ignored (config.md, "Extensibility"); a key given twice is an error, because two readers of one
///   file that pick different values is how checks are bypassed.
/// * An array in an object's place is an error: serde would read it as the fields in their order.
/// * Default values are left out when writing, unless the field is marked `= required`.
macro_rules! object {
    ($(#[$meta:meta])* pub struct $name:ident { $($fields:tt)* }) => {
        $crate::spec::object::object!(@munch [$(#[$meta])* pub struct $name] [] $($fields)*);
    };
    (@munch $head:tt [$($done:tt)*] $(#[$meta:meta])* pub $field:ident : $ty:ty = required, $($rest:tt)*) => {
        $crate::spec::object::object!(@munch $head [$($done)*
            $(#[$meta])*
            #[serde(default, deserialize_with = "crate::spec::object::or_default")]
            pub $field: $ty,
        ] $($rest)*);
    };
    (@munch $head:tt [$($done:tt)*] $(#[$meta:meta])* pub $field:ident : $ty:ty, $($rest:tt)*) => {
        $crate::spec::object::object!(@munch $head [$($done)*
            $(#[$meta])*
            #[serde(
                default,
                deserialize_with = "crate::spec::object::or_default",
                skip_serializing_if = "crate::spec::object::is_default"
            )]
            pub $field: $ty,
        ] $($rest)*);
    };
    (@munch [$(#[$meta:meta])* pub struct $name:ident] [$($done:tt)*]) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        // `remote` makes serde write functions instead of implementations, so that ours can stand around them.
        #[serde(rename_all = "camelCase", remote = "Self")]
        pub struct $name { $($done)* }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                Self::deserialize($crate::spec::object::Object(d))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, s)
            }
        }
    };
}
pub(crate) use object;

/// Reads a struct from a JSON object only.
pub(crate) struct Object<D>(pub(crate) D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Object<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// `null` is as good as absent.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// What need not be written.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
