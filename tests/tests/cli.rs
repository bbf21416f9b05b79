//! `tollgate keys`, `plans` and `usage`, as people run them.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use serde_json::{Value, json};
use tokio::process::Command;
use tollgate_tests::cli::{id, run, start, text};
use tollgate_tests::lambda::binary;

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
    assert!(text(&output.stderr).contains("Store the value now"));
    assert!(!tollgate.json("keys list").await.to_string().contains(value));

    // A value of one's own is known already.
    let output = tollgate
        .run("keys create --value a-value-of-20-letters-at-least")
        .await;
    assert!(!text(&output.stderr).contains("Store the value"));
    let quiet = tollgate.run("keys create --quiet").await;
    assert!(quiet.stderr.is_empty(), "{}", text(&quiet.stderr));
}

#[tokio::test]
async fn nothing_is_made_for_a_plan_that_does_not_exist() {
    let (_dev, tollgate) = start().await;
    let (code, error) = tollgate.fail("keys create --plan Basic").await;
    assert!(code == 3 && error.contains("\"Basic\""), "{error}");
    assert_eq!(tollgate.json("keys list").await, json!([]));
}

#[tokio::test]
async fn keys_and_plans_are_found_by_their_names() {
    let (dev, tollgate) = start().await;
    for plan in ["Basic", "Premium"] {
        tollgate
            .json(&format!(
                "plans create --name {plan} --stage local:$default --quota 5 --period day"
            ))
            .await;
    }
    let key = tollgate
        .json("keys create --name acme --plan Basic --quiet")
        .await;
    let value = key["value"].as_str();
    assert_eq!(dev.get("/", value).await.2, "ok");
    for line in [
        "keys show acme",
        "keys list --plan Basic",
        "keys update acme --description x",
        "keys override acme Basic --quota 4",
        "keys end-override acme Basic",
        "keys move acme Basic Premium --usage carry",
        "usage show Premium --key acme",
        "usage export Premium",
        "capacity --plan Premium",
        "keys unlink acme Premium",
        "keys link acme Premium",
        "plans show Premium",
        "plans update Premium --rate 5",
        "keys disable acme",
    ] {
        tollgate.say(line).await;
    }
    assert_eq!(dev.get("/", value).await.2, "disabled");
    for line in [
        "keys unlink acme Basic",
        "keys override acme Basic --quota 4",
    ] {
        let (code, error) = tollgate.fail(line).await;
        let expected = format!("key acme ({}) is not in plan Basic", id(&key));
        assert!(code == 3 && error.contains(&expected), "{line}: {error}");
    }
    // A name that two have says which ids there are to choose from.
    let other = tollgate.json("keys create --name acme").await;
    let (code, error) = tollgate.fail("keys delete acme --yes").await;
    assert!(code == 2 && error.contains(id(&other)), "{error}");
    tollgate
        .say(&format!("keys delete {} --yes", id(&other)))
        .await;
    tollgate.say("keys delete acme --yes").await;
    tollgate.say("plans delete Basic --with-stages --yes").await;
}

#[tokio::test]
async fn a_plan_that_is_hardly_meant_gets_a_note() {
    let (_dev, tollgate) = start().await;
    tollgate.json("plans create --name p --stage a:b").await;
    let mut notes = String::new();
    for line in ["--rate 0 --stage a:b", "--burst 5", "--stage a:b"] {
        let output = tollgate.run(&format!("plans create --name p {line}")).await;
        assert!(output.status.success());
        notes += &text(&output.stderr);
    }
    for expected in [
        "opens no API stage",
        "a limit of 0 refuses every request",
        "a burst without a rate throttles nothing",
        "another plan has this name",
    ] {
        assert!(notes.contains(expected), "{expected}: {notes}");
    }
}

#[tokio::test]
async fn an_import_in_which_every_row_fails_has_failed() {
    let (_dev, tollgate) = start().await;
    let file = std::env::temp_dir().join(format!("tollgate-import-{}.csv", std::process::id()));
    std::fs::write(&file, "name,key\na,short\nb,short too\n").unwrap();
    let output = tollgate
        .run(&format!("keys import {}", file.display()))
        .await;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("no row could be imported"), "{error}");
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
    let exported = tollgate.json(&line.replace("show", "export")).await;
    assert_eq!(exported, usage);
    let days = usage["values"][&keys[0]].as_array().unwrap();
    assert_eq!((days.len(), days.last().unwrap()), (30, &json!([3, 97])));
    let (code, error) = tollgate
        .fail(&format!("{line} --from 2026-01-01 --to 2026-12-31"))
        .await;
    assert!(code == 1 && error.contains("90"), "{error}");
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
async fn a_key_expires_and_is_rotated() {
    let (dev, tollgate) = start().await;
    let plan = tollgate
        .json("plans create --name p --stage local:$default")
        .await;
    let make = format!("keys create --plan {} --expires 90d", id(&plan));
    let key = tollgate.say(&format!("{make} --output json")).await;
    let key: Value = serde_json::from_str(key.split_inclusive("\n}\n").next().unwrap()).unwrap();
    let (id, first) = (id(&key), key["value"].as_str().unwrap());
    let shown = tollgate.say(&format!("keys show {id}")).await;
    assert!(shown.contains("expires"), "{shown}");
    let rotated = tollgate
        .json(&format!("keys rotate {id} --overlap 1d"))
        .await;
    let second = rotated["value"].as_str().unwrap();
    for value in [first, second] {
        assert_eq!(dev.get("/", Some(value)).await.2, "ok");
    }
    let (code, error) = tollgate
        .fail(&format!("keys rotate {id} --overlap 1h"))
        .await;
    let remedy = format!("`tollgate keys end-rotation {id}`");
    assert!(code == 1 && error.contains(&remedy), "{error}");
    tollgate.say(&format!("keys end-rotation {id}")).await;
    assert_eq!(dev.get("/", Some(first)).await.2, "unknown_key");
    assert_eq!(dev.get("/", Some(second)).await.2, "ok");
    tollgate
        .say(&format!("keys update {id} --expires 3s"))
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(3_200)).await;
    assert_eq!(dev.get("/", Some(second)).await.2, "expired");
    let shown = tollgate
        .say(&format!("keys update {id} --never-expires"))
        .await;
    assert!(!shown.contains("expires"), "{shown}");
    assert_eq!(dev.get("/", Some(second)).await.2, "ok");
    for (line, expected) in [
        (
            "update {id} --expires 2020-01-01",
            "expected a time in the future",
        ),
        ("update {id} --expires soon", "expected a date (2027-01-31)"),
        (
            "rotate {id} --overlap 1y",
            "expected a duration such as 30m",
        ),
        ("rotate {id} --overlap 91d", "expected at most 90d"),
    ] {
        let line = line.replace("{id}", id);
        let (_, error) = tollgate.fail(&format!("keys {line}")).await;
        assert!(error.contains(expected), "{error}");
    }
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
    assert!(check.success() && text(&script).contains("COMPLETE"));
}

#[tokio::test]
async fn a_shell_completes_ids_and_names() {
    let (_dev, tollgate) = start().await;
    let plan = tollgate
        .json("plans create --name Gold --stage local:$default")
        .await;
    let mut shell = Command::new(binary("tollgate"));
    shell
        .args(["--", "tollgate", "plans", "show", ""])
        .env("COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", "3")
        .env("TOLLGATE_URL", &tollgate.url)
        .env_remove("TOLLGATE_STACK");
    let offered = text(&shell.output().await.unwrap().stdout);
    let offered: Vec<_> = offered.lines().collect();
    assert!(
        offered.contains(&"Gold") && offered.contains(&id(&plan)),
        "{offered:?}"
    );
}
