//! Where an answer is cut: alike in every back end.

/// Room in an answer.
#[derive(Debug)]
pub struct Cut {
    items: u32,
    bytes: usize,
    taken: Taken,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Taken {
    Nothing,
    Something,
}

impl Cut {
    /// For so many items and bytes.
    #[must_use]
    pub const fn new(items: u32, bytes: usize) -> Self {
        let taken = Taken::Nothing;
        Self {
            items,
            bytes,
            taken,
        }
    }

    /// Whether there is room for an item of this weight: for the first one always.
    pub const fn takes(&mut self, weight: usize) -> bool {
        if self.items == 0 || (matches!(self.taken, Taken::Something) && weight > self.bytes) {
            return false;
        }
        self.items -= 1;
        self.bytes = self.bytes.saturating_sub(weight);
        self.taken = Taken::Something;
        true
    }
}
