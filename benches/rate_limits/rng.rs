//! A deterministic pseudo-random number generator.

use std::time::Duration;

/// `SplitMix64`.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An independent generator that is seeded from this one.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// A number from `min` to `max`, both included.
    pub(crate) fn between(&mut self, min: u32, max: u32) -> u32 {
        min + u32::try_from(self.next() % u64::from(max - min + 1)).unwrap()
    }

    /// A time before `end`, in whole milliseconds.
    pub(crate) fn before(&mut self, end: Duration) -> Duration {
        Duration::from_millis(self.next() % u64::try_from(end.as_millis()).unwrap())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
