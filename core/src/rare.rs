//! What hardly anybody has at a time: a word in memory until somebody has it. Tens of thousands of accounts are in memory that idle.

use alloc::boxed::Box;
use core::ops::Deref;

/// Something of which there may be nothing.
pub(crate) trait Empty: Default + 'static {
    /// That.
    const NOTHING: &'static Self;

    /// Whether it is.
    fn is_nothing(&self) -> bool;
}

/// See the module. It reads as nothing where it is not there.
#[derive(Debug)]
pub(crate) struct Rare<T>(Option<Box<T>>);

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Empty> Rare<T> {
    /// To add something.
    pub(crate) fn make(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }

    /// Changes it where it is there, which takes no more room if there is nothing then.
    pub(crate) fn change<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        let value = self.0.as_deref_mut()?;
        let result = change(value);
        if value.is_nothing() {
            self.0 = None;
        }
        Some(result)
    }

    /// All of it.
    pub(crate) fn take(&mut self) -> T {
        self.0.take().map(|value| *value).unwrap_or_default()
    }
}

impl<T: Empty> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::NOTHING)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    impl Empty for Vec<u8> {
        const NOTHING: &'static Self = &Self::new();

        fn is_nothing(&self) -> bool {
            self.is_empty()
        }
    }

    #[test]
    fn it_takes_a_word_unless_there_is_something() {
        let mut rare = Rare::<Vec<u8>>::default();
        assert_eq!(size_of_val(&rare), size_of::<usize>());
        assert!(rare.is_empty());
        assert_eq!(rare.change(Vec::pop), None);
        rare.make().push(1);
        assert_eq!(*rare, [1]);
        assert_eq!(rare.change(Vec::pop), Some(Some(1)));
        assert!(rare.0.is_none());
        rare.make().push(2);
        assert_eq!(rare.take(), [2]);
        assert!(rare.is_empty());
    }
}
