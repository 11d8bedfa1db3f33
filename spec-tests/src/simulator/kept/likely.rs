//! What can be known of something from outside: that it is so, that it is not, or neither.

/// See the module.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in super::super) enum Likely {
    No,
    Maybe,
    Yes,
}

impl Likely {
    /// Both.
    pub(in super::super) fn and(self, other: Self) -> Self {
        self.min(other)
    }

    /// It may not be, after all.
    pub(in super::super) fn unless(self, doubt: impl Into<Self>) -> Self {
        match self {
            Self::Yes if doubt.into() != Self::No => Self::Maybe,
            Self::Yes | Self::Maybe | Self::No => self,
        }
    }

    /// What all of these agree on.
    pub(in super::super) fn agreed(those: impl IntoIterator<Item = Self>) -> Self {
        let mut those = those.into_iter();
        let Some(first) = those.next() else {
            return Self::Maybe;
        };
        match those.all(|other| other == first) {
            true => first,
            false => Self::Maybe,
        }
    }
}

impl From<bool> for Likely {
    fn from(is_so: bool) -> Self {
        match is_so {
            true => Self::Yes,
            false => Self::No,
        }
    }
}
