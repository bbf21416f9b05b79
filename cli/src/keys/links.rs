//! `tollgate keys link` and `unlink`.

use serde_json::{Value, json};
use tollgate_api::client::Client;

use super::arguments::KeyAndPlan;
use crate::failure::Failure;

/// Puts a key into a plan, and says so.
pub(super) async fn link(api: &Client, link: &KeyAndPlan) -> Result<String, Failure> {
    let KeyAndPlan { key, plan } = link;
    let body = json!({ "keyId": key, "keyType": "API_KEY" });
    let _: Value = api.post(&["usageplans", plan, "keys"], &body).await?;
    Ok(format!("key {key}: in plan {plan}"))
}

/// Takes a key out of a plan, and says so.
pub(super) async fn unlink(api: &Client, link: &KeyAndPlan) -> Result<String, Failure> {
    let KeyAndPlan { key, plan } = link;
    api.delete(&["usageplans", plan, "keys", key]).await?;
    Ok(format!("key {key}: no longer in plan {plan}"))
}
