//! Who comes: contacts in the order of how often they do (Zipf), drawn at random.

use fastrand::Rng;

/// The contacts of a shop.
pub(crate) struct People {
    /// For each contact, how often it or one before it comes: rising, up to 1.
    up_to: Vec<f64>,
}

impl People {
    /// So many contacts, of whom number n comes `n^-skew` times as often as the first; with a skew of 0
    /// all come alike.
    pub(crate) fn new(contacts: u32, skew: f64) -> Self {
        let mut sum = 0.0;
        let mut up_to: Vec<f64> = (1..=contacts)
            .map(|rank| {
                sum += f64::from(rank).powf(-skew);
                sum
            })
            .collect();
        for share in &mut up_to {
            *share /= sum;
        }
        Self { up_to }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.up_to.len()).expect("it was made of a u32")
    }

    /// Somebody who comes.
    pub(crate) fn visitor(&self, rng: &mut Rng) -> u32 {
        let draw = rng.f64();
        let rank = self.up_to.partition_point(|share| *share <= draw);
        u32::try_from(rank)
            .unwrap_or(u32::MAX)
            .min(self.count() - 1)
    }

    /// Anybody, whether they come or not.
    pub(crate) fn anybody(&self, rng: &mut Rng) -> u32 {
        rng.u32(0..self.count())
    }
}
