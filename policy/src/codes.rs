//! Codes: the words in which a refusal gives its reasons, each with what it means and how to mend it.
//!
//! Deliberately absent: the codes themselves, which stand beside the rules that give them.

/// Defines an enum of codes, in the order in which reasons are given.
macro_rules! codes {
    (
        $(#[$doc:meta])*
        $name:ident: $when:ident $verb:literal $when_doc:literal;
        $($variant:ident => $code:literal, $reason:literal, $help:literal;)+
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(#[doc = concat!($verb, " when ", $reason, ".")] $variant,)+
        }

        impl $name {
            /// Every code, in the order in which reasons are given.
            pub const ALL: [Self; [$($code),+].len()] = [$(Self::$variant),+];

            /// The code as it is written everywhere.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            #[doc = $when_doc]
            #[must_use]
            pub fn $when(self) -> &'static str {
                match self { $(Self::$variant => $reason,)+ }
            }

            /// How to mend it.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)+ }
            }
        }
    };
}

pub(crate) use codes;
