//! A stack whose first entries lie inline, so that the usual item allocates nothing.

use alloc::vec::Vec;

#[derive(Debug)]
pub(super) struct Stack<T, const N: usize> {
    inline: [T; N],
    len: usize,
    /// What stands above the first `N`.
    more: Vec<T>,
}

impl<T: Copy + Default, const N: usize> Stack<T, N> {
    pub(super) fn new() -> Self {
        Self {
            inline: [T::default(); N],
            len: 0,
            more: Vec::new(),
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn push(&mut self, entry: T) {
        match self.inline.get_mut(self.len) {
            Some(place) => *place = entry,
            None => self.more.push(entry),
        }
        self.len += 1;
    }

    /// Forgets all but the first `len`.
    #[inline]
    pub(super) fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
            self.more.truncate(len.saturating_sub(N));
        }
    }

    #[inline]
    pub(super) fn last(&self) -> Option<&T> {
        self.get(self.len.checked_sub(1)?)
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        match index.checked_sub(N) {
            None if index < self.len => self.inline.get(index),
            None => None,
            Some(index) => self.more.get(index),
        }
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        match index.checked_sub(N) {
            None if index < self.len => self.inline.get_mut(index),
            None => None,
            Some(index) => self.more.get_mut(index),
        }
    }

    #[inline]
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        let inline = self.inline.get(..self.len.min(N)).unwrap_or_default();
        inline.iter().chain(self.more.iter())
    }
}
