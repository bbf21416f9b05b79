//! `tollgate keys`, `plans` and `usage`, as people run them.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::process::Output;
use std::sync::{Arc, Mutex};

use axum::http::HeaderMap;
use serde_json::{Value, json};
use tokio::process::Command;
use tollgate_tests::gateway::Dev;
use tollgate_tests::lambda::binary;

/// The command line, on one management API.
struct Tollgate {
    url: String,
}

impl Tollgate {
    async fn run(&self, line: &str) -> Output {
        run(line, &[("TOLLGATE_URL", &self.url)]).await
    }

    /// What a command prints that has to succeed.
    async fn say(&self, line: &str) -> String {
        let output = self.run(line).await;
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    async fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.say(&format!("{line} --output json")).await).unwrap()
    }

    /// What a command that has to fail says, and its exit code.
    async fn fail(&self, line: &str) -> (i32, String) {
        failed(&self.run(line).await)
    }
}

async fn run(line: &str, environment: &[(&str, &str)]) -> Output {
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

fn failed(output: &Output) -> (i32, String) {
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    (output.status.code().unwrap(), text(&output.stderr))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

async fn start() -> (Dev, Tollgate) {
    let dev = Dev::start(&[], &[]).await;
    let url = dev.management.clone();
    (dev, Tollgate { url })
}

#[tokio::test]
async fn a_keys_whole_life_by_the_command_line() {
    let (dev, tollgate) = start().await;
    let plan = tollgate
        .json(
            "plans create --name Gold --stage local:$default --rate 100 --burst 200 --quota 1000 --period month \
             --offset 14 --method-throttle local:$default/pets/{id}/GET=0.001:2",
        )
        .await;
    assert_eq!(
        plan["quota"],
        json!({ "limit": 1000, "offset": 14, "period": "MONTH" })
    );
    let key = tollgate
        .json(&format!(
            "keys create --name first --customer acme --plan {}",
            id(&plan)
        ))
        .await;
    let (key_id, value) = (id(&key), key["value"].as_str().unwrap());

    let mut reasons = Vec::new();
    for _ in 0..3 {
        reasons.push(dev.get("/pets/7", Some(value)).await.2);
    }
    assert_eq!(reasons, ["ok", "ok", "method_rate"]);

    let listed = tollgate.say("keys list --customer acme").await;
    let rows: Vec<_> = listed.lines().collect();
    assert_eq!(rows.len(), 2);
    assert!(rows[0].starts_with("ID") && rows[1].contains(key_id) && rows[1].contains("acme"));
    assert_eq!(
        tollgate
            .say("keys list --customer other")
            .await
            .lines()
            .count(),
        1
    );
    let in_plan = tollgate
        .say(&format!("keys list --plan {}", id(&plan)))
        .await;
    assert!(in_plan.contains(key_id), "{in_plan}");
    let shown = tollgate.say(&format!("keys show {key_id}")).await;
    assert!(shown.contains("Gold") && !shown.contains(value), "{shown}");

    tollgate.say(&format!("keys disable {key_id}")).await;
    assert_eq!(dev.get("/", Some(value)).await.2, "disabled");
    tollgate.say(&format!("keys enable {key_id}")).await;
    assert_eq!(dev.get("/", Some(value)).await.2, "ok");
    let renamed = tollgate
        .json(&format!("keys update {key_id} --name second"))
        .await;
    assert_eq!(renamed["name"], "second");
    tollgate
        .say(&format!("keys unlink {key_id} {}", id(&plan)))
        .await;
    assert_eq!(dev.get("/", Some(value)).await.2, "not_in_plan");
    tollgate
        .say(&format!("keys link {key_id} {}", id(&plan)))
        .await;
    assert_eq!(dev.get("/", Some(value)).await.2, "ok");

    tollgate.say(&format!("keys delete {key_id} --yes")).await;
    assert_eq!(tollgate.fail(&format!("keys show {key_id}")).await.0, 3);
}

#[tokio::test]
async fn a_plan_is_changed_in_all_its_parts() {
    let (_dev, tollgate) = start().await;
    let plan = tollgate
        .json("plans create --name Plan --stage a:prod")
        .await;
    let id = id(&plan);
    let changed = tollgate
        .json(&format!(
            "plans update {id} --name New --rate 2.5 --burst 5 --quota 10 --period week --offset 1 --add-stage b:prod \
             --method-throttle b:prod//ANY=3"
        ))
        .await;
    assert_eq!(changed["name"], "New");
    assert_eq!(
        changed["throttle"],
        json!({ "rateLimit": 2.5, "burstLimit": 5 })
    );
    assert_eq!(
        changed["quota"],
        json!({ "limit": 10, "offset": 1, "period": "WEEK" })
    );
    assert_eq!(
        changed["apiStages"][1]["throttle"]["//ANY"]["rateLimit"],
        3.0
    );
    let listed = tollgate.say("plans list").await;
    assert!(listed.contains("10 a week, from day 1 on"), "{listed}");
    let changed = tollgate
        .json(&format!(
            "plans update {id} --no-throttle --no-quota --remove-stage a:prod --no-method-throttle b:prod//ANY"
        ))
        .await;
    assert!(changed.get("throttle").is_none() && changed.get("quota").is_none());
    assert_eq!(changed["apiStages"].as_array().unwrap().len(), 1);

    let (code, error) = tollgate.fail(&format!("plans delete {id} --yes")).await;
    assert!(code == 1 && error.contains("--with-stages"), "{error}");
    tollgate
        .say(&format!("plans delete {id} --with-stages --yes"))
        .await;
    assert_eq!(tollgate.fail(&format!("plans show {id}")).await.0, 3);
}

#[tokio::test]
async fn a_made_key_is_shown_once_and_says_so() {
    let (_dev, tollgate) = start().await;
    let output = tollgate.run("keys create").await;
    let made = text(&output.stdout);
    let value = made
        .lines()
        .find_map(|line| line.strip_prefix("value"))
        .unwrap()
        .trim();
    assert!(value.starts_with("tg_"));
    assert!(text(&output.stderr).contains("the only time that the value is shown"));
    assert!(!tollgate.json("keys list").await.to_string().contains(value));

    // It is shown even if the plan is not there, and what is left to do is said.
    let output = tollgate.run("keys create --plan nosuchplan").await;
    assert!(!output.status.success());
    assert!(text(&output.stdout).contains("value"));
    let error = text(&output.stderr);
    assert!(error.contains("then try `tollgate keys link"), "{error}");
}

#[tokio::test]
async fn usage_is_a_table_with_bars_and_the_apis_own_json() {
    let (dev, tollgate) = start().await;
    let plan = tollgate
        .json("plans create --name p --stage local:$default --quota 100 --period day")
        .await;
    let mut keys = Vec::new();
    for requests in [3, 1] {
        let key = tollgate
            .json(&format!("keys create --plan {}", id(&plan)))
            .await;
        for _ in 0..requests {
            let answer = dev.get("/", key["value"].as_str()).await;
            assert_eq!(answer.2, "ok");
        }
        keys.push(id(&key).to_owned());
    }
    let line = format!("usage show {}", id(&plan));
    let shown = tollgate.say(&line).await;
    let today = jiff::Timestamp::now().to_string();
    let today = shown
        .lines()
        .find(|row| row.starts_with(&today[..10]))
        .unwrap();
    assert!(today.contains(" 4 ") && today.ends_with('█'), "{shown}");
    let first = shown
        .lines()
        .position(|row| row.starts_with(&keys[0]))
        .unwrap();
    let second = shown
        .lines()
        .position(|row| row.starts_with(&keys[1]))
        .unwrap();
    assert!(first < second, "the most used comes first: {shown}");

    let one = tollgate.say(&format!("{line} --key {}", keys[0])).await;
    assert!(one.lines().last().unwrap().contains(" 97 "), "{one}");
    let usage = tollgate.json(&line).await;
    let days = usage["values"][&keys[0]].as_array().unwrap();
    assert_eq!((days.len(), days.last().unwrap()), (30, &json!([3, 97])));
    let (code, error) = tollgate
        .fail(&format!("{line} --from 2026-01-01 --to 2026-12-31"))
        .await;
    assert!(code == 1 && error.contains("90"), "{error}");
}

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
            "give --name, --description or --customer",
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

#[tokio::test]
async fn a_list_is_whole_unless_less_is_asked_for() {
    let (dev, tollgate) = start().await;
    let row = |number| format!("name{number:04},a-value-for-key-number-{number}\n");
    let file = (0..520).map(row).collect::<String>();
    let client = reqwest::Client::new();
    let import = client.post(format!("{}/apikeys?mode=import&format=csv", dev.management));
    let answer = import
        .body(format!("name,key\n{file}"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    let count = async |line: &str| tollgate.json(line).await.as_array().unwrap().len();
    assert_eq!(count("keys list").await, 520);
    assert_eq!(count("keys list --limit 505").await, 505);
    assert_eq!(count("keys list --name name00").await, 100);
    assert_eq!(tollgate.say("keys list --limit 3").await.lines().count(), 4);
}

#[tokio::test]
async fn a_value_can_be_read_from_standard_input_and_one_that_nobody_saw_is_told() {
    let (_dev, tollgate) = start().await;
    let shell = async |line: String| {
        let mut command = Command::new("sh");
        command
            .args(["-c", &line])
            .env("TOLLGATE_URL", &tollgate.url);
        command.output().await.unwrap()
    };
    let program = binary("tollgate").display().to_string();
    let value = "a-value-of-20-letters-at-least";
    let made = shell(format!("echo {value} | {program} keys create --value -")).await;
    assert!(text(&made.stdout).contains(value), "{}", text(&made.stderr));
    let lost = shell(format!("{program} keys create > /dev/full")).await;
    assert_eq!(lost.status.code(), Some(1));
    assert!(text(&lost.stderr).contains("is lost: delete it with `tollgate keys delete"));
}

#[tokio::test]
async fn keys_come_from_a_csv_file_and_go_back_to_one() {
    let (dev, tollgate) = start().await;
    let plan = tollgate
        .json("plans create --name p --stage local:$default --quota 9 --period month")
        .await;
    let file = std::env::temp_dir().join(format!("tollgate-import-{}.csv", std::process::id()));
    let path = file.display().to_string();
    let row = |number| {
        format!(
            "name {number},a-value-for-key-number-{number},{}\n",
            id(&plan)
        )
    };
    let rows = (1..=600).map(row).collect::<String>();
    let double = "double,a-value-for-key-number-3,\n";
    std::fs::write(
        &file,
        format!("NAME,key,UsagePlanIds\n{rows}late,short,\n{double}"),
    )
    .unwrap();

    let (code, error) = tollgate
        .fail(&format!("keys import {path} --fail-on-warnings"))
        .await;
    assert!(
        code == 1 && error.contains("Nothing was imported: row 601: "),
        "{error}"
    );
    assert_eq!(tollgate.json("keys list").await, json!([]));
    let output = tollgate.run(&format!("keys import {path}")).await;
    assert_eq!(text(&output.stdout), "600 keys imported, 2 warnings\n");
    let warned = text(&output.stderr);
    assert!(
        warned.contains("warning: row 601: API Key value should be"),
        "{warned}"
    );
    assert!(
        warned.contains("warning: row 602: has the Key of row 3; left out"),
        "{warned}"
    );
    let answer = dev.get("/", Some("a-value-for-key-number-577")).await;
    assert_eq!(answer.2, "ok");

    let exported = tollgate.say("keys export").await;
    assert_eq!(exported.lines().count(), 601);
    let header = exported.lines().next().unwrap();
    assert!(
        header.starts_with("Id,Name,Key,Description,Enabled,UsagePlanIds"),
        "{header}"
    );
    let line = exported
        .lines()
        .find(|line| line.contains(",name 577,"))
        .unwrap();
    assert!(line.contains(&format!(",true,{},", id(&plan))), "{line}");
    let json: Value =
        serde_json::from_str(&tollgate.say("keys export --format json").await).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 600);

    let used = tollgate.say(&format!("usage export {}", id(&plan))).await;
    assert_eq!(
        used.lines().next().unwrap(),
        "UsagePlanId,KeyId,Day,Used,Remaining"
    );
    assert_eq!(used.lines().count(), 1 + 600 * 30);
    assert_eq!(
        used.lines().filter(|line| line.ends_with(",1,8")).count(),
        1
    );

    std::fs::write(&file, "Name,Value\nn,v\n").unwrap();
    let (code, error) = tollgate.fail(&format!("keys import {path}")).await;
    assert!(
        code == 1 && error.contains("Missing required column 'Key'"),
        "{error}"
    );
    std::fs::write(&file, "Name\n").unwrap();
    let (code, error) = tollgate.fail(&format!("keys import {path}")).await;
    assert!(
        code == 1 && error.contains("Missing required column 'Key'"),
        "{error}"
    );
    std::fs::write(&file, "Name,Key\nn,\"v\nm,w\n").unwrap();
    let (code, error) = tollgate.fail(&format!("keys import {path}")).await;
    assert!(
        code == 1 && error.contains("a quote is not closed"),
        "{error}"
    );
    std::fs::write(&file, "Name,Key\nn\n").unwrap();
    let (code, error) = tollgate.fail(&format!("keys import {path}")).await;
    assert!(
        code == 1 && error.contains("line: 2") && error.contains(&path),
        "{error}"
    );
    std::fs::remove_file(&file).unwrap();
    assert!(
        tollgate
            .fail(&format!("keys import {path}"))
            .await
            .1
            .contains("cannot read")
    );
}

#[tokio::test]
async fn names_cannot_play_tricks_on_the_terminal() {
    let (dev, tollgate) = start().await;
    let name = "red\u{1b}[31m\nsecond line";
    let key = dev
        .manage(
            axum::http::Method::POST,
            "/apikeys",
            json!({ "name": name }),
        )
        .await
        .1;
    let listed = tollgate.say("keys list").await;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(listed.contains(r"red\u{1b}[31m\nsecond line"), "{listed}");
    assert_eq!(
        tollgate.json(&format!("keys show {}", id(&key))).await["name"],
        json!(name)
    );
}

#[tokio::test]
async fn completions_are_what_the_shell_can_read() {
    let script = run("completions bash", &[]).await.stdout;
    let file = std::env::temp_dir().join(format!("tollgate-completions-{}", std::process::id()));
    std::fs::write(&file, &script).unwrap();
    let check = Command::new("bash")
        .arg("-n")
        .arg(&file)
        .status()
        .await
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(check.success() && text(&script).contains("usage"));
}
