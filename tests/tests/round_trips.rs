//! What an export says of keys comes back with an import: no key is good for more where it goes than where it came from.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::fmt::Write;

use serde_json::{Value, json};
use tollgate_tests::cli::{Tollgate, id, text};
use tollgate_tests::gateway::Dev;

async fn start() -> (Dev, Tollgate) {
    let dev = Dev::start(&["--retrievable"], &[]).await;
    let url = dev.management.clone();
    (dev, Tollgate { url })
}

/// A file of keys, gone with the test.
fn file(content: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    file
}

/// A key without what each copy of it has for itself.
fn told(mut key: Value) -> Value {
    for name in ["id", "createdDate", "lastUpdatedDate"] {
        key[name] = Value::Null;
    }
    key
}

#[tokio::test]
async fn whatever_narrows_a_key_goes_out_and_comes_back() {
    let (dev, tollgate) = start().await;
    let plan = tollgate
        .json("plans create --name p --stage local:$default --rate 100 --burst 100 --quota 1000 --period month")
        .await;
    let plan = id(&plan).to_owned();
    let make = format!(
        "keys create --name narrow --customer acme --plan {plan} --expires 2099-12-31T23:59:58Z"
    );
    let key = tollgate.json(&make).await;
    let narrow = id(&key);
    tollgate
        .say(&format!(
            "keys update {narrow} --only local:$default/pets/GET"
        ))
        .await;
    tollgate
        .say(&format!(
            "keys override {narrow} {plan} --rate 1 --burst 2 --quota 5 --until 2099-12-31"
        ))
        .await;
    let off = tollgate.json("keys create --name off --disabled").await;
    let before = [
        told(tollgate.json(&format!("keys show {narrow}")).await),
        told(tollgate.json(&format!("keys show {}", id(&off))).await),
    ];
    let exported = tollgate.say("keys export").await;
    assert!(exported.contains("2099-12-31T23:59:58Z"), "{exported}");
    for key in [narrow, id(&off)] {
        tollgate.say(&format!("keys delete {key} --yes")).await;
    }
    let value = key["value"].as_str().unwrap();
    assert_eq!(dev.get("/pets", Some(value)).await.2, "unknown_key");

    let all = file(&exported);
    let output = tollgate
        .run(&format!("keys import {}", all.path().display()))
        .await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "2 keys imported, 0 warnings\n");
    let mut after = Vec::new();
    for name in ["narrow", "off"] {
        let listed = tollgate.json(&format!("keys list --name {name}")).await;
        after.push(told(
            tollgate
                .json(&format!("keys show {}", id(&listed[0])))
                .await,
        ));
    }
    assert_eq!(json!(after), json!(before));
    // That the value was nobody's is remembered for a second.
    while dev.get("/toys", Some(value)).await.2 == "unknown_key" {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(dev.get("/toys", Some(value)).await.2, "method_not_allowed");
    let mut reasons = Vec::new();
    for _ in 0..3 {
        reasons.push(dev.get("/pets", Some(value)).await.2);
    }
    assert_eq!(reasons, ["ok", "ok", "rate"]);
    // Once more, into keys that are there: nothing changes.
    tollgate
        .say(&format!("keys import {}", all.path().display()))
        .await;
    assert_eq!(
        tollgate.json("keys list").await.as_array().unwrap().len(),
        2
    );
}

#[tokio::test]
async fn a_key_that_is_over_is_over_where_it_is_imported() {
    let (dev, tollgate) = start().await;
    let plan = tollgate
        .json("plans create --name p --stage local:$default")
        .await;
    let values = [
        "an-expired-value-number-1",
        "an-expired-value-number-2",
        "an-expired-value-number-3",
    ];
    let mut rows = "Name,Key,UsagePlanIds,Expires\n".to_owned();
    for (value, time) in
        values
            .iter()
            .zip(["2020-01-31T00:00:00Z", "1580428800", "2020-01-31 00:00 UTC"])
    {
        writeln!(rows, "n,{value},{},{time}", id(&plan)).unwrap();
    }
    let file = file(&rows);
    tollgate
        .say(&format!("keys import {}", file.path().display()))
        .await;
    for value in values {
        assert_eq!(dev.get("/", Some(value)).await.2, "expired", "{value}");
    }
}

#[tokio::test]
async fn what_cannot_be_made_again_is_left_out_by_name() {
    let (_dev, tollgate) = start().await;
    let value = |number: u32| format!("a-value-to-bring-along-{number}");
    let overrides = r#""{""no-such-plan"":{""quotaLimit"":5}}""#;
    let rows = [
        format!("a,{},,,{overrides}", value(1)),
        format!("b,{},soon,,", value(2)),
        format!("c,{},,\"{{\"\"no stage\"\":[]}}\",", value(3)),
        format!("d,{},,nonsense,", value(4)),
        format!("e,{},,,", value(5)),
    ];
    let file = file(&format!(
        "Name,Key,Expires,Restriction,Overrides\n{}\n",
        rows.join("\n")
    ));
    let path = file.path().display();
    let output = tollgate.run(&format!("keys import {path}")).await;
    assert_eq!(text(&output.stdout), "1 keys imported, 4 warnings\n");
    let warned = text(&output.stderr);
    for expected in [
        "row 1: Overrides: there is no usage plan no-such-plan",
        "row 2: Expires: expected a time such as",
        "row 3: restriction: ",
        "row 4: Invalid value for Restriction: expected a map",
    ] {
        assert!(warned.contains(expected), "{expected}: {warned}");
    }
}

#[tokio::test]
async fn an_export_of_the_release_before_is_imported_with_a_warning_of_what_it_never_had() {
    let (dev, tollgate) = start().await;
    let value = "a-value-of-the-release-before";
    let plan = tollgate
        .json("plans create --name p --stage local:$default")
        .await;
    let file = file(&format!(
        "Id,Name,Key,Description,Enabled,UsagePlanIds,CustomerId,Created,Expires\n\
         abc,first,{value},,true,{},acme,2026-01-01 10:00 UTC,2099-01-31 10:20 UTC\n",
        id(&plan)
    ));
    let path = file.path().display();
    let output = tollgate.run(&format!("keys import {path}")).await;
    assert_eq!(text(&output.stdout), "1 keys imported, 1 warnings\n");
    let warned = text(&output.stderr);
    assert!(
        warned.contains("no column Restriction and Overrides"),
        "{warned}"
    );
    let key = tollgate.json("keys list").await[0].clone();
    assert_eq!(key["customerId"], "acme");
    assert_eq!(key["tollgate"]["expiresAt"], 4_073_538_000_i64);
    assert_eq!(dev.get("/", Some(value)).await.2, "ok");
    // Nothing of that where a warning is one too many.
    let (code, error) = tollgate
        .fail(&format!("keys import {path} --fail-on-warnings"))
        .await;
    assert!(
        code == 1 && error.contains("Nothing was imported"),
        "{error}"
    );
}

#[tokio::test]
async fn keys_come_from_a_csv_file_and_go_back_to_one() {
    let (dev, tollgate) = tollgate_tests::cli::start().await;
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
        code == 1 && error.contains("line 2") && error.contains(&path),
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
