//! A closed day: the cost that a key was admitted under a plan on a day that is over.

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

/// How long a closed day is kept, in days.
const KEPT_DAYS: i64 = 400;

/// The content of a closed day's item.
#[derive(Serialize, Deserialize)]
pub struct UsageRecord {
    /// The day.
    pub day: Date,
    /// The cost admitted on the day.
    pub count: u64,
    /// What remained of the quota at the end of the day.
    #[serde(default, rename = "left", skip_serializing_if = "Option::is_none")]
    remaining: Option<i64>,
    ttl: i64,
}

impl UsageRecord {
    /// The day in the form that the rules use.
    pub fn closed_day(&self) -> ClosedDay {
        ClosedDay {
            day: self.day,
            count: self.count,
            remaining: self.remaining,
        }
    }
}

/// Archives a day of a meter, unless an archive with a larger count exists. A day that was archived when its key was unlinked
/// may have continued since, and a call may arrive late.
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
