//! When requests come, and for whom: the same in every run.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::{Instant, sleep_until};

use crate::statistics::count;

/// Requests independent of each other (a Poisson process).
pub(crate) struct Arrivals {
    rate: f64,
    random: Rng,
    next: Instant,
}

impl Arrivals {
    /// So many a second, from now on.
    pub(crate) fn new(rate: f64, seed: u64) -> Self {
        Self {
            rate,
            random: Rng::with_seed(seed),
            next: Instant::now(),
        }
    }

    /// Waits for the next one. One that came while the one before was served is there at once.
    pub(crate) async fn next(&mut self) {
        self.next += Duration::from_secs_f64(gap(&mut self.random, self.rate));
        sleep_until(self.next).await;
    }
}

/// The seconds to the next of independent requests that come at this rate.
pub(crate) fn gap(random: &mut Rng, rate: f64) -> f64 {
    -(1.0 - random.f64()).ln() / rate
}

/// Zipf's law: the `n`th of many comes in proportion to `1 / n^exponent`.
pub(crate) struct Zipf {
    /// The share of the first ones up to each.
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
