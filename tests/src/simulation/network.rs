//! The store, and the way to it.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_types::body::SdkBody;
use dynoxide::Database;
use fastrand::Rng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_dynamo::{Item, from_item};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_engine::Settings;

use super::Time;
use super::ledger::{Ledger, Sent, Trace};

tokio::task_local! {
    /// The decision that calls are made for.
    pub(super) static DECISION: Arc<Trace>;
}

/// What goes wrong on the way, of ten thousand calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Calls that never arrive.
    pub lost_requests: u32,
    /// Calls whose answer never comes back.
    pub lost_answers: u32,
    /// Calls that arrive when their caller may have given up.
    pub late: u32,
    /// Calls that the store is too busy for.
    pub busy: u32,
    /// A store that is broken, for trying out the checks: all charges are made, whatever their conditions.
    pub ignores_conditions: bool,
}

impl Faults {
    /// From none to many.
    pub(super) fn draw(random: &mut Rng) -> Self {
        let worst = [0, 50, 300, 1_500][random.usize(..4)];
        let mut draw = || random.u32(..=worst);
        Self {
            lost_requests: draw(),
            lost_answers: draw(),
            late: draw(),
            busy: draw(),
            ignores_conditions: false,
        }
    }
}

/// What becomes of a call.
enum Fate {
    Answered,
    LostRequest,
    LostAnswer,
    Busy,
}

/// The one store, and the network before it.
pub(super) struct Network {
    database: Database,
    faults: Mutex<Faults>,
    /// How long a call takes there and back; drawn where nothing is said.
    round_trip: Mutex<Option<Duration>>,
    random: Mutex<Rng>,
    time: Time,
    ledger: Arc<Ledger>,
}

impl Network {
    pub(super) fn new(time: Time, seed: u64, ledger: Arc<Ledger>) -> Arc<Self> {
        Arc::new(Self {
            database: Database::memory().expect("an empty store"),
            faults: Mutex::default(),
            round_trip: Mutex::default(),
            random: Mutex::new(Rng::with_seed(seed)),
            time,
            ledger,
        })
    }

    /// From now on this goes wrong.
    pub(super) fn set_faults(&self, faults: Faults) {
        *self.faults.lock().expect("not poisoned") = faults;
    }

    /// From now on calls take about this long there and back.
    pub(super) fn set_round_trip(&self, round_trip: Duration) {
        *self.round_trip.lock().expect("not poisoned") = Some(round_trip);
    }

    /// A client by way of it.
    pub(super) fn client(self: &Arc<Self>) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(Way(Arc::clone(self)));
        http_client_fn(move |_, _| connector.clone())
    }

    /// What becomes of the next call, and how long it takes there and back.
    fn draw(&self) -> (Fate, Duration, Duration) {
        let faults = *self.faults.lock().expect("not poisoned");
        let mut random = self.random.lock().expect("not poisoned");
        let mut happens = |often: u32| random.u32(..10_000) < often;
        let fate = if happens(faults.lost_requests) {
            Fate::LostRequest
        } else if happens(faults.lost_answers) {
            Fate::LostAnswer
        } else if happens(faults.busy) {
            Fate::Busy
        } else {
            Fate::Answered
        };
        let is_late = happens(faults.late);
        let round_trip = *self.round_trip.lock().expect("not poisoned");
        let mut one_way = || match round_trip {
            // Now and then one takes three times as long.
            Some(round_trip) if random.u8(..100) == 0 => round_trip * 3 / 2,
            Some(round_trip) => (round_trip / 2).mul_f64(0.6 + 0.8 * random.f64()),
            None => Duration::from_micros(random.u64(200..3_000)),
        };
        let (there, back) = (one_way(), one_way());
        if is_late {
            return (
                fate,
                Duration::from_micros(random.u64(100_000..3_000_000)),
                back,
            );
        }
        (fate, there, back)
    }

    /// Makes a call, in one moment.
    fn make(
        &self,
        operation: &str,
        mut body: Value,
        decision: Option<(&Trace, Sent)>,
    ) -> (u16, String) {
        let meter = (operation == "UpdateItem")
            .then(|| Meter::of(&body))
            .flatten();
        let faults = *self.faults.lock().expect("not poisoned");
        if meter.is_some() && decision.is_some() && faults.ignores_conditions {
            let condition = body["ConditionExpression"].as_str().expect("a condition");
            body["ConditionExpression"] = format!("({condition}) OR attribute_exists(pk)").into();
        }
        let before = meter.as_ref().map(|meter| self.item(meter));
        let plan = Self::plan(operation, &body);
        let outcome = self.dispatch(operation, body);
        if let (Some(plan), Ok(_)) = (plan, &outcome) {
            self.ledger.disturbed(&plan.id, self.time.now());
            self.ledger.limits(&plan.id, plan.revision, &plan.limits);
        }
        if let (Some(meter), Some(before), Ok(_)) = (&meter, before, &outcome) {
            let after = self.item(meter);
            let now = self.time.now();
            self.ledger
                .written(&meter.key, &meter.plan, &before, &after, now, decision);
        }
        match outcome {
            Ok(answer) => (200, answer),
            Err(error) => (error.status_code(), error.to_json()),
        }
    }

    /// The plan that a call puts into the table.
    fn plan(operation: &str, body: &Value) -> Option<PlanRecord> {
        let is_plan = operation == "PutItem" && body["Item"]["sk"]["S"] == "PLAN";
        let item = is_plan.then(|| serde_json::from_value::<Item>(body["Item"].clone()));
        item.map(|item| from_item(item.expect("an item")).expect("a plan"))
    }

    fn item(&self, meter: &Meter) -> Value {
        let read = serde_json::json!({ "TableName": meter.table, "Key": meter.item, "ConsistentRead": true });
        let answer = self.dispatch("GetItem", read).expect("an answer");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        answer["Item"].clone()
    }

    fn dispatch(&self, operation: &str, body: Value) -> dynoxide::Result<String> {
        let store = &self.database;
        match operation {
            "CreateTable" => call(body, |request| store.create_table(request)),
            "DescribeTable" => call(body, |request| store.describe_table(request)),
            "UpdateTimeToLive" => call(body, |request| store.update_time_to_live(request)),
            "GetItem" => call(body, |request| store.get_item(request)),
            "BatchGetItem" => call(body, |request| store.batch_get_item(request)),
            "Query" => call(body, |request| store.query(request)),
            "PutItem" => call(body, |request| store.put_item(request)),
            "UpdateItem" => call(body, |request| store.update_item(request)),
            "BatchWriteItem" => call(body, |request| store.batch_write_item(request)),
            "DeleteItem" => call(body, |request| store.delete_item(request)),
            "TransactWriteItems" => call(body, |request| store.transact_write_items(request)),
            other => panic!("the simulated store has no {other}"),
        }
    }
}

fn call<Q: DeserializeOwned, A: Serialize>(
    body: Value,
    make: impl FnOnce(Q) -> dynoxide::Result<A>,
) -> dynoxide::Result<String> {
    let request = serde_json::from_value(body).expect("a call as the SDK writes it");
    let answer = make(request)?;
    Ok(serde_json::to_string(&answer).expect("an answer"))
}

/// The meter that an update is for.
struct Meter {
    table: Value,
    item: Value,
    key: String,
    plan: String,
}

impl Meter {
    fn of(body: &Value) -> Option<Self> {
        let part = |name: &str| body["Key"][name]["S"].as_str();
        Some(Self {
            table: body["TableName"].clone(),
            item: body["Key"].clone(),
            key: part("pk")?.strip_prefix("KEY#")?.to_owned(),
            plan: part("sk")?.strip_prefix("METER#")?.to_owned(),
        })
    }
}

/// An instance's way to the store.
struct Way(Arc<Network>);

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Way")
    }
}

impl HttpConnector for Way {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let network = Arc::clone(&self.0);
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = request.body().bytes().expect("a whole body");
        let body = serde_json::from_slice(body).expect("JSON");
        let decision = DECISION.try_with(Arc::clone).ok();
        // The instance's time when it sends this.
        let sent = network.time.now();
        let decision = decision.map(|decision| {
            let reading = decision.now();
            network.ledger.sent(reading.duration_since(sent).as_nanos());
            (Sent { reading, sent }, decision)
        });
        let (fate, there, back) = network.draw();
        if let Some((_, decision)) = &decision {
            let is_lost = matches!(fate, Fate::LostRequest | Fate::LostAnswer);
            let is_lost = is_lost || there + back >= Settings::default().attempt_timeout;
            decision.called(&operation, is_lost);
        }
        let (sender, answer) = oneshot::channel();
        // On its way, whatever becomes of the caller.
        tokio::spawn(async move {
            sleep(there).await;
            let (status, body) = match fate {
                Fate::LostRequest => return,
                Fate::Busy => (
                    500,
                    r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError"}"#
                        .to_owned(),
                ),
                Fate::Answered | Fate::LostAnswer => {
                    let decision = decision.as_ref().map(|(at, decision)| (&**decision, *at));
                    network.make(&operation, body, decision)
                }
            };
            sleep(back).await;
            if !matches!(fate, Fate::LostAnswer) {
                // The caller may have given up.
                drop(sender.send((status, body, network.time.now())));
            }
        });
        HttpConnectorFuture::new(async move {
            let Ok((status, body, at)) = answer.await else {
                return std::future::pending().await;
            };
            let status = status.try_into().expect("a status");
            let mut response = HttpResponse::new(status, SdkBody::from(body));
            let date = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            response.headers_mut().insert("date", date);
            Ok(response)
        })
    }
}
