//! What plans promise: the most that their active keys may send, beside what they sent.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use tollgate_core::calendar::day_of;
use tollgate_core::id::StageId;
use tollgate_core::limits::Limits;

use super::{Admin, Error, PageRequest};
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::meter;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::item::usage::UsageRecord;
use tollgate_dynamo::item::{Item, ItemKey, from_item, name_of};

const DAY_SECONDS: f64 = 86_400.0;

/// What keys may send at most, and what they sent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Entitlement {
    /// Keys that are counted in.
    pub keys: u64,
    /// Of these, those that no throttle holds.
    pub unthrottled: u64,
    /// Requests per second of the others.
    pub rate: f64,
    /// Requests at once of the others.
    pub burst: u64,
    /// Keys that neither a throttle nor a quota holds.
    pub unlimited: u64,
    /// Requests on one day of the others: what the quota allows, or the throttle where that is less.
    pub daily: f64,
}

/// What a page of a plan's keys comes to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Capacity {
    /// All stages together: a key's limits are over all of them.
    pub plan: Entitlement,
    /// Each method with a throttle of its own, by its stage.
    pub methods: BTreeMap<(StageId, String), Entitlement>,
    /// By stage. A key may send all that it has to any one of them.
    pub stages: BTreeMap<StageId, Entitlement>,
    /// The cost that these keys were admitted yesterday under this plan, active or not.
    pub used_yesterday: u64,
    /// The day that was.
    pub yesterday: Date,
}

impl Entitlement {
    fn add(&mut self, limits: &Limits) {
        self.keys += 1;
        let slowest = limits.buckets().map(|(_, bucket)| bucket);
        let slowest = slowest.min_by(|a, b| a.rate().total_cmp(&b.rate()));
        let burst = limits.buckets().map(|(_, bucket)| bucket.burst()).min();
        let by_rate = slowest.map(|bucket| {
            self.rate += bucket.rate();
            bucket
                .rate()
                .mul_add(DAY_SECONDS, f64::from(bucket.burst()))
        });
        match burst {
            Some(burst) => self.burst += u64::from(burst),
            None => self.unthrottled += 1,
        }
        #[expect(clippy::cast_precision_loss, reason = "a sum for people")]
        let by_quota = limits.quota().map(|quota| quota.limit() as f64);
        match (by_rate, by_quota) {
            (None, None) => self.unlimited += 1,
            (rate, quota) => {
                self.daily += rate.unwrap_or(f64::MAX).min(quota.unwrap_or(f64::MAX));
            }
        }
    }
}

impl Admin {
    /// What a page of a plan's keys is entitled to now, and what they used yesterday; and where the next page starts. The sums of
    /// all pages are the plan's.
    ///
    /// # Errors
    /// [`Error::BadPosition`].
    pub async fn capacity(
        &self,
        plan: &PlanRecord,
        page: &PageRequest,
    ) -> Result<(Capacity, Option<String>), Error> {
        let today = day_of(self.now());
        let yesterday = today.saturating_sub(1.day());
        let keys = self.linked_keys(plan, None, page).await?;
        let mut capacity = Capacity {
            yesterday,
            used_yesterday: self.used_on(plan, &keys.items, yesterday).await?,
            ..Capacity::default()
        };
        for stage in &plan.limits.stages {
            capacity.stages.entry(stage.id()).or_default();
        }
        for key in keys.items.iter().filter(|key| self.is_active(key)) {
            capacity.add(key, plan, today);
        }
        Ok((capacity, keys.position))
    }

    fn is_active(&self, key: &KeyRecord) -> bool {
        let now = self.now();
        key.enabled && key.expires.is_none_or(|expires| expires > now)
    }

    /// What these keys were admitted on a day that is over: it is written out, or still in the meter.
    async fn used_on(
        &self,
        plan: &PlanRecord,
        keys: &[KeyRecord],
        day: Date,
    ) -> Result<u64, Error> {
        // The meters first: a day that leaves one in between is then found written out.
        let meters = keys.iter().map(|key| ItemKey::meter(&key.id, &plan.id));
        let meters = self.read_items(&meters.collect::<Vec<_>>()).await?;
        let days = keys
            .iter()
            .map(|key| ItemKey::usage(&key.id, &plan.id, day));
        let days = self.read_items(&days.collect::<Vec<_>>()).await?;
        let mut used: BTreeMap<String, u64> = BTreeMap::new();
        let of_key = |item: &Item| name_of(item).split(' ').next().map(str::to_owned);
        for item in days {
            let key = of_key(&item).unwrap_or_default();
            if let Some(record) = super::logged(from_item::<UsageRecord>(item)) {
                used.insert(key, record.count);
            }
        }
        for item in &meters {
            let Some(meter) = super::logged(meter::read(item)).flatten() else {
                continue;
            };
            let today = Some((meter.day, meter.count));
            let live = [today, meter.closed.map(|closed| (closed.day, closed.count))];
            for (_, count) in live.into_iter().flatten().filter(|(live, _)| *live == day) {
                let known = used.entry(of_key(item).unwrap_or_default()).or_default();
                *known = count.max(*known);
            }
        }
        Ok(used.values().sum())
    }
}

impl Capacity {
    fn add(&mut self, key: &KeyRecord, plan: &PlanRecord, today: Date) {
        let terms = key.terms(plan);
        let whole = terms.whole(today);
        self.plan.add(&whole);
        let restriction = key.restriction.as_ref();
        for (stage, entitled) in &mut self.stages {
            if restriction.is_none_or(|restriction| restriction.contains_key(stage)) {
                entitled.add(&whole);
            }
        }
        for (stage, template, method) in terms.methods(today) {
            let limits = whole.clone().and(method);
            let entry = (stage, template.to_string());
            self.methods.entry(entry).or_default().add(&limits);
        }
    }
}
