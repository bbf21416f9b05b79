//! A model of several instances on one bucket, without a store or time limits: independent requests, answered at once. It shows
//! what leases would save, and how many requests they would refuse.
//!
//! The unit of time is the bucket's interval, so a load of 0.5 is half the rate.

use fastrand::Rng;

use crate::arrivals::gap;
use crate::statistics::count;

const REQUESTS: usize = 200_000;

/// How requests are bought.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lease {
    /// One by one.
    None,
    /// This many at once, to be used within this time.
    Fixed(f64, f64),
    /// As many as the instance needs for this time.
    OwnRate(f64),
}

/// The effect of a lease rule.
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
    /// How often the bucket was busier than it seemed: a two-bit counter.
    surprises: u8,
    /// Requests in hand, and until when.
    held: f64,
    until: f64,
}

/// A write that had to guess whether the bucket was busy.
struct Guess {
    is_busy: bool,
    /// Takes no second call, whether the guess was right or wrong.
    is_decided: bool,
    learned: bool,
}

#[derive(Default)]
struct Run {
    guesses: Vec<Guess>,
    refused: usize,
    /// Leases that failed because others had bought before.
    retried: usize,
}

/// Models `instances` at a load, by a lease rule.
pub(crate) fn leased(load: f64, instances: usize, burst: u32, lease: Lease) -> Leased {
    let mut model = Model {
        random: Rng::with_seed(7),
        load,
        burst: f64::from(burst),
        lease,
        now: 0.0,
        tat: 0.0,
        instances: vec![Instance::default(); instances],
        run: Run::default(),
    };
    for _ in 0..REQUESTS {
        model.request();
    }
    let run = model.run;
    Leased {
        calls: run.calls(),
        refused: count(run.refused) / count(REQUESTS),
    }
}

impl Run {
    /// Calls for each decision: one if the guess holds, two if it does not.
    fn calls(&self) -> f64 {
        let is_missed = |guess: &&Guess| !guess.is_decided && guess.learned != guess.is_busy;
        let missed = self.guesses.iter().filter(is_missed).count();
        count(self.guesses.len() + missed + self.retried) / count(REQUESTS)
    }
}

struct Model {
    random: Rng,
    load: f64,
    burst: f64,
    lease: Lease,
    now: f64,
    /// The bucket, as the store has it.
    tat: f64,
    instances: Vec<Instance>,
    run: Run,
}

/// A write to the bucket.
struct Purchase {
    /// The bucket after it.
    tat: f64,
    /// Requests bought.
    size: f64,
    /// The time at whose price they are bought.
    from: f64,
    /// Whether a lease had failed before.
    is_retry: bool,
}

impl Model {
    /// The next request, at whichever instance it reaches.
    fn request(&mut self) {
        self.now += gap(&mut self.random, self.load);
        let which = self.random.usize(..self.instances.len());
        let mut instance = self.instances[which];
        if instance.held >= 1.0 && self.now < instance.until {
            instance.held -= 1.0;
        } else if instance.seen > self.now + self.burst - 1.0 {
            self.run.refused += 1;
        } else {
            self.buy(&mut instance);
        }
        self.instances[which] = instance;
    }

    fn buy(&mut self, instance: &mut Instance) {
        let (size, lifetime) = self.offer();
        let purchase = self.purchase(instance.seen, size, lifetime);
        let is_admitted = purchase.tat <= self.now + self.burst;
        let is_busy = self.tat > purchase.from;
        let learned = instance.learn(purchase.from, is_busy);
        self.run.guesses.push(Guess {
            is_busy,
            // A refusal follows from the first answer, and so does the second attempt of a lease.
            is_decided: !is_admitted || purchase.is_retry,
            learned,
        });
        if is_admitted {
            self.tat = purchase.tat;
            instance.held = purchase.size - 1.0;
            instance.until = self.now + lifetime;
        } else {
            self.run.refused += 1;
        }
        instance.seen = self.tat;
    }

    /// How many requests the rule would buy, and for how long.
    fn offer(&self) -> (f64, f64) {
        match self.lease {
            Lease::None => (1.0, 0.0),
            Lease::Fixed(size, lifetime) => (size, lifetime),
            Lease::OwnRate(lifetime) => {
                let share = self.load / count(self.instances.len());
                ((share * lifetime).ceil().max(1.0), lifetime)
            }
        }
    }

    /// Buys a lease if there seems to be room for it; if there is none in fact, a single request.
    fn purchase(&mut self, seen: f64, size: f64, lifetime: f64) -> Purchase {
        // The price is taken at the lease's end, so the bucket has held the requests whenever they are used.
        let end = self.now + lifetime;
        let after = |tat: f64| tat.max(end) + size;
        let fits = |tat: f64| size > 1.0 && after(tat) <= self.now + self.burst;
        let (is_tried, is_bought) = (fits(seen), fits(seen) && fits(self.tat));
        if is_bought {
            return Purchase {
                tat: after(self.tat),
                size,
                from: end,
                is_retry: false,
            };
        }
        self.run.retried += usize::from(is_tried);
        Purchase {
            tat: self.tat.max(self.now) + 1.0,
            size: 1.0,
            from: self.now,
            is_retry: is_tried,
        }
    }
}

impl Instance {
    /// Guesses whether the bucket is busy, and learns whether it was.
    fn learn(&mut self, from: f64, is_busy: bool) -> bool {
        let idle_for = from - self.seen;
        let guess = idle_for < 0.0 || self.surprises >= 2;
        if idle_for >= 0.0 {
            self.surprises = if is_busy {
                (self.surprises + 1).min(3)
            } else {
                self.surprises.saturating_sub(1)
            };
        }
        guess
    }
}
