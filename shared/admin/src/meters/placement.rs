//! What a meter's item says about its place: whether it is in the list of its plan's keys, whether it is retired, and which
//! revision of the key it knows.

use tollgate_core::id::PlanId;

use crate::listing::string;
use tollgate_dynamo::item::Item;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::meter::{DAY, KEY_REVISION};
use tollgate_dynamo::schema::{BY_CREATED, BY_NAME, SK, TTL};

/// The place of a meter. The default is that of a missing meter.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "which attributes an item has"
)]
pub(crate) struct MeterPlacement {
    /// It has counters.
    pub(super) has_counters: bool,
    /// Its sort key in the list of the plan's keys: when the key was linked.
    pub(super) linked: Option<String>,
    /// It is in the list of the plan's keys.
    is_listed: bool,
    /// It is in the list of the plan's keys by name.
    is_listed_by_name: bool,
    /// It has a time to live.
    expires: bool,
    /// The key's revision that it knows.
    pub(crate) revision: Option<u64>,
}

impl MeterPlacement {
    /// The attributes that tell a placement.
    pub(super) const ATTRIBUTES: &'static [&'static str] = &[
        SK,
        DAY,
        KEY_REVISION,
        BY_CREATED.pk,
        BY_CREATED.sk,
        BY_NAME.pk,
        TTL,
    ];

    /// The placement of the meter in `item`.
    pub(crate) fn of(item: &Item) -> Self {
        let revision = item.get(KEY_REVISION);
        Self {
            has_counters: item.contains_key(DAY),
            linked: string(item, BY_CREATED.sk).map(str::to_owned),
            is_listed: item.contains_key(BY_CREATED.pk),
            is_listed_by_name: item.contains_key(BY_NAME.pk),
            expires: item.contains_key(TTL),
            revision: revision.and_then(|revision| revision.as_n().ok()?.parse().ok()),
        }
    }

    /// Whether it is in the list of the plan's keys.
    pub(crate) fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// Whether its retirement is complete: it is in no list, and DynamoDB deletes it one day.
    pub(super) fn is_retired(&self) -> bool {
        !self.is_listed && self.expires
    }

    /// Whether it knows the record's revision or a later one.
    fn knows(&self, record: &KeyRecord) -> bool {
        self.revision >= Some(record.revision)
    }

    /// Whether it says all that a meter of the key has to say while the key is in the plan.
    fn is_in_line(&self, record: &KeyRecord) -> bool {
        self.knows(record)
            && self.is_listed
            && self.is_listed_by_name == record.name.is_some()
            && !self.expires
    }
}

/// Whether every meter of a key is in line with its record. `meter` returns the placement of the meter under a plan, and
/// `is_active` whether a plan exists; a plan that does not, or that is being deleted, does not decide a meter's place.
pub(crate) fn is_published<'a>(
    record: &KeyRecord,
    meter: impl Fn(&PlanId) -> Option<&'a MeterPlacement>,
    is_active: impl Fn(&PlanId) -> bool,
) -> bool {
    let is_linked = |plan: &PlanId| match meter(plan) {
        Some(meter) if is_active(plan) => meter.is_in_line(record),
        Some(meter) => meter.knows(record),
        None => !is_active(plan),
    };
    let is_unlinked =
        |plan: &PlanId| meter(plan).is_none_or(|meter| meter.knows(record) && !meter.is_listed());
    record.plans.iter().all(is_linked) && record.retired_plans.iter().all(is_unlinked)
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;

    fn meter(revision: u64, attributes: &[&str]) -> MeterPlacement {
        let text = |name: &&str| ((*name).to_owned(), AttributeValue::S("x".to_owned()));
        let mut item: Item = attributes.iter().map(text).collect();
        let revision = AttributeValue::N(revision.to_string());
        item.insert(KEY_REVISION.to_owned(), revision);
        MeterPlacement::of(&item)
    }

    #[test]
    fn a_record_is_published_once_its_meters_know_it_and_are_where_it_says() {
        let record = KeyRecord {
            revision: 7,
            plans: vec![PlanId::from("p")],
            ..KeyRecord::default()
        };
        let published = |meter: Option<&MeterPlacement>, is_active| {
            is_published(&record, |_| meter, |_| is_active)
        };
        let listed = meter(7, &[DAY, BY_CREATED.pk, BY_CREATED.sk]);
        let behind = meter(6, &[DAY, BY_CREATED.pk, BY_CREATED.sk]);
        let retired = meter(7, &[DAY, TTL]);
        assert!(published(Some(&listed), true));
        assert!(!published(Some(&behind), true));
        assert!(!published(Some(&retired), true));
        assert!(!published(None, true));
        // Of a plan that is gone, only the revision counts.
        assert!(published(Some(&retired), false));
        assert!(published(None, false));
        assert!(!published(Some(&behind), false));
        assert!(retired.is_retired() && !listed.is_retired());
    }

    #[test]
    fn a_meter_of_a_plan_that_the_key_left_must_know_it_and_be_in_no_list() {
        let record = KeyRecord {
            revision: 7,
            retired_plans: vec![PlanId::from("p")],
            ..KeyRecord::default()
        };
        let published = |meter: Option<&MeterPlacement>| is_published(&record, |_| meter, |_| true);
        assert!(published(None));
        assert!(published(Some(&meter(8, &[DAY, TTL]))));
        assert!(!published(Some(&meter(6, &[DAY, TTL]))));
        assert!(!published(Some(&meter(7, &[DAY, BY_CREATED.pk]))));
    }
}
