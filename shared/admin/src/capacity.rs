//! The capacity that plans promise: the most that their usable keys may send, beside what they sent.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use tollgate_core::calendar::day_of;
use tollgate_core::id::StageId;
use tollgate_core::limits::Limits;
use tollgate_core::meter::Meter;

use crate::listing::string;
use crate::{Admin, Error, PageRequest, logged};
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::meter;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::item::usage::UsageRecord;
use tollgate_dynamo::item::{Item, ItemKey, from_item};
use tollgate_dynamo::schema::PK;

const DAY_SECONDS: f64 = 86_400.0;

/// The most that a number of keys may send.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Entitlement {
    /// The number of keys.
    pub keys: u64,
    /// Keys without a throttle.
    pub unthrottled: u64,
    /// Requests per second, of the keys with a throttle.
    pub rate: f64,
    /// Requests at once, of the keys with a throttle.
    pub burst: u64,
    /// Keys with neither a throttle nor a quota.
    pub unlimited: u64,
    /// Requests per day of all other keys: what the quota allows, or the throttle if that is less.
    pub daily: f64,
}

/// The sum over a page of a plan's keys.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Capacity {
    /// All stages together, because a key's limits hold over all of them.
    pub plan: Entitlement,
    /// Each method that has its own throttle, by stage and method.
    pub methods: BTreeMap<(StageId, String), Entitlement>,
    /// By stage. A key may send all its requests to any one of its stages.
    pub stages: BTreeMap<StageId, Entitlement>,
    /// The cost that these keys used yesterday under this plan, whether or not they are still usable.
    pub used_yesterday: u64,
    /// The date of that day.
    pub yesterday: Date,
}

impl Entitlement {
    fn add(&mut self, limits: &Limits) {
        self.keys += 1;
        let lowest = limits.buckets().map(|(_, bucket)| bucket);
        let lowest = lowest.min_by(|a, b| a.rate().total_cmp(&b.rate()));
        let burst = limits.buckets().map(|(_, bucket)| bucket.burst()).min();
        let by_rate = lowest.map(|bucket| {
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
    /// What a page of a plan's keys may send now and what they used yesterday, and the position of the next page. The plan's
    /// capacity is the sum over all pages.
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
        let now = self.now();
        let usable = keys.items.iter();
        for key in usable.filter(|key| key.check_usable(None, now).is_ok()) {
            capacity.add(key, plan, today);
        }
        Ok((capacity, keys.position))
    }

    /// What these keys used on a day that is over. Each day is archived, or still in the meter.
    async fn used_on(
        &self,
        plan: &PlanRecord,
        keys: &[KeyRecord],
        day: Date,
    ) -> Result<u64, Error> {
        // The meters are read first: a day that is archived between the two reads is then found in the archive.
        let meters = keys.iter().map(|key| ItemKey::meter(&key.id, &plan.id));
        let meters = self.items.get_many(&meters.collect::<Vec<_>>()).await?;
        let archived = keys
            .iter()
            .map(|key| ItemKey::usage(&key.id, &plan.id, day));
        let archived = self.items.get_many(&archived.collect::<Vec<_>>()).await?;
        let archived = archived.into_iter().filter_map(|item| {
            let key = partition(&item);
            logged(from_item::<UsageRecord>(item)).map(|record| (key, record.count))
        });
        let mut used: BTreeMap<String, u64> = archived.collect();
        for item in &meters {
            let meter = logged(meter::read(item)).flatten();
            for live in meter.iter().filter_map(|meter| count_on(meter, day)) {
                let known = used.entry(partition(item)).or_default();
                *known = live.max(*known);
            }
        }
        Ok(used.values().sum())
    }
}

/// What a meter counted on a day, if it still says.
fn count_on(meter: &Meter, day: Date) -> Option<u64> {
    let closed = meter.closed.filter(|closed| closed.day == day);
    let closed = closed.map(|closed| closed.count);
    let today = (meter.day == day).then_some(meter.count);
    today.max(closed)
}

/// The partition key of an item: all items of a key have the same.
fn partition(item: &Item) -> String {
    string(item, PK).unwrap_or_default().to_owned()
}

impl Capacity {
    fn add(&mut self, key: &KeyRecord, plan: &PlanRecord, today: Date) {
        let terms = key.terms(plan);
        let whole = terms.whole(today);
        self.plan.add(&whole);
        let restriction = key.restriction.as_ref();
        for (stage, entitlement) in &mut self.stages {
            if restriction.is_none_or(|restriction| restriction.contains_key(stage)) {
                entitlement.add(&whole);
            }
        }
        for (stage, template, method) in terms.methods(today) {
            let limits = whole.clone().and(method);
            let entry = (stage, template.to_string());
            self.methods.entry(entry).or_default().add(&limits);
        }
    }
}
