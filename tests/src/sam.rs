//! The stack as users have it: `sam build`'s output, run by `sam local` in Docker; and AWS's own clients.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::stores::Store;

/// Where `./test` has installed the SAM CLI and AWS's clients; it sets this.
pub(crate) const PYTHON: &str = "TOLLGATE_TEST_PYTHON";
/// Where containers find this machine.
const DOCKER_HOST: &str = "TOLLGATE_TEST_DOCKER_HOST";

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// A program with the SAM CLI and AWS's clients on its path, in the project's root.
pub fn command(program: &str) -> Command {
    let bin = std::env::var(PYTHON).unwrap_or_else(|_| panic!("{PYTHON} is not set; run ./test"));
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new("env");
    command.arg(program);
    command
        .current_dir(root())
        .env("PATH", format!("{bin}:{path}"))
        .env("SAM_CLI_TELEMETRY", "0")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a command that has to succeed.
pub async fn run(command: &mut Command) -> Output {
    let output = command.output().await.unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// A template as SAM reads it.
pub async fn template(path: &str) -> Value {
    const TO_JSON: &str = "import json, sys; from samtranslator.yaml_helper import yaml_parse; \
                           print(json.dumps(yaml_parse(open(sys.argv[1]).read())))";
    let output = run(command("python").args(["-c", TO_JSON, path])).await;
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The parameters under which the built stack uses this store from inside its containers.
fn parameters(store: &Store, more: &str) -> Vec<String> {
    let host = std::env::var(DOCKER_HOST)
        .unwrap_or_else(|_| panic!("{DOCKER_HOST} is not set; run ./test"));
    let endpoint = store.endpoint.replace("127.0.0.1", &host);
    let endpoint = endpoint.replace("localhost", &host);
    let mut parameters = vec!["--parameter-overrides".to_owned()];
    parameters.push(format!("DynamoDBEndpoint={endpoint}"));
    parameters.push(format!("ExistingTableName={}", store.table));
    parameters.extend(more.split_whitespace().map(str::to_owned));
    parameters
}

/// `sam local invoke` of a function with `events/{event}.json`: its answer. Each time a container starts, and on a busy machine
/// the store may not be reached from there in time: an answer that says so is asked for again, as clients do.
pub async fn invoke(store: &Store, function: &str, event: &str) -> Value {
    let mut answer = invoke_once(store, function, event).await;
    for _ in 0..3 {
        let is_late =
            answer["statusCode"] == 503 || answer["context"]["reason"] == "store_unavailable";
        if !is_late {
            break;
        }
        answer = invoke_once(store, function, event).await;
    }
    answer
}

async fn invoke_once(store: &Store, function: &str, event: &str) -> Value {
    let event = format!("events/{event}.json");
    let mut command = command("sam");
    command.args([
        "local",
        "invoke",
        function,
        "--skip-pull-image",
        "-e",
        &event,
    ]);
    let output = run(command.args(parameters(store, ""))).await;
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{error}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

/// A running `sam local start-api` of the sample API.
pub struct LocalApi {
    process: Child,
    /// Where it listens.
    pub url: String,
}

impl LocalApi {
    /// Starts it with these parameters besides and waits until it serves.
    pub async fn start(store: &Store, more: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut command = command("sam");
        command.args(["local", "start-api", "--skip-pull-image"]);
        command.args(["--port", &port.to_string(), "--warm-containers", "LAZY"]);
        command.args(parameters(store, &format!("SampleApi=on {more}")));
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let ready = async {
            let mut log = String::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains("Running on") {
                    return;
                }
                log.push_str(&line);
                log.push('\n');
            }
            panic!("sam local start-api ended: {log}");
        };
        tokio::time::timeout(Duration::from_mins(2), ready)
            .await
            .expect("sam local start-api serves in time");
        // It writes on: a full pipe would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
        }
    }

    /// Ends it, so that it takes its containers down. By SIGTERM: started in the background, it does not hear Ctrl-C.
    pub async fn stop(mut self) {
        let id = self.process.id().unwrap().to_string();
        run(Command::new("kill").arg(&id)).await;
        let ended = tokio::time::timeout(Duration::from_mins(1), self.process.wait());
        ended.await.expect("an end in time").unwrap();
    }
}
