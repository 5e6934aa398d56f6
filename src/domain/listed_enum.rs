//! Enums with a list of their variants that is always complete.

/// Defines a fieldless enum with `COUNT`, `ALL` and `as_str`. A new variant is part of all three.
macro_rules! listed_enum {
    (
        $(#[$attribute:meta])*
        $vis:vis enum $Enum:ident {
            $($(#[$doc:meta])* $Variant:ident => $name:literal,)+
        }
    ) => {
        $(#[$attribute])*
        $vis enum $Enum {
            $($(#[$doc])* $Variant,)+
        }

        impl $Enum {
            /// Number of variants.
            $vis const COUNT: usize = [$($name),+].len();

            /// Every variant, in order of declaration.
            $vis const ALL: [Self; Self::COUNT] = [$(Self::$Variant),+];

            /// The name in parameters, responses, metrics and logs.
            $vis const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Variant => $name,)+
                }
            }
        }
    };
}

/// Defines a map with one value for each variant of a listed enum.
macro_rules! listed_enum_map {
    ($(#[$attribute:meta])* $vis:vis struct $Map:ident of $Enum:ident) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        $vis struct $Map<T>([T; $Enum::COUNT]);

        impl<T> $Map<T> {
            /// The value that `value_of` returns for each key.
            $vis fn from_fn(value_of: impl FnMut($Enum) -> T) -> Self {
                Self($Enum::ALL.map(value_of))
            }

            /// Each key with its value, in order of declaration.
            $vis fn iter(&self) -> impl Iterator<Item = ($Enum, &T)> {
                $Enum::ALL.into_iter().zip(&self.0)
            }
        }

        impl<T> From<[T; $Enum::COUNT]> for $Map<T> {
            /// The values in order of declaration.
            fn from(values: [T; $Enum::COUNT]) -> Self {
                Self(values)
            }
        }

        impl<T> std::ops::Index<$Enum> for $Map<T> {
            type Output = T;

            fn index(&self, key: $Enum) -> &T {
                &self.0[key as usize]
            }
        }

        impl<T> std::ops::IndexMut<$Enum> for $Map<T> {
            fn index_mut(&mut self, key: $Enum) -> &mut T {
                &mut self.0[key as usize]
            }
        }
    };
}

pub(crate) use {listed_enum, listed_enum_map};
