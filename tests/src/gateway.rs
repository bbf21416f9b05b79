//! `tollgate dev` as a process, called over HTTP.

use std::process::Stdio;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::lambda::binary;
use crate::stores::Store;

/// A running `tollgate dev`.
pub struct Dev {
    /// Stops it when dropped.
    process: Child,
    /// What it prints after the ready line.
    pub lines: Lines<BufReader<ChildStdout>>,
    /// Where the gateway listens.
    pub gateway: String,
    /// Where the management API listens.
    pub management: String,
    /// Where the store listens.
    pub dynamodb: String,
    client: Client<HttpConnector, Body>,
}

impl Dev {
    /// Starts it on free ports with these arguments, and waits until it is ready.
    pub async fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary("tollgate"));
        command
            .args([
                "dev",
                "--quiet",
                "--gateway-port",
                "0",
                "--management-port",
                "0",
                "--dynamodb-port",
                "0",
            ])
            .args(arguments)
            .env_remove("AWS_ENDPOINT_URL_DYNAMODB")
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = lines.next_line().await.unwrap().expect("a ready line");
        let part = |name: &str| {
            let mut words = ready.split(' ');
            let found = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            found
                .unwrap_or_else(|| panic!("{name} in {ready:?}"))
                .to_owned()
        };
        assert!(ready.starts_with("ready "), "{ready}");
        Self {
            gateway: part("gateway"),
            management: part("management"),
            dynamodb: part("dynamodb"),
            process,
            lines,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Starts it on the table of a store.
    pub async fn on(store: &Store) -> Self {
        let table = [
            "--dynamodb-endpoint",
            &store.endpoint,
            "--table",
            &store.table,
        ];
        Self::start(&table, &[]).await
    }

    /// Stops it, and waits until it has ended.
    pub async fn stop(mut self) {
        self.process.kill().await.unwrap();
    }

    /// Calls the gateway with a key: the status, the decision and the reason.
    pub async fn get(&self, path: &str, key: Option<&str>) -> (StatusCode, String, String) {
        let mut request = Request::get(format!("{}{path}", self.gateway));
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        let response = self
            .client
            .request(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let header = |name| response.headers()[name].to_str().unwrap().to_owned();
        (
            response.status(),
            header("x-tollgate-decision"),
            header("x-tollgate-reason"),
        )
    }

    /// Calls the gateway with a key, whatever it answers as: the status.
    pub async fn status(&self, path: &str, key: &str) -> StatusCode {
        let request = Request::get(format!("{}{path}", self.gateway)).header("x-api-key", key);
        let request = request.body(Body::empty()).unwrap();
        let response = self.client.request(request).await.unwrap();
        let status = response.status();
        // To its end, so that the connection can be used again.
        response.into_body().collect().await.unwrap();
        status
    }

    /// Calls the management API: the status and the body.
    pub async fn manage(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.management))
            .body(Body::from(body))
            .unwrap();
        let response = self.client.request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}
