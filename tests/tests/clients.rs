//! API Gateway's own clients on the management API, unchanged.

use tollgate_tests::gateway::Dev;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::{on_both_stores, sam};

on_both_stores!(
    boto3_does_everything_and_raises_its_own_exceptions,
    the_aws_cli_runs_as_its_help_writes_it,
    terraforms_calls_create_read_without_drift_update_and_destroy,
    without_kept_values_terraform_replaces_keys_that_configure_one,
);

/// Runs `tests/clients/{script}` on an empty management API, with these arguments behind its URL.
async fn session(kind: Kind, interpreter: &str, script: &str, arguments: &[&str]) {
    let store = Store::new(kind).await;
    let dev = Dev::on(&store).await;
    run(&dev, interpreter, script, arguments).await;
}

async fn run(dev: &Dev, interpreter: &str, script: &str, arguments: &[&str]) {
    let mut command = sam::command(interpreter);
    command
        .arg(format!("tests/clients/{script}"))
        .arg(&dev.management)
        .args(arguments);
    let output = sam::run(&mut command).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "done");
}

async fn boto3_does_everything_and_raises_its_own_exceptions(kind: Kind) {
    session(kind, "python", "boto3_session.py", &[]).await;
}

async fn the_aws_cli_runs_as_its_help_writes_it(kind: Kind) {
    session(kind, "bash", "aws_cli.sh", &[]).await;
}

async fn terraforms_calls_create_read_without_drift_update_and_destroy(kind: Kind) {
    let store = Store::new(kind).await;
    let keeping = [
        "--dynamodb-endpoint",
        &store.endpoint,
        "--table",
        &store.table,
        "--retrievable",
    ];
    let dev = Dev::start(&keeping, &[]).await;
    run(&dev, "python", "terraform.py", &["kept"]).await;
}

async fn without_kept_values_terraform_replaces_keys_that_configure_one(kind: Kind) {
    session(kind, "python", "terraform.py", &["hashed"]).await;
}
