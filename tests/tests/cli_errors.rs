//! What `tollgate keys`, `plans` and `usage` say where they cannot do what they were told, and how they call.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::sync::{Arc, Mutex};

use axum::http::HeaderMap;
use tollgate_tests::cli::{failed, id, run, start, text};

#[tokio::test]
async fn what_cannot_be_done_says_why_and_what_to_do_and_has_its_exit_code() {
    let (_dev, tollgate) = start().await;
    for (line, code, expected) in [
        (
            "keys show nosuchkey",
            3,
            "Invalid API Key identifier specified",
        ),
        (
            "keys disable nosuchkey",
            3,
            "Invalid API Key identifier specified",
        ),
        ("plans show nosuchplan", 3, "Invalid Usage Plan"),
        ("keys list --plan nosuchplan", 3, "Invalid Usage Plan"),
        ("usage show nosuchplan", 3, "Invalid Usage Plan"),
        ("keys create --value short", 1, "at least 20 characters"),
        (
            "keys update some",
            1,
            "give one of --name, --description, --customer, --expires",
        ),
        ("plans update some", 1, "plans update --help"),
        ("plans create --name p --rate -1", 2, "unexpected argument"),
        ("plans create --name p --rate=-1", 1, "rate"),
        (
            "plans create --name p --quota 5",
            1,
            "--quota needs --period",
        ),
        ("plans create --name p --period day", 1, "need --quota"),
        (
            "plans create --name p --quota 5 --period week --offset 9",
            1,
            "offset",
        ),
        (
            "plans create --name p --stage nostage",
            2,
            "such as abc123:prod",
        ),
        (
            "plans create --name p --method-throttle a:b/x/GET=1",
            1,
            "--stage a:b",
        ),
        (
            "plans create --name p --method-throttle a:b=1",
            2,
            "abc123:prod//GET for the root",
        ),
        ("plans create --name p --rate NaN", 2, "such as 10 or 0.5"),
        ("plans create --name p --rate inf", 2, "such as 10 or 0.5"),
        (
            "keys show tg_4D1Ixid000000000000000000000000000000000",
            2,
            "a key's value is none",
        ),
        ("keys delete ..", 2, "expected an id such as"),
        ("keys list --customer ", 2, "a value is required"),
        (
            "usage show p --from yesterday",
            2,
            "invalid value 'yesterday'",
        ),
        ("keys list --url nowhere", 2, "expected a URL such as"),
        ("keys list --url http://127.0.0.1:1", 4, "is it running"),
        (
            "keys list --url http://127.0.0.1:1 --stack x",
            2,
            "cannot be used with",
        ),
    ] {
        let (got, error) = tollgate.fail(line).await;
        assert!(
            got == code && error.contains(expected),
            "{line}: {got} {error}"
        );
    }
    let key = tollgate.json("keys create").await;
    let (code, error) = tollgate.fail(&format!("keys delete {}", id(&key))).await;
    assert!(
        code == 1 && error.contains("--yes"),
        "nobody is there to ask: {error}"
    );
    tollgate.say(&format!("keys show {}", id(&key))).await;

    let (code, error) = failed(&run("keys list", &[]).await);
    assert!(code == 2 && error.contains("--stack NAME"), "{error}");
    let both = [
        ("TOLLGATE_URL", "http://127.0.0.1:1"),
        ("TOLLGATE_STACK", "s"),
    ];
    assert!(
        failed(&run("keys list", &both).await)
            .1
            .contains("expected one")
    );
}

/// An API elsewhere: it takes down how it is called.
async fn elsewhere(status: u16, body: &'static str) -> (String, Arc<Mutex<Vec<HeaderMap>>>) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    let app = axum::Router::new().fallback(async move |headers: HeaderMap| {
        seen.lock().unwrap().push(headers);
        (axum::http::StatusCode::from_u16(status).unwrap(), body)
    });
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    // Not a loopback address by name, though it leads here.
    let url = format!("http://0.0.0.0:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, calls)
}

#[tokio::test]
async fn calls_to_another_machine_are_signed_for_execute_api() {
    let (url, calls) = elsewhere(200, r#"{"item":[]}"#).await;
    let output = run("keys list", &[("TOLLGATE_URL", &url)]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let calls = calls.lock().unwrap();
    let signed = calls[0]["authorization"].to_str().unwrap();
    let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/";
    assert!(signed.starts_with(expected), "{signed}");
    assert!(
        signed.contains("/us-east-1/execute-api/aws4_request"),
        "{signed}"
    );
}

#[tokio::test]
async fn an_api_that_refuses_or_is_none_is_told_from_others() {
    for (status, body, code, expected) in [
        (403, r#"{"message":"Forbidden"}"#, 4, "execute-api:Invoke"),
        (200, "<html>", 1, "did not answer as a management API does"),
        (
            503,
            r#"{"message":"Service Unavailable"}"#,
            1,
            "Service Unavailable (503)",
        ),
        (500, "oops", 1, "no message (500)"),
    ] {
        let (url, _) = elsewhere(status, body).await;
        let (got, error) = failed(&run("keys list", &[("TOLLGATE_URL", &url)]).await);
        assert!(
            got == code && error.contains(expected),
            "{status}: {got} {error}"
        );
    }
    let nobody = [
        ("TOLLGATE_URL", "http://0.0.0.0:1"),
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ];
    let (code, error) = failed(&run("keys list", &nobody).await);
    assert!(code == 4 && error.contains("aws configure"), "{error}");
}
