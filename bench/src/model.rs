//! A model of several instances on one bucket, without a store or time limits: requests that are independent of each
//! other, answered at once. It says what leases would save and spoil.
//!
//! Time is counted in the bucket's interval, so a load of 0.5 is half the rate.

use fastrand::Rng;

use crate::arrivals::gap;
use crate::statistics::count;

const REQUESTS: usize = 200_000;

/// How requests are bought.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lease {
    /// One by one.
    None,
    /// So many at once, to be used within this time.
    Fixed(f64, f64),
    /// As many as the instance needs for this time.
    OwnRate(f64),
}

/// What a lease rule comes to.
pub(crate) struct Leased {
    /// Calls for each decision.
    pub(crate) calls: f64,
    /// The share of the requests that are refused.
    pub(crate) refused: f64,
}

/// A bucket as one instance knows it.
#[derive(Debug, Clone, Copy, Default)]
struct Instance {
    seen: f64,
    /// Surprises, a two-bit counter.
    surprises: u8,
    /// Requests in hand, and until when.
    held: f64,
    until: f64,
}

/// One try that had to guess.
struct Guess {
    is_busy: bool,
    /// Right or wrong, it takes no second call.
    is_told: bool,
    learned: bool,
}

#[derive(Default)]
struct Run {
    guesses: Vec<Guess>,
    refused: usize,
    /// Leases that others were ahead of.
    retried: usize,
}

/// So many instances at this load, by this rule.
pub(crate) fn leased(load: f64, instances: usize, burst: u32, lease: Lease) -> Leased {
    let run = run(load, instances, burst, lease);
    Leased {
        calls: run.calls(),
        refused: count(run.refused) / count(REQUESTS),
    }
}

impl Run {
    /// Calls for each decision: one where the guess holds, two where it does not.
    fn calls(&self) -> f64 {
        let is_missed = |guess: &&Guess| !guess.is_told && guess.learned != guess.is_busy;
        let missed = self.guesses.iter().filter(is_missed).count();
        count(self.guesses.len() + missed + self.retried) / count(REQUESTS)
    }
}

fn run(load: f64, instances: usize, burst: u32, lease: Lease) -> Run {
    let mut random = Rng::with_seed(7);
    let burst = f64::from(burst);
    let (mut now, mut tat) = (0.0, 0.0_f64);
    let mut all = vec![Instance::default(); instances];
    let mut run = Run::default();
    for _ in 0..REQUESTS {
        now += gap(&mut random, load);
        let instance = &mut all[random.usize(..instances)];
        if instance.held >= 1.0 && now < instance.until {
            instance.held -= 1.0;
            continue;
        }
        if instance.seen > now + burst - 1.0 {
            run.refused += 1;
            continue;
        }
        let (size, lifetime) = match lease {
            Lease::None => (1.0, 0.0),
            Lease::Fixed(size, lifetime) => (size, lifetime),
            Lease::OwnRate(lifetime) => (
                (load / count(instances) * lifetime).ceil().max(1.0),
                lifetime,
            ),
        };
        // The price is taken at the lease's end, so that whenever its requests are used the bucket has held them.
        let bought = |tat: f64| tat.max(now + lifetime) + size;
        let leases = size > 1.0;
        let tried = leases && bought(instance.seen) <= now + burst;
        let fits = leases && bought(tat) <= now + burst;
        if tried && !fits {
            // Others have bought: the store says so, and one request is asked for instead.
            run.retried += 1;
        }
        let (after, held, from) = if tried && fits {
            (bought(tat), size, now + lifetime)
        } else {
            (tat.max(now) + 1.0, 1.0, now)
        };
        let idle_for = from - instance.seen;
        let is_busy = tat > from;
        run.guesses.push(Guess {
            is_busy,
            // A refusal follows from the first answer, and so does the second try of a lease.
            is_told: after > now + burst || tried && !fits,
            learned: idle_for < 0.0 || instance.surprises >= 2,
        });
        if idle_for >= 0.0 {
            instance.surprises = if is_busy {
                (instance.surprises + 1).min(3)
            } else {
                instance.surprises.saturating_sub(1)
            };
        }
        if after <= now + burst {
            tat = after;
            instance.held = held - 1.0;
            instance.until = now + lifetime;
        } else {
            run.refused += 1;
        }
        instance.seen = tat;
    }
    run
}
