//! Whether a limit was exceeded.

use std::collections::{BTreeMap, HashMap};

use tollgate_core::bucket::Bucket;
use tollgate_core::limits::PLAN_BUCKET;
use tollgate_core::plan::Plan;

use super::{Charge, Inner, Over, Owed};

impl Inner {
    /// Periods in which more was charged than the largest quota that was in force.
    pub(super) fn over_quota(&self) -> Vec<String> {
        let mut spent: BTreeMap<_, (u64, u64)> = BTreeMap::new();
        for charge in &self.charges {
            let Some(quota) = self.limits_of(charge).and_then(|limits| limits.quota) else {
                continue;
            };
            let meter = (&charge.key, &charge.plan, &charge.period);
            let (spent, limit) = spent.entry(meter).or_default();
            *spent += charge.cost;
            *limit = (*limit).max(quota.limit());
        }
        let over = spent
            .into_iter()
            .filter(|((key, plan, _), (spent, limit))| {
                let meter = ((*key).clone(), (*plan).clone());
                let times = 1 + self.anew.get(&meter).copied().unwrap_or(0);
                let granted = self.granted.get(&meter).copied().unwrap_or(0);
                *spent > limit * times + granted
            });
        over.map(|(meter, (spent, limit))| {
            format!("{meter:?}: {spent} charged of a quota of {limit}")
        })
        .collect()
    }

    /// Requests that came when their key was over, and were admitted.
    pub(super) fn admitted_when_over(&self) -> Vec<String> {
        let admitted = self.traces.iter().filter(|trace| {
            let state = trace.state();
            let (verdict, _, at) = state.verdict.as_ref().expect("it is decided");
            let mut over = self.over.iter().filter(|(key, _)| *key == trace.key);
            let is_within = |over: &Over| trace.came > over.from && *at < over.to;
            verdict.is_allowed() && over.any(|(_, over)| is_within(over))
        });
        admitted
            .map(|trace| format!("{}: {} was over, and admitted", trace.came, trace.key))
            .collect()
    }

    /// Buckets that held more than they may. In the order of the store, and by the instances' own times, it has to be exact,
    /// but for how far their clocks were apart.
    pub(super) fn over_rate(&self) -> Vec<String> {
        let apart = self.apart();
        let mut levels: HashMap<_, Owed> = HashMap::new();
        let mut broken = Vec::new();
        for charge in &self.charges {
            let meter = (&charge.key, &charge.plan);
            for id in &charge.pruned {
                levels.remove(&(meter, id));
            }
            for id in &charge.buckets {
                let Some(bucket) = self.bucket(&charge.plan, charge.revision, id) else {
                    broken.push(format!("nothing limits bucket {id} of {meter:?}"));
                    continue;
                };
                let now = charge.reading.as_nanosecond();
                let before = levels.get(&(meter, id));
                let paid = before.map_or(now, |owed| self.carried(owed, charge, id, bucket));
                let cost = u32::try_from(charge.cost).unwrap_or(u32::MAX);
                let paid = paid.max(now) + bucket.increment(cost);
                if paid > now + bucket.increment(bucket.burst()) + apart {
                    broken.push(format!(
                        "{}: bucket {id} of {meter:?} holds more than {bucket:?}",
                        charge.reading
                    ));
                }
                let owed = Owed {
                    paid,
                    at: now,
                    revision: charge.revision,
                    bucket,
                };
                levels.insert((meter, id), owed);
            }
        }
        broken
    }

    /// When what was owed before a charge is paid for, by the limits that the charge went by.
    ///
    /// An edit keeps the requests that are owed. When they were turned to the new pace is not seen: it is taken for as early
    /// as favours the engine, and by the clock that does.
    pub(super) fn carried(&self, owed: &Owed, charge: &Charge, id: &str, bucket: Bucket) -> i128 {
        if owed.revision == charge.revision {
            return owed.paid;
        }
        let now = charge.reading.as_nanosecond();
        let revisions = owed.revision..=charge.revision;
        let between = revisions.map(|revision| self.bucket(&charge.plan, revision, id));
        let Some(between) = between.collect::<Option<Vec<_>>>() else {
            // Without a limit for a while nothing was owed.
            return now;
        };
        let fastest = between.iter().map(Bucket::interval).min().unwrap_or(1);
        let smallest = between.iter().map(Bucket::burst).min().unwrap_or(0);
        let elapsed = (now - owed.at).max(0) + self.apart();
        // A smaller burst forgives what is beyond it, and then time goes on.
        let owed = (owed.paid - owed.at) / owed.bucket.interval();
        let requests = owed.min(i128::from(smallest)) - elapsed / fastest - 1;
        now + requests.max(0) * bucket.interval()
    }

    pub(super) fn bucket(&self, plan: &str, revision: u64, id: &str) -> Option<Bucket> {
        let limits = self.limits.get(&(plan.to_owned(), revision))?;
        // There is one throttled method at most.
        let mut methods = limits
            .stages
            .iter()
            .flat_map(|stage| stage.throttle.values());
        let throttle = if id == PLAN_BUCKET {
            limits.throttle
        } else {
            methods.next().copied()
        };
        throttle?.bucket()
    }

    /// How far apart clocks were, nanoseconds.
    pub(super) fn apart(&self) -> i128 {
        self.ahead.map_or(0, |(least, most)| most - least)
    }

    pub(super) fn limits_of(&self, charge: &Charge) -> Option<&Plan> {
        self.limits.get(&(charge.plan.clone(), charge.revision))
    }
}
