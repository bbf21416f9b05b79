//! A closed day: what a key was admitted under a plan on a day that is over.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tollgate_core::calendar::start_of;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::meter::ClosedDay;

use super::{ItemKey, to_item};
use crate::schema::TTL;

/// Days for which a closed day is kept.
const KEPT_DAYS: i64 = 400;

/// What the item of a closed day holds.
#[derive(Serialize, Deserialize)]
pub struct UsageRecord {
    /// The day.
    pub day: Date,
    /// The cost admitted.
    pub count: u64,
    /// What the quota had left at its end.
    #[serde(default, rename = "left", skip_serializing_if = "Option::is_none")]
    remaining: Option<i64>,
    ttl: i64,
}

impl UsageRecord {
    /// The day as the rules know it.
    pub fn closed_day(&self) -> ClosedDay {
        ClosedDay {
            day: self.day,
            count: self.count,
            remaining: self.remaining,
        }
    }
}

/// Writes out a day of a meter, unless more of that day is written out already: a day that was written out when its key
/// was unlinked may have gone on since, and a call may arrive late.
pub fn put_usage(
    client: &Client,
    table: &str,
    key: &KeyId,
    plan: &PlanId,
    day: &ClosedDay,
) -> PutItemFluentBuilder {
    let record = UsageRecord {
        day: day.day,
        count: day.count,
        remaining: day.remaining,
        ttl: start_of(day.day).as_second() + KEPT_DAYS * 24 * 60 * 60,
    };
    debug_assert_eq!(TTL, "ttl");
    client
        .put_item()
        .table_name(table)
        .set_item(Some(to_item(&ItemKey::usage(key, plan, day.day), &record)))
        .condition_expression("attribute_not_exists(pk) OR #count < :count")
        .expression_attribute_names("#count", "count")
        .expression_attribute_values(":count", AttributeValue::N(day.count.to_string()))
}
