//! The real bootstraps, driven as Lambda drives them: over a Runtime API that is served here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Path as PathParameter, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use crate::stores::Store;

/// A running function.
pub struct Function {
    process: Child,
    /// What it has logged, read as it comes: a full pipe would stop it.
    log: tokio::task::JoinHandle<String>,
    started: Instant,
    api: Arc<RuntimeApi>,
    events: mpsc::Sender<Invocation>,
    number: AtomicU64,
    /// How far the function's clock is set from ours, for its deadlines.
    clock_offset: i64,
}

struct Invocation {
    id: String,
    event: String,
    /// Milliseconds since the epoch.
    deadline: u64,
}

/// An invocation that is not answered yet.
struct Waiting {
    /// When its event was handed out.
    handed: Instant,
    answer: oneshot::Sender<Invoked>,
}

struct RuntimeApi {
    events: Mutex<mpsc::Receiver<Invocation>>,
    ready: watch::Sender<Option<Instant>>,
    /// By the invocation's id.
    waiting: std::sync::Mutex<HashMap<String, Waiting>>,
}

/// What became of an invocation.
#[derive(Debug)]
pub struct Invoked {
    /// The answer, or the error that the function reported.
    pub outcome: Result<Bytes, Bytes>,
    /// From the event's handing over to the answer's arrival.
    pub took: Duration,
}

/// How a function is started.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// More environment.
    pub environment: Vec<(String, String)>,
    /// A libfaketime specification such as `+1h` or `@2026-11-22 23:59:50`, and the seconds by which the clock is off then.
    pub faketime: Option<(String, i64)>,
}

impl Start {
    /// With more environment.
    pub fn with(environment: &[(&str, &str)]) -> Self {
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self {
            environment: environment.collect(),
            ..Self::default()
        }
    }
}

/// The path of a binary of this workspace.
///
/// The first call of a process builds the binaries, because Cargo builds only those of the package under test. After
/// `cargo build --workspace --bins`, which `./test` runs first, that takes a moment.
pub fn binary(name: &str) -> PathBuf {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(build);
    FOLDER.join(name)
}

/// Builds the binaries next to the running test: its target folder, profile and compiler flags are the same.
fn build() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // target/debug/deps/test -> target/debug
    let folder = test.parent().and_then(Path::parent).unwrap();
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--locked", "--workspace", "--bins"])
        .arg("--target-dir")
        .arg(folder.parent().unwrap())
        .current_dir(crate::sam::root());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    assert!(cargo.status().unwrap().success(), "cargo build");
    folder.to_owned()
}

impl Function {
    /// Starts the bootstrap `name` on `store`.
    pub async fn start(name: &str, store: &Store, start: Start) -> Self {
        Self::start_program(&binary(name), store, start).await
    }

    /// Starts a bootstrap on `store`.
    pub async fn start_program(program: &Path, store: &Store, start: Start) -> Self {
        let (events, queue) = mpsc::channel(64);
        let api = Arc::new(RuntimeApi {
            events: Mutex::new(queue),
            ready: watch::Sender::new(None),
            waiting: std::sync::Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route(
                "/2018-06-01/runtime/invocation/{id}/response",
                post(response),
            )
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .route("/2020-01-01/extension/register", post(register))
            .route("/2020-01-01/extension/event/next", get(pending))
            .with_state(Arc::clone(&api));
        tokio::spawn(async move { axum::serve(listener, app).await });

        let name = program.file_name().unwrap();
        let mut command = Command::new(program);
        command
            .env_remove("RUST_LOG")
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "group")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "stream")
            .env("AWS_ENDPOINT_URL_DYNAMODB", &store.endpoint)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .env("TOLLGATE_TABLE", &store.table)
            .envs(start.environment)
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut clock_offset = 0;
        if let Some((specification, offset)) = start.faketime {
            clock_offset = offset;
            command
                .env("LD_PRELOAD", faketime_library())
                .env("FAKETIME", specification)
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let started = Instant::now();
        let mut process = command.spawn().unwrap();
        let mut stdout = process.stdout.take().unwrap();
        let log = tokio::spawn(async move {
            let mut log = Vec::new();
            stdout.read_to_end(&mut log).await.unwrap();
            String::from_utf8_lossy(&log).into_owned()
        });
        Self {
            process,
            log,
            started,
            api,
            events,
            number: AtomicU64::new(0),
            clock_offset,
        }
    }

    /// How long it took from its start to asking for its first event.
    pub async fn init(&self) -> Duration {
        let mut ready = self.api.ready.subscribe();
        let at = ready.wait_for(Option::is_some);
        let at = tokio::time::timeout(Duration::from_secs(20), at).await;
        at.expect("a start in time")
            .unwrap()
            .unwrap()
            .duration_since(self.started)
    }

    /// The number of its process.
    pub fn process_id(&self) -> u32 {
        self.process.id().unwrap()
    }

    /// Sends an event, as JSON, and waits for the answer.
    pub async fn run(&self, event: String) -> Invoked {
        let id = format!("invocation-{}", self.number.fetch_add(1, Ordering::Relaxed));
        let deadline = jiff::Timestamp::now().as_second() + self.clock_offset + 10;
        let invocation = Invocation {
            id: id.clone(),
            event,
            deadline: u64::try_from(deadline).unwrap() * 1000,
        };
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            handed: Instant::now(),
            answer,
        };
        self.api.waiting.lock().unwrap().insert(id, waiting);
        self.events.send(invocation).await.unwrap();
        let answered = tokio::time::timeout(Duration::from_secs(20), answered);
        answered
            .await
            .expect("an answer in time")
            .expect("an answer")
    }

    /// Sends an event and waits for the answer; `Err` is what the function reported as its error.
    pub async fn try_invoke(&self, event: Value) -> Result<Value, Value> {
        let value = |body: Bytes| serde_json::from_slice(&body).unwrap_or(Value::Null);
        let outcome = self.run(event.to_string()).await.outcome;
        outcome.map(value).map_err(value)
    }

    /// Sends an event and waits for the answer.
    pub async fn invoke(&self, event: Value) -> Value {
        self.try_invoke(event).await.expect("no error")
    }

    /// Ends the function as Lambda ends an environment, and hands out what it has logged.
    pub async fn shut_down(mut self) -> String {
        let id = self.process.id().unwrap().to_string();
        Command::new("kill").arg(id).status().await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(5), self.process.wait());
        ended.await.expect("an end in time").unwrap();
        self.log.await.unwrap()
    }

    /// Kills the function and hands out what it has logged.
    pub async fn stop(mut self) -> String {
        self.process.kill().await.unwrap();
        self.log.await.unwrap()
    }
}

fn faketime_library() -> String {
    let places = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib",
    ];
    places
        .iter()
        .map(|place| format!("{place}/faketime/libfaketime.so.1"))
        .find(|path| Path::new(path).exists())
        .expect("libfaketime is installed; ./test does it")
}

/// Functions that want to be told of their end register as an extension of themselves.
async fn register() -> impl IntoResponse {
    let function =
        json!({ "functionName": "test", "functionVersion": "1", "handler": "bootstrap" });
    (
        [("lambda-extension-identifier", "extension")],
        Json(function),
    )
}

async fn pending() {
    std::future::pending::<()>().await;
}

async fn next(State(api): State<Arc<RuntimeApi>>) -> axum::response::Response {
    api.ready.send_if_modified(|ready| {
        let is_first = ready.is_none();
        ready.get_or_insert_with(Instant::now);
        is_first
    });
    let Some(Invocation {
        id,
        event,
        deadline,
    }) = api.events.lock().await.recv().await
    else {
        return std::future::pending().await;
    };
    let headers = [
        ("lambda-runtime-aws-request-id", id.clone()),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:test".to_owned(),
        ),
    ];
    if let Some(waiting) = api.waiting.lock().unwrap().get_mut(&id) {
        waiting.handed = Instant::now();
    }
    (headers, event).into_response()
}

async fn response(
    State(api): State<Arc<RuntimeApi>>,
    PathParameter(id): PathParameter<String>,
    body: Bytes,
) -> StatusCode {
    report(&api, &id, Ok(body))
}

async fn error(
    State(api): State<Arc<RuntimeApi>>,
    PathParameter(id): PathParameter<String>,
    body: Bytes,
) -> StatusCode {
    report(&api, &id, Err(body))
}

/// There will be no answers.
async fn init_error(State(api): State<Arc<RuntimeApi>>, body: Bytes) -> StatusCode {
    eprintln!("the function could not start: {body:?}");
    api.waiting.lock().unwrap().clear();
    StatusCode::ACCEPTED
}

fn report(api: &RuntimeApi, id: &str, outcome: Result<Bytes, Bytes>) -> StatusCode {
    let waiting = api.waiting.lock().unwrap().remove(id);
    if let Some(Waiting { handed, answer }) = waiting {
        let took = handed.elapsed();
        // The test may have ended.
        drop(answer.send(Invoked { outcome, took }));
    }
    StatusCode::ACCEPTED
}

/// The key that the sample events carry.
pub const SAMPLE_KEY: &str = "tollgate-sample-key-0001";

/// The sample event `events/{name}.json` with this key in place of its own; without one, `events/{name}-missing-key.json`.
pub fn event(name: &str, key: Option<&str>) -> Value {
    let suffix = if key.is_some() { "" } else { "-missing-key" };
    let path = format!(
        "{}/../events/{name}{suffix}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text.replace(SAMPLE_KEY, key.unwrap_or(SAMPLE_KEY))).unwrap()
}
