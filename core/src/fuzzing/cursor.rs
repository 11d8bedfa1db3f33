//! Reads decisions from bytes. At their end every decision is 0, so that any bytes are an input.

/// What is left of an input.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// One of `count` things.
    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count.max(1)
    }

    /// One of these.
    ///
    /// # Panics
    /// If there are none.
    pub(super) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        let at = self.below(among.len());
        *among.get(at).expect("something to pick from")
    }

    /// Up to `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// What stands before the next `end`, which is dropped.
    pub(super) fn until(&mut self, end: u8) -> &'a [u8] {
        let at = memchr::memchr(end, self.0).unwrap_or(self.0.len());
        let taken = self.take(at);
        self.take(1);
        taken
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }
}

/// Sizes of pieces that follow from one byte: 0 for no cuts, small ones for bytes one by one, else a mixture.
#[derive(Clone, Debug)]
pub(super) struct Cuts(u32);

impl Cuts {
    pub(super) const fn new(seed: u8) -> Self {
        Self(seed as u32)
    }

    /// Takes the next piece off the front.
    pub(super) fn piece<'a>(&mut self, input: &mut &'a [u8]) -> &'a [u8] {
        let size = match self.0 {
            0 => input.len(),
            1 => 1,
            _ => {
                // A linear congruential generator: only its high bits are of use.
                self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let bits = usize::try_from(self.0 >> 24).unwrap_or(0);
                if bits < 32 { bits * 8 } else { bits % 32 }
            }
        };
        let (piece, rest) = input.split_at(size.max(1).min(input.len()));
        *input = rest;
        piece
    }
}
