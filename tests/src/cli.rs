//! The command line, as people run it.

use std::fmt::Write;
use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use crate::gateway::Dev;
use crate::lambda::binary;

/// The command line, on one management API.
pub struct Tollgate {
    /// Of the management API.
    pub url: String,
}

impl Tollgate {
    /// Runs a command, its words apart by spaces.
    pub async fn run(&self, line: &str) -> Output {
        run(line, &[("TOLLGATE_URL", &self.url)]).await
    }

    /// What a command prints that has to succeed.
    pub async fn say(&self, line: &str) -> String {
        let output = self.run(line).await;
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What a command prints as JSON.
    pub async fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.say(&format!("{line} --output json")).await).unwrap()
    }

    /// What a command that has to fail says, and its exit code.
    pub async fn fail(&self, line: &str) -> (i32, String) {
        failed(&self.run(line).await)
    }

    /// What commands print that have to fail, each with its exit code.
    pub async fn failures(&self, lines: &[&str]) -> String {
        let mut failures = String::new();
        for line in lines {
            let (code, error) = self.fail(line).await;
            writeln!(failures, "$ tollgate {line}\n{error}[{code}]\n").unwrap();
        }
        failures
    }
}

/// Runs the command line in this environment, without anything on standard input.
pub async fn run(line: &str, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary("tollgate"));
    command
        .args(line.split(' ').filter(|word| !word.is_empty()))
        .env_remove("TOLLGATE_URL")
        .env_remove("TOLLGATE_STACK")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .envs(environment.iter().copied())
        .stdin(std::process::Stdio::null());
    command.output().await.unwrap()
}

/// The exit code and the words of a command that prints nothing else.
pub fn failed(output: &Output) -> (i32, String) {
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    (output.status.code().unwrap(), text(&output.stderr))
}

/// Output as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The id of what was answered.
pub fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

/// A local gateway, and the command line on its management API.
pub async fn start() -> (Dev, Tollgate) {
    let dev = Dev::start(&[], &[]).await;
    let url = dev.management.clone();
    (dev, Tollgate { url })
}
