//! Which keys are in which plans. A key's record lists its plans; its meter under a plan is what is charged.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::Timestamp;
use tollgate_core::calendar::{day_of, start_of};
use tollgate_core::meter::{ClosedDay, Meter};
use tollgate_core::plan::ApiStage;

use super::listing::{List, by_time, shard_of};
use super::usage::usage_item;
use super::{Error, Manager, Page, PageRequest, is_condition};
use crate::expression::Update;
use crate::failure::Failure;
use crate::meter_item::{
    self, BUCKETS, COUNT, DAY, KEY_REVISION, LANES, PERIOD, PLAN_REVISION, SPENT, period_text,
};
use crate::record::{Item, ItemKey, KeyRecord, PlanRecord};
use crate::schema::{BY_CREATED, ITEM_VERSION, TTL};

/// How long a meter outlives the key it belonged to: long enough that no call under way can make a new one in its place.
pub(super) const TOMBSTONE_SECONDS: i64 = 24 * 60 * 60;

/// What a meter is told beside the key's revision.
#[derive(Debug, Clone, Copy)]
pub(super) enum Link<'a> {
    /// The key is in the plan. A meter that is missing starts at zero, one that was left behind goes on.
    Made {
        plan: &'a PlanRecord,
        now: Timestamp,
    },
    /// The key is no longer in the plan; the meter stays until then (epoch seconds), so that linking the key again does
    /// not reset a spent quota.
    Removed { until: i64 },
    /// Nothing.
    Unchanged,
}

impl Manager {
    /// Puts a key into a plan.
    ///
    /// # Errors
    /// [`Error::NoSuchPlan`], [`Error::NoSuchKey`], [`Error::AlreadyLinked`], [`Error::StageTaken`].
    pub async fn link(&self, plan_id: &str, key_id: &str) -> Result<KeyRecord, Error> {
        let plan = self.plan(plan_id).await?;
        let key = self.key(key_id).await?;
        if !key.plans.contains(&plan.id) {
            self.check_stages(&key, &plan).await?;
        }
        let now = self.now();
        let made = Link::Made { plan: &plan, now };
        let linked = self
            .change_key(key_id, |record| {
                if record.plans.contains(&plan.id) {
                    return Err(Error::AlreadyLinked);
                }
                record.plans.push(plan.id.clone());
                Ok(())
            })
            .await;
        let record = match linked {
            Ok(record) => record,
            Err(Error::AlreadyLinked) => {
                // An earlier call may have got no further than the record: finish what it began.
                let key = self.key(key_id).await?;
                let found = self.read_item(&ItemKey::meter(key_id, plan_id)).await?;
                if found.is_some_and(|meter| meter.contains_key(BY_CREATED.pk)) {
                    return Err(Error::AlreadyLinked);
                }
                key
            }
            Err(error) => return Err(error),
        };
        self.tell(&record, plan_id, made).await?;
        self.hint(&record).await?;
        Ok(record)
    }

    /// No other plan of the key may open a stage that this one opens.
    async fn check_stages(&self, key: &KeyRecord, plan: &PlanRecord) -> Result<(), Error> {
        let others: Vec<_> = key.plans.iter().map(|id| ItemKey::plan(id)).collect();
        let others: Vec<PlanRecord> = self.read_many(&others).await?;
        for other in others.iter().filter(|other| !other.deleted) {
            let mut stages = other.limits.stages.iter().map(ApiStage::name);
            let taken =
                stages.find(|name| plan.limits.stages.iter().any(|stage| stage.name() == *name));
            if let Some(stage) = taken {
                return Err(Error::StageTaken {
                    key: key.id.clone(),
                    plan: other.id.clone(),
                    stage,
                });
            }
        }
        Ok(())
    }

    /// Takes a key out of a plan. Its usage stays.
    ///
    /// # Errors
    /// [`Error::NotLinked`], [`Error::NoSuchKey`].
    pub async fn unlink(&self, plan_id: &str, key_id: &str) -> Result<(), Error> {
        let key = self.key(key_id).await?;
        let item = self.read_item(&ItemKey::meter(key_id, plan_id)).await?;
        let meter = item.as_ref().map(meter_item::read).transpose()?;
        let listed = item.is_some_and(|item| item.contains_key(BY_CREATED.pk));
        if !key.plans.iter().any(|plan| plan == plan_id) && !listed {
            return Err(Error::NotLinked);
        }
        let record = self
            .change_key(key_id, |record| {
                record.plans.retain(|plan| plan != plan_id);
                Ok::<_, Error>(())
            })
            .await?;
        let today = day_of(self.now());
        let period = meter.and_then(|meter| meter.period);
        let ends = period.map_or(today, |period| period.end().max(today));
        let until = start_of(ends).as_second() + TOMBSTONE_SECONDS;
        self.tell(&record, plan_id, Link::Removed { until }).await?;
        self.hint(&record).await
    }

    /// A key of a plan.
    ///
    /// # Errors
    /// [`Error::NoSuchPlan`], [`Error::NotLinked`].
    pub async fn linked_key(&self, plan_id: &str, key_id: &str) -> Result<KeyRecord, Error> {
        self.plan(plan_id).await?;
        match self.key(key_id).await {
            Ok(record) if record.plans.iter().any(|plan| plan == plan_id) => Ok(record),
            Ok(_) | Err(Error::NoSuchKey) => Err(Error::NotLinked),
            Err(error) => Err(error),
        }
    }

    /// A page of a plan's keys, those linked last first.
    ///
    /// # Errors
    /// [`Error::BadPosition`].
    pub async fn linked_keys(
        &self,
        plan_id: &str,
        name_prefix: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<KeyRecord>, Error> {
        let list = List {
            index: BY_CREATED,
            partition: plan_list(plan_id),
            prefix: String::new(),
            newest_first: true,
        };
        let mut position = page.position.clone();
        let mut items = Vec::new();
        loop {
            let part = PageRequest {
                position,
                limit: page.limit - items.len(),
            };
            let found = self.page(&list, &part).await?;
            let keys = found.items.iter();
            let keys: Vec<_> = keys
                .map(|pk| ItemKey::key(pk.trim_start_matches("KEY#")))
                .collect();
            let records: Vec<KeyRecord> = self.read_many(&keys).await?;
            let starts = |name: &String| name_prefix.is_none_or(|prefix| name.starts_with(prefix));
            items.extend(records.into_iter().filter(|record| {
                !record.deleted
                    && record.plans.iter().any(|plan| plan == plan_id)
                    && (name_prefix.is_none() || record.name.as_ref().is_some_and(starts))
            }));
            position = found.position;
            if position.is_none() || items.len() >= page.limit {
                return Ok(Page { items, position });
            }
        }
    }

    /// Tells a meter the key's revision and its link. Telling it twice, or after something newer, changes nothing.
    pub(super) async fn tell(
        &self,
        key: &KeyRecord,
        plan_id: &str,
        link: Link<'_>,
    ) -> Result<(), Error> {
        let request = self
            .client()
            .update_item()
            .table_name(&self.table)
            .set_key(Some(ItemKey::meter(&key.id, plan_id).attributes()))
            .return_values(ReturnValue::AllNew);
        let update = telling(key, plan_id, link, self.now());
        let meter: Item = match update.apply(request).send().await {
            Ok(answer) => answer.attributes.unwrap_or_default(),
            Err(error) if is_condition(&error) => return Ok(()),
            Err(error) => return Err(Failure::from(error).into()),
        };
        match link {
            Link::Removed { .. } => self.write_out(key, plan_id, &meter).await,
            Link::Made { .. } | Link::Unchanged => Ok(()),
        }
    }

    /// A meter that is left behind will be gone some day: what it counted is written out.
    async fn write_out(&self, key: &KeyRecord, plan_id: &str, meter: &Item) -> Result<(), Error> {
        if key.deleted {
            return Ok(());
        }
        let meter = meter_item::read(meter)?;
        let left = self.left_of(plan_id, &meter).await?;
        let today = ClosedDay {
            day: meter.day,
            count: meter.count,
            left,
        };
        let days = [Some(today).filter(|day| day.count > 0), meter.closed];
        for day in days.into_iter().flatten() {
            self.client()
                .put_item()
                .table_name(&self.table)
                .set_item(Some(usage_item(&key.id, plan_id, &day)))
                .send()
                .await
                .map_err(Failure::from)?;
        }
        Ok(())
    }

    async fn left_of(&self, plan_id: &str, meter: &Meter) -> Result<Option<i64>, Error> {
        let plan: Option<PlanRecord> = self.read(&ItemKey::plan(plan_id)).await?;
        let quota = plan.and_then(|plan| plan.limits.quota);
        Ok(quota.map(|quota| super::usage::left(&quota, meter)))
    }

    /// Notes the plans beside the value, so that they are read together with the key. Only a hint: the record decides.
    async fn hint(&self, key: &KeyRecord) -> Result<(), Error> {
        let mut update = Update::default();
        let plans = key.plans.iter().cloned().map(AttributeValue::S).collect();
        let (name, plans) = (update.name("plans"), update.value(AttributeValue::L(plans)));
        let (owner, id) = (update.name("key_id"), update.text(&key.id));
        update.condition(format!("{owner} = {id}"));
        update.set(&name, plans);
        let request = self
            .client()
            .update_item()
            .table_name(&self.table)
            .set_key(Some(ItemKey::hash(&key.hash).attributes()));
        match update.apply(request).send().await {
            Err(error) if !is_condition(&error) => Err(Failure::from(error).into()),
            _ => Ok(()),
        }
    }
}

/// The list of a plan's keys.
pub(super) fn plan_list(plan_id: &str) -> String {
    format!("PLAN#{plan_id}")
}

fn telling(key: &KeyRecord, plan_id: &str, link: Link<'_>, now: Timestamp) -> Update {
    let mut update = Update::default();
    let (known, revision) = (update.name(KEY_REVISION), update.number(key.revision));
    update.set(&known, &revision);
    let newer = format!("{known} <= {revision}");
    if let Link::Unchanged = link {
        // Comparing with a missing attribute fails: no meter is made.
        update.condition(newer);
        return update;
    }
    update.condition(format!("(attribute_not_exists({known}) OR {newer})"));
    let (ttl, list, sort) = (
        update.name(TTL),
        update.name(BY_CREATED.pk),
        update.name(BY_CREATED.sk),
    );
    let quota = match link {
        Link::Made { plan, .. } => plan.limits.quota,
        _ => None,
    };
    match link {
        Link::Made { now, .. } => {
            let shard = update.text(shard_of(&plan_list(plan_id), &key.id));
            let time = update.text(by_time(now.as_millisecond(), &key.id));
            update.set(&list, shard);
            update.set(&sort, time);
            update.remove(ttl);
        }
        Link::Removed { until } => {
            let until = update.number(until);
            update.set(&ttl, until);
            update.remove(list);
            update.remove(sort);
        }
        Link::Unchanged => {}
    }
    let plan_revision = match link {
        Link::Made { plan, .. } => plan.revision,
        _ => 0,
    };
    let fresh = Meter::new(key.revision, plan_revision, day_of(now), quota.as_ref());
    start(&mut update, &fresh);
    update
}

/// What a meter starts with, where it has nothing yet.
fn start(update: &mut Update, fresh: &Meter) {
    let empty = || AttributeValue::M(std::collections::HashMap::new());
    let number = |number: u64| AttributeValue::N(number.to_string());
    let text = |text: String| AttributeValue::S(text);
    let attributes = [
        ("v", number(u64::from(ITEM_VERSION))),
        (PLAN_REVISION, number(fresh.plan_revision)),
        (BUCKETS, empty()),
        (LANES, empty()),
        (DAY, text(fresh.day.to_string())),
        (COUNT, number(fresh.count)),
        (PERIOD, text(period_text(fresh.period))),
        (SPENT, number(fresh.spent)),
    ];
    for (name, value) in attributes {
        let (name, value) = (update.name(name), update.value(value));
        update.set(&name, format!("if_not_exists({name}, {value})"));
    }
}
