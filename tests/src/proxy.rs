//! A proxy between a function and its store: it counts calls and what they consume, and fails as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::watch;

/// What happens to one call.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// It goes through.
    None,
    /// The store makes it, and the answer never comes back.
    CutAnswer,
    /// It reaches the store only after this long. The caller may have given up by then.
    Delay(Duration),
    /// It reaches the store only when the proxy is told to [`Proxy::release`] it.
    Hold,
    /// It is not made, and answered with this DynamoDB error (status 400).
    Refuse(&'static str),
    /// It is not made, and answered 500.
    InternalError,
    /// It is made, and answered 500.
    InternalErrorAfter,
    /// It is never answered.
    Stall,
}

/// Decides about the `n`th call (from 0), by operation name.
type Rule = Box<dyn Fn(usize, &str) -> Fault + Send + Sync>;

/// One call that went by.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// `UpdateItem`, `GetItem` ...
    pub operation: String,
    /// Capacity units that it consumed in all.
    pub capacity: f64,
    /// Of these, units on indexes.
    pub index_capacity: f64,
    /// A condition did not hold. The answer tells no capacity then; a unit for each KB is consumed all the same.
    pub refused: bool,
    /// How long the store took to answer.
    pub took: Duration,
}

/// A running proxy.
#[derive(Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
    /// Where it listens.
    pub endpoint: String,
}

struct Shared {
    upstream: String,
    client: Client<HttpConnector, Body>,
    rule: Mutex<Rule>,
    calls: Mutex<Vec<Call>>,
    arrived: Mutex<usize>,
    /// Counts releases.
    releases: watch::Sender<u64>,
    /// The number of calls that are delayed or held.
    late: watch::Sender<usize>,
    /// What the `Date` header is set to, where the store's clock has to be another one.
    date: Mutex<Option<HeaderValue>>,
}

impl Proxy {
    /// A proxy to `upstream` that lets everything through.
    pub async fn to(upstream: &str) -> Self {
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            rule: Mutex::new(Box::new(|_, _| Fault::None)),
            calls: Mutex::default(),
            arrived: Mutex::default(),
            releases: watch::Sender::default(),
            late: watch::Sender::default(),
            date: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { shared, endpoint }
    }

    /// From now on calls go by this rule, counted from 0.
    pub fn rule(&self, rule: impl Fn(usize, &str) -> Fault + Send + Sync + 'static) {
        *self.shared.rule.lock().unwrap() = Box::new(rule);
        *self.shared.arrived.lock().unwrap() = 0;
    }

    /// From now on answers carry this `Date`.
    pub fn set_date(&self, date: &str) {
        *self.shared.date.lock().unwrap() = Some(date.parse().unwrap());
    }

    /// Waits until a call is held.
    pub async fn holding(&self) {
        let mut late = self.shared.late.subscribe();
        late.wait_for(|late| *late > 0).await.unwrap();
    }

    /// Lets all held calls through and waits until the store has made them.
    pub async fn release(&self) {
        self.shared.releases.send_modify(|releases| *releases += 1);
        self.settled().await;
    }

    /// Waits until the store has made all calls that are delayed.
    pub async fn settled(&self) {
        let mut late = self.shared.late.subscribe();
        late.wait_for(|late| *late == 0).await.unwrap();
    }

    /// The calls that were answered since this was last asked.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.shared.calls.lock().unwrap())
    }

    /// How many of each operation were answered since this was last asked.
    pub fn take_counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in self.take_calls() {
            *counts.entry(call.operation).or_default() += 1;
        }
        counts
    }
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let target = parts
        .headers
        .get("x-amz-target")
        .map(|target| target.to_str().unwrap().to_owned());
    let operation = target
        .unwrap_or_default()
        .rsplit('.')
        .next()
        .unwrap()
        .to_owned();
    let number = {
        let mut arrived = shared.arrived.lock().unwrap();
        *arrived += 1;
        *arrived - 1
    };
    let fault = (shared.rule.lock().unwrap())(number, &operation);
    let body = body.collect().await.unwrap().to_bytes();
    let mut releases = shared.releases.subscribe();
    let forward = forward(Arc::clone(&shared), parts, body, operation);
    match fault {
        Fault::None => forward.await,
        Fault::CutAnswer => {
            forward.await;
            never().await
        }
        Fault::Delay(time) => later(shared, tokio::time::sleep(time), forward).await,
        Fault::Hold => {
            let until_then = async move { releases.changed().await.unwrap() };
            later(shared, until_then, forward).await
        }
        Fault::Refuse(code) => error(StatusCode::BAD_REQUEST, code),
        Fault::InternalError => error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
        Fault::InternalErrorAfter => {
            forward.await;
            error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError")
        }
        Fault::Stall => never().await,
    }
}

/// Forwards a call after `wait`. The caller may hang up meanwhile; the call is on its way all the same.
async fn later(
    shared: Arc<Shared>,
    wait: impl Future<Output = ()> + Send + 'static,
    forward: impl Future<Output = Response> + Send + 'static,
) -> Response {
    shared.late.send_modify(|late| *late += 1);
    let late = tokio::spawn(async move {
        wait.await;
        let response = forward.await;
        shared.late.send_modify(|late| *late -= 1);
        response
    });
    late.await.unwrap()
}

async fn never() -> Response {
    std::future::pending().await
}

fn error(status: StatusCode, code: &str) -> Response {
    let body = json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "on purpose" });
    (
        status,
        [(header::CONTENT_TYPE, "application/x-amz-json-1.0")],
        body.to_string(),
    )
        .into_response()
}

async fn forward(
    shared: Arc<Shared>,
    mut parts: axum::http::request::Parts,
    body: Bytes,
    operation: String,
) -> Response {
    let mut json: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let counted = ["BatchGetItem", "GetItem", "PutItem", "Query", "UpdateItem"];
    if json.is_object() && counted.contains(&operation.as_str()) {
        json["ReturnConsumedCapacity"] = json!("INDEXES");
    }
    let body = serde_json::to_vec(&json).unwrap();
    parts.uri = format!("{}/", shared.upstream).parse().unwrap();
    parts.headers.remove(header::HOST);
    parts
        .headers
        .insert(header::CONTENT_LENGTH, body.len().into());
    let request = Request::from_parts(parts, Body::from(body));
    let started = Instant::now();
    let response = shared.client.request(request).await.unwrap();
    let (mut parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let took = started.elapsed();
    let answer: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    shared.calls.lock().unwrap().push(Call {
        operation,
        capacity: capacity(&answer["ConsumedCapacity"]),
        index_capacity: index_capacity(&answer["ConsumedCapacity"]),
        refused: answer["__type"]
            .as_str()
            .is_some_and(|code| code.ends_with("ConditionalCheckFailedException")),
        took,
    });
    // The body is whole by now.
    parts.headers.remove(header::TRANSFER_ENCODING);
    // The checksum is of the store's answer, and so still right.
    if let Some(date) = shared.date.lock().unwrap().clone() {
        parts.headers.insert(header::DATE, date);
    }
    Response::from_parts(parts, Body::from(body))
}

/// That of a call, or of a call that answers for each table.
fn capacity(consumed: &Value) -> f64 {
    let units = |consumed: &Value| consumed["CapacityUnits"].as_f64().unwrap_or(0.0);
    let of_tables = consumed.as_array().into_iter().flatten().map(units);
    units(consumed) + of_tables.sum::<f64>()
}

fn index_capacity(consumed: &Value) -> f64 {
    let indexes = consumed["GlobalSecondaryIndexes"].as_object();
    let units = |index: &Value| index["CapacityUnits"].as_f64().unwrap_or(0.0);
    indexes.map_or(0.0, |indexes| indexes.values().map(units).sum())
}
