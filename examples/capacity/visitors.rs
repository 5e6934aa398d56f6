//! Draws the contact of each visit at random (Zipf).

use fastrand::Rng;

/// The contacts of a shop.
pub(crate) struct Visitors {
    /// For each contact the cumulative share of visits, rising to 1.
    up_to: Vec<f64>,
}

impl Visitors {
    /// That many contacts. Contact n visits `n^-skew` times as often as the first; with a skew of 0 all visit equally often.
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

    /// The number of contacts.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.up_to.len()).expect("constructed from a u32")
    }

    /// The contact of a visit.
    pub(crate) fn visitor(&self, rng: &mut Rng) -> u32 {
        let draw = rng.f64();
        let rank = self.up_to.partition_point(|share| *share <= draw);
        u32::try_from(rank)
            .unwrap_or(u32::MAX)
            .min(self.count() - 1)
    }

    /// Any contact, with equal probability.
    pub(crate) fn any_contact(&self, rng: &mut Rng) -> u32 {
        rng.u32(0..self.count())
    }
}
