//! A deterministic random number generator (`SplitMix64`).

use jiff::Timestamp;
use uuid::{Builder, Uuid};

/// 2023-01-01T00:00:00Z: the start time of seeded organizations.
const START: i64 = 1_672_531_200_000;

pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(super) fn next_below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next_u64() % bound).unwrap_or(0)
    }

    pub(super) fn next_uuid(&mut self) -> Uuid {
        let bits = (u128::from(self.next_u64()) << 64) | u128::from(self.next_u64());
        Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }
}

/// A time after the start; later rows have later times.
pub(super) fn minutes_after_start(minutes: usize) -> Timestamp {
    let minutes = i64::try_from(minutes).unwrap_or(0);
    Timestamp::from_millisecond(START.saturating_add(minutes.saturating_mul(60_000))).unwrap_or_default()
}
