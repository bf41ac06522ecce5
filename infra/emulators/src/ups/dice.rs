//! Reproducible random numbers.

/// Random numbers for one purpose: the same seed, purpose and number give the same values.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64, purpose: &str, number: u64) -> Self {
        // FNV-1a makes the purposes differ; splitmix64 below does the mixing.
        let hashed =
            purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let mut dice = Self(seed ^ hashed);
        dice.0 = dice.draw() ^ number;
        dice
    }

    /// splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
    pub(super) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.draw() % limit
    }

    /// True with probability `p`.
    pub(super) fn hits(&mut self, p: f64) -> bool {
        // 53 bits: a double holds them exactly.
        ((self.draw() >> 11) as f64) < p * (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_is_drawn_about_as_often_as_given() {
        for (p, around) in [(0.0, 0..=0), (0.3, 2_850..=3_150), (1.0, 10_000..=10_000)] {
            let hits = (0..10_000).filter(|n| Dice::new(7, "test", *n).hits(p)).count();
            assert!(around.contains(&hits), "{hits} of 10000 for {p}");
        }
    }

    #[test]
    fn seed_purpose_and_number_each_change_the_draw() {
        let drawn = |seed, purpose, number| Dice::new(seed, purpose, number).draw();
        assert_eq!(drawn(1, "a", 1), drawn(1, "a", 1));
        assert_ne!(drawn(1, "a", 1), drawn(2, "a", 1));
        assert_ne!(drawn(1, "a", 1), drawn(1, "b", 1));
        assert_ne!(drawn(1, "a", 1), drawn(1, "a", 2));
    }
}
