//! The record of a usage plan.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use tollgate_core::id::PlanId;
use tollgate_core::plan::Plan;

/// A usage plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanRecord {
    /// The plan's id.
    pub id: PlanId,
    /// Increases with every change.
    pub revision: u64,
    /// Whether the plan is being deleted. For everything except the deletion it no longer exists.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// The plan's name.
    pub name: String,
    /// The plan's description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The AWS Marketplace product that the plan belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_code: Option<String>,
    /// The plan's tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// When the plan was created.
    #[serde(with = "millisecond::required")]
    pub created: Timestamp,
    /// The plan's limits.
    pub limits: Plan,
}
