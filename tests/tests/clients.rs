//! API Gateway's own clients on the management API, unchanged.

use tollgate_tests::gateway::Dev;
use tollgate_tests::sam;
use tollgate_tests::stores::Store;

/// Runs `tests/clients/{script}` on an empty management API, with these arguments behind its URL.
async fn session(interpreter: &str, script: &str, arguments: &[&str]) {
    let store = Store::embedded().await;
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs AWS's clients for Python; ./test runs it"]
async fn boto3_does_everything_and_raises_its_own_exceptions() {
    session("python", "boto3_session.py", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs AWS's clients for Python; ./test runs it"]
async fn the_aws_cli_runs_as_its_help_writes_it() {
    session("bash", "aws_cli.sh", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs AWS's clients for Python; ./test runs it"]
async fn terraforms_calls_create_read_without_drift_update_and_destroy() {
    let store = Store::embedded().await;
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs AWS's clients for Python; ./test runs it"]
async fn without_kept_values_terraform_replaces_keys_that_configure_one() {
    session("python", "terraform.py", &["hashed"]).await;
}
