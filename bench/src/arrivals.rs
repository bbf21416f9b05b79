//! When requests arrive, and for which key: the same in every run.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::{Instant, sleep_until};

use crate::statistics::count;

/// Independent requests (a Poisson process).
pub(crate) struct Arrivals {
    rate: f64,
    random: Rng,
    next: Instant,
}

impl Arrivals {
    /// Requests at `rate` a second, from now on.
    pub(crate) fn new(rate: f64, seed: u64) -> Self {
        Self {
            rate,
            random: Rng::with_seed(seed),
            next: Instant::now(),
        }
    }

    /// Waits for the next request. If it arrived while the one before was served, it is there at once.
    pub(crate) async fn next(&mut self) {
        self.next += Duration::from_secs_f64(gap(&mut self.random, self.rate));
        sleep_until(self.next).await;
    }
}

/// The seconds until the next of independent requests at `rate` a second.
pub(crate) fn gap(random: &mut Rng, rate: f64) -> f64 {
    -(1.0 - random.f64()).ln() / rate
}

/// Zipf's law: the frequency of the `n`th of many is in proportion to `1 / n^exponent`.
pub(crate) struct Zipf {
    /// For each, its share and those of all before it, added up.
    shares: Vec<f64>,
    random: Rng,
}

impl Zipf {
    pub(crate) fn new(many: usize, exponent: f64, seed: u64) -> Self {
        let weights = (1..=many).map(|n| count(n).powf(-exponent));
        let mut shares: Vec<_> = weights
            .scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        let sum = shares.last().copied().unwrap_or(1.0);
        for share in &mut shares {
            *share /= sum;
        }
        Self {
            shares,
            random: Rng::with_seed(seed),
        }
    }

    pub(crate) fn next(&mut self) -> usize {
        let at = self.random.f64();
        self.shares.partition_point(|share| *share < at)
    }
}
