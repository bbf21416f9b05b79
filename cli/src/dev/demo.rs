//! `--demo`: two plans with a key each, to try at once.

use std::collections::BTreeMap;

use tollgate_admin::keys::{NewKey, generate_value};
use tollgate_admin::plans::NewPlan;
use tollgate_admin::{Admin, PageRequest};
use tollgate_core::calendar::PeriodKind;
use tollgate_core::limit::{Quota, Throttle};
use tollgate_core::plan::{ApiStage, Plan};
use tollgate_keys::vault::Vault;

use super::Urls;
use crate::failure::Failure;
use crate::gateway::{API_ID, STAGE};
use crate::output::announce;

/// Whether the store has plans already, of an earlier run.
pub(super) async fn has_plans(admin: &Admin) -> Result<bool, Failure> {
    let first = PageRequest {
        limit: 1,
        ..PageRequest::default()
    };
    Ok(!admin.plans(&first).await?.items.is_empty())
}

/// Creates the plans and keys, and prints commands to try them with.
pub(super) async fn create(admin: &Admin, vault: &Vault, urls: &Urls) -> Result<(), Failure> {
    let Urls {
        gateway,
        management,
        ..
    } = urls;
    let basic = limits(2.0, 5, 100, PeriodKind::Day)?;
    let premium = limits(50.0, 100, 100_000, PeriodKind::Month)?;
    let basic = create_plan_and_key(admin, vault, "Basic", basic).await?;
    let premium = create_plan_and_key(admin, vault, "Premium", premium).await?;
    for line in [
        "",
        "# In another terminal:",
        &format!("export TOLLGATE_URL={management} KEY={basic} PREMIUM_KEY={premium}"),
        "# Basic: 2 requests/s, burst 5, 100 a day. The sixth of these comes too fast:",
        &format!(
            "for i in 1 2 3 4 5 6; do curl -s -o /dev/null -w '%{{http_code}}\\n' -H \"x-api-key: $KEY\" {gateway}/pets; done"
        ),
        "# Premium: 50 requests/s, burst 100, 100,000 a month:",
        &format!("curl -i -H \"x-api-key: $PREMIUM_KEY\" {gateway}/pets"),
        "# No key:",
        &format!("curl -i {gateway}/pets"),
    ] {
        announce(line);
    }
    Ok(())
}

fn limits(rate: f64, burst: u32, limit: u64, period: PeriodKind) -> Result<Plan, Failure> {
    Ok(Plan {
        throttle: Some(Throttle::new(Some(rate), Some(burst))?),
        quota: Some(Quota::new(limit, period, 0)?),
        stages: vec![ApiStage {
            api_id: API_ID.to_owned(),
            stage: STAGE.to_owned(),
            throttle: BTreeMap::new(),
            methods: None,
        }],
    })
}

/// Creates a plan with a key in it, and returns the key's value.
async fn create_plan_and_key(
    admin: &Admin,
    vault: &Vault,
    name: &str,
    limits: Plan,
) -> Result<String, Failure> {
    let plan = NewPlan {
        name: name.to_owned(),
        limits,
        ..NewPlan::default()
    };
    let plan = admin.create_plan(plan).await?;
    let value = generate_value();
    let key = NewKey {
        sealed: vault.seal(&value).await?,
        value: Some(value),
        name: Some(format!("{name} demo")),
        enabled: true,
        ..NewKey::default()
    };
    let (key, value) = admin.create_key(key).await?;
    admin.link(&plan.id, &key.id).await?;
    announce(format!("demo plan={name} key={}", value.expose()));
    Ok(value.expose().to_owned())
}
