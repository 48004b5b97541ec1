//! How an object of config.json becomes a struct: one macro, so that every field of every section treats a missing key and
//! `null` alike. Knows nothing of what the fields mean.

use serde::{Deserialize, Deserializer};

/// Declares a struct that reads and writes a JSON object with camelCase keys.
///
/// * A missing key and `null` both give the type's default, as in Go: callers marshal absent sections as `null`.
/// * Unknown keys are ignored (config.md, "Extensibility"); a key given twice is an error, because two readers of one
///   file that pick different values is how checks are bypassed.
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
        #[serde(rename_all = "camelCase")]
        pub struct $name { $($done)* }
    };
}
pub(crate) use object;

/// `null` is as good as absent.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// What need not be written.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
