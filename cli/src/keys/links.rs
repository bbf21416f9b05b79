//! `tollgate keys link` and `unlink`.

use serde_json::{Value, json};
use tollgate_api::client::{Client, Error};

use crate::failure::Failure;
use crate::names::{Found, NameError};

/// Puts a key into a plan.
pub(super) async fn link(api: &Client, key: &Found, plan: &Found) -> Result<String, Failure> {
    let body = json!({ "keyId": key.id, "keyType": "API_KEY" });
    let _: Value = api.post(&["usageplans", &plan.id, "keys"], &body).await?;
    Ok(format!("Key {key} is in plan {plan}."))
}

/// Takes a key out of a plan.
pub(super) async fn unlink(api: &Client, key: &Found, plan: &Found) -> Result<String, Failure> {
    let path = ["usageplans", &plan.id, "keys", &key.id];
    let gone = api.delete(&path).await;
    gone.map_err(|error| not_linked(error, key, plan))?;
    Ok(format!("Key {key} is no longer in plan {plan}."))
}

/// The failure of a call about a key in a plan, both of which exist: the key is not in it, if something is not found.
pub(super) fn not_linked(error: Error, key: &Found, plan: &Found) -> Failure {
    if !error.is_not_found() {
        return error.into();
    }
    let (key, plan) = (key.clone(), plan.clone());
    NameError::NotLinked { key, plan }.into()
}
