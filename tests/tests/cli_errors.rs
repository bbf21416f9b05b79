//! What `tollgate keys`, `plans` and `usage` print if they cannot do what was asked, and how they call the management API.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use axum::http::HeaderMap;
use tollgate_tests::cli::{failed, id, run, start, text};

/// Commands that cannot be carried out: unknown ids, bad values and combinations, ids and addresses that are none.
const IMPOSSIBLE: &[&str] = &[
    "keys show nosuchkey",
    "keys disable nosuchkey",
    "plans show nosuchplan",
    "keys list --plan nosuchplan",
    "usage show nosuchplan",
    "keys create --value short",
    "keys update some",
    "plans update some",
    "plans create --name p --rate -1",
    "plans create --name p --rate=-1",
    "plans create --name p --quota 5",
    "plans create --name p --period day",
    "plans create --name p --quota 5 --period week --offset 9",
    "plans create --name p --stage nostage",
    "plans create --name p --method-throttle a:b/x/GET=1",
    "plans create --name p --method-throttle a:b=1",
    "plans create --name p --rate NaN",
    "plans create --name p --rate inf",
    "keys show tg_4D1Ixid000000000000000000000000000000000",
    "keys delete ..",
    "keys list --customer",
    "usage show p --from yesterday",
    "keys list --url nowhere",
    "keys list --url http://127.0.0.1:1",
    "keys list --url http://127.0.0.1:1 --stack x",
];

#[tokio::test]
async fn what_cannot_be_done_says_why_and_what_to_do_and_has_its_exit_code() {
    let (_dev, tollgate) = start().await;
    let causes = (r"error sending request: .*\(os error \d+\)", "[CAUSE]");
    let failures = tollgate.failures(IMPOSSIBLE).await;
    insta::with_settings!({ filters => vec![causes] }, {
        insta::assert_snapshot!(failures, @r#"
        $ tollgate keys show nosuchkey
        error: no API key has the id or the name "nosuchkey"; `tollgate keys list` shows them all
        [3]

        $ tollgate keys disable nosuchkey
        error: no API key has the id or the name "nosuchkey"; `tollgate keys list` shows them all
        [3]

        $ tollgate plans show nosuchplan
        error: no usage plan has the id or the name "nosuchplan"; `tollgate plans list` shows them all
        [3]

        $ tollgate keys list --plan nosuchplan
        error: no usage plan has the id or the name "nosuchplan"; `tollgate plans list` shows them all
        [3]

        $ tollgate usage show nosuchplan
        error: no usage plan has the id or the name "nosuchplan"; `tollgate plans list` shows them all
        [3]

        $ tollgate keys create --value short
        error: API Key value should be at least 20 characters (400)
        [1]

        $ tollgate keys update some
        error: nothing to change; give at least one of --name, --description, --customer, --expires, --never-expires, --only, --unrestricted
        [1]

        $ tollgate plans update some
        error: nothing to change; see `tollgate plans update --help`
        [1]

        $ tollgate plans create --name p --rate -1
        error: unexpected argument '-1' found

        Usage: tollgate plans create [OPTIONS] --name <NAME>

        For more information, try '--help'.
        [2]

        $ tollgate plans create --name p --rate=-1
        error: throttle: rateLimit must be 0 or a number of requests per second from 1e-9 to 1e12, got -1e0 (400)
        [1]

        $ tollgate plans create --name p --quota 5
        error: --quota needs --period day, week or month
        [1]

        $ tollgate plans create --name p --period day
        error: --period and --offset need --quota
        [1]

        $ tollgate plans create --name p --quota 5 --period week --offset 9
        error: quota offset for WEEK must be from 0 to 6, got 9 (400)
        [1]

        $ tollgate plans create --name p --stage nostage
        error: invalid value 'nostage' for '--stage <API:STAGE>': expected the API's id and its stage, such as abc123:prod

        For more information, try '--help'.
        [2]

        $ tollgate plans create --name p --method-throttle a:b/x/GET=1
        error: the method throttle names stage a:b; give it with --stage a:b
        [1]

        $ tollgate plans create --name p --method-throttle a:b=1
        error: invalid value 'a:b=1' for '--method-throttle <API:STAGE/PATH/METHOD=RATE[:BURST]>': expected API:STAGE/PATH/METHOD, such as abc123:prod/pets/{id}/GET, or abc123:prod//GET for the root

        For more information, try '--help'.
        [2]

        $ tollgate plans create --name p --rate NaN
        error: invalid value 'NaN' for '--rate <N>': expected requests per second, such as 10 or 0.5

        For more information, try '--help'.
        [2]

        $ tollgate plans create --name p --rate inf
        error: invalid value 'inf' for '--rate <N>': expected requests per second, such as 10 or 0.5

        For more information, try '--help'.
        [2]

        $ tollgate keys show tg_4D1Ixid000000000000000000000000000000000
        error: invalid value 'tg_4D1Ixid000000000000000000000000000000000' for '<KEY>': expected an id or a name, got a key's value

        For more information, try '--help'.
        [2]

        $ tollgate keys delete ..
        error: no API key has the id or the name ".."; `tollgate keys list` shows them all
        [3]

        $ tollgate keys list --customer
        error: a value is required for '--customer <ID>' but none was supplied

        For more information, try '--help'.
        [2]

        $ tollgate usage show p --from yesterday
        error: invalid value 'yesterday' for '--from <YYYY-MM-DD>': expected a day, such as 2027-01-31

        For more information, try '--help'.
        [2]

        $ tollgate keys list --url nowhere
        error: invalid value 'nowhere' for '--url <URL>': expected a URL such as http://127.0.0.1:3001

        For more information, try '--help'.
        [2]

        $ tollgate keys list --url http://127.0.0.1:1
        error: no answer from http://127.0.0.1:1/: [CAUSE]; is it running, and is this the management API? `tollgate dev` prints its URL
        [4]

        $ tollgate keys list --url http://127.0.0.1:1 --stack x
        error: the argument '--url <URL>' cannot be used with '--stack <NAME>'

        Usage: tollgate keys list --url <URL>

        For more information, try '--help'.
        [2]
        "#);
    });
    let key = tollgate.json("keys create").await;
    let (code, error) = tollgate.fail(&format!("keys delete {}", id(&key))).await;
    // Nobody is there to ask.
    let expected = format!(
        "error: delete key {}: this cannot be undone; add --yes to do it\n",
        id(&key)
    );
    assert_eq!((code, error), (1, expected));
    tollgate.say(&format!("keys show {}", id(&key))).await;
}

#[tokio::test]
async fn a_command_without_one_place_to_call_says_how_to_name_it() {
    let (code, error) = failed(&run("keys list", &[]).await);
    assert_eq!(code, 2);
    insta::assert_snapshot!(error, @"error: which Tollgate? Give --stack NAME (or TOLLGATE_STACK) for a deployed one, or --url http://127.0.0.1:3001 (or TOLLGATE_URL) for `tollgate dev`");
    let both = [
        ("TOLLGATE_URL", "http://127.0.0.1:1"),
        ("TOLLGATE_STACK", "s"),
    ];
    let (code, error) = failed(&run("keys list", &both).await);
    assert_eq!(code, 2);
    insta::assert_snapshot!(error, @"error: both TOLLGATE_URL and TOLLGATE_STACK are set; expected one");
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
    let mut answers = String::new();
    for (status, body) in [
        (403, r#"{"message":"Forbidden"}"#),
        (200, "<html>"),
        (503, r#"{"message":"Service Unavailable"}"#),
        (500, "oops"),
    ] {
        let (url, _) = elsewhere(status, body).await;
        let (code, error) = failed(&run("keys list", &[("TOLLGATE_URL", &url)]).await);
        let error = error.replace(&url, "[URL]");
        writeln!(answers, "{status} {body}\n{error}[{code}]").unwrap();
    }
    insta::assert_snapshot!(answers, @r#"
        403 {"message":"Forbidden"}
        error: [URL]/ does not let you in: Forbidden; your AWS identity needs execute-api:Invoke on the stack's ManagementInvokeArn
        [4]
        200 <html>
        error: [URL]/ did not answer as a management API does: expected JSON, got 6 bytes of something else; is this the management API? `tollgate dev` prints its URL
        [1]
        503 {"message":"Service Unavailable"}
        error: Service Unavailable (503)
        [1]
        500 oops
        error: no message (500)
        [1]
    "#);
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
