//! How an object of libcontainer's state becomes a struct: one macro, so that each of the many keys treats absent, `null`
//! and zero alike, as Go's decoder does. Knows nothing of what the keys mean.

use serde::{Deserialize, Deserializer};

/// Declares a struct that reads and writes a JSON object whose keys are the names of the fields.
///
/// * A missing key and `null` both give the type's zero value: runc 1.1 writes `null` where 1.4 writes nothing.
/// * Unknown keys are ignored; [`super::rewrite`] keeps them.
/// * Zero values are not written, unless the field is marked `= always`: readers take them for granted, and a state is read
///   far more often than written.
macro_rules! object {
    ($(#[$meta:meta])* pub struct $name:ident { $($fields:tt)* }) => {
        $crate::state::object::object!(@munch [$(#[$meta])* pub struct $name] [] $($fields)*);
    };
    (@munch $head:tt [$($done:tt)*] $(#[$meta:meta])* pub $field:ident : $ty:ty = always, $($rest:tt)*) => {
        $crate::state::object::object!(@munch $head [$($done)*
            $(#[$meta])*
            #[serde(default, deserialize_with = "crate::state::object::or_zero")]
            pub $field: $ty,
        ] $($rest)*);
    };
    (@munch $head:tt [$($done:tt)*] $(#[$meta:meta])* pub $field:ident : $ty:ty, $($rest:tt)*) => {
        $crate::state::object::object!(@munch $head [$($done)*
            $(#[$meta])*
            #[serde(
                default,
                deserialize_with = "crate::state::object::or_zero",
                skip_serializing_if = "crate::state::object::is_zero"
            )]
            pub $field: $ty,
        ] $($rest)*);
    };
    (@munch [$(#[$meta:meta])* pub struct $name:ident] [$($done:tt)*]) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $name { $($done)* }
    };
}
pub(super) use object;

pub(super) fn or_zero<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

pub(super) fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
