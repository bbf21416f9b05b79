//! The templates: what they say is what the code does and the documentation tells.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use tollgate_tests::sam;
use tollgate_tests::stores::{Kind, Store};

pub(crate) const TEMPLATES: [&str; 4] = [
    "template.yaml",
    "examples/http-api/template.yaml",
    "examples/rest-api/template.yaml",
    "examples/websocket-api/template.yaml",
];

#[tokio::test]
#[ignore = "needs the SAM CLI; ./test runs it"]
async fn every_template_is_valid_and_clean() {
    for template in TEMPLATES {
        sam::run(sam::command("sam").args(["validate", "--lint", "-t", template])).await;
    }
}

#[tokio::test]
#[ignore = "needs the SAM CLI; ./test runs it"]
async fn the_examples_import_what_the_stack_exports_and_cache_nothing() {
    let stack = sam::template(TEMPLATES[0]).await;
    let outputs = stack["Outputs"].as_object().unwrap().values();
    let exports: BTreeSet<_> = outputs
        .filter_map(|output| output["Export"]["Name"]["Fn::Sub"].as_str())
        .map(|name| name.strip_prefix("${AWS::StackName}").unwrap().to_owned())
        .collect();
    for path in &TEMPLATES[1..] {
        let text = fs::read_to_string(sam::root().join(path)).unwrap();
        let imports = text.split("${TollgateStack}").skip(1);
        let imports: Vec<_> = imports
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        assert!(!imports.is_empty(), "{path}");
        assert!(
            imports.iter().all(|name| exports.contains(*name)),
            "{path}: {imports:?}"
        );
        if !path.contains("websocket") {
            let authorizers = text.matches("FunctionArn:").count();
            assert_eq!(text.matches("ReauthorizeEvery: 0").count(), authorizers);
        }
    }
}

#[tokio::test]
#[ignore = "needs the SAM CLI; ./test runs it"]
async fn the_example_answers_preflight_requests_as_the_documentation_says() {
    let read = |path: &str| fs::read_to_string(sam::root().join(path)).unwrap();
    let docs = read("docs/operations.md");
    let (_, rest) = docs
        .split_once("```yaml\n      CorsConfiguration:")
        .unwrap();
    let cors = rest.split("```").next().unwrap();
    assert!(read(TEMPLATES[1]).contains(cors), "{cors}");
    // A route that takes OPTIONS would ask the authorizer.
    let example = sam::template(TEMPLATES[1]).await;
    let events = &example["Resources"]["Pets"]["Properties"]["Events"];
    for event in events.as_object().unwrap().values() {
        assert_eq!(event["Properties"]["Method"], "GET");
    }
}

#[tokio::test]
#[ignore = "needs the SAM CLI; ./test runs it"]
async fn every_parameter_and_output_is_documented() {
    let docs = fs::read_to_string(sam::root().join("docs/operations.md")).unwrap();
    let stack = sam::template(TEMPLATES[0]).await;
    for section in ["Parameters", "Outputs"] {
        for name in stack[section].as_object().unwrap().keys() {
            assert!(docs.contains(&format!("| `{name}` |")), "{section}: {name}");
        }
    }
    let resources = stack["Resources"].as_object().unwrap();
    for (name, resource) in resources {
        if resource["Type"] == "AWS::CloudWatch::Alarm" {
            assert!(docs.contains(&format!("`{name}`")), "{name}");
        }
    }
}

/// AWS's clients go by `JMESPath`; an expression that cannot be read makes a recipe do nothing.
#[tokio::test]
#[ignore = "needs the SAM CLI; ./test runs it"]
async fn every_query_of_the_documentation_can_be_read() {
    const COMPILE: &str = r#"
import re, jmespath
text = open("docs/operations.md").read()
found = re.findall(r"""--query\s+(?:'([^']*)'|"([^"]*)"|([^\s"')]+))""", text)
for one in found:
    jmespath.compile(next(filter(None, one)))
print(len(found))
"#;
    let output = sam::run(sam::command("python").args(["-c", COMPILE])).await;
    let found: u32 = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .unwrap();
    assert!(found >= 5, "{found}");
}

/// Two stacks that share uploaded code take it from each other when one is deleted.
#[test]
fn every_documented_second_stack_has_an_upload_prefix_of_its_own() {
    let docs = fs::read_dir(sam::root().join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let mut found = 0;
    for path in docs.chain([sam::root().join("README.md")]) {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        for line in text.replace("\\\n", " ").lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let value = |option| {
                let at = words.iter().position(|word| *word == option)?;
                words.get(at + 1)
            };
            if line.contains("sam deploy") && value("--stack-name").is_some() {
                assert_eq!(value("--s3-prefix"), value("--stack-name"), "{line}");
                found += 1;
            }
        }
    }
    assert!(found >= 2, "{found}");
}

/// API Gateway refuses to remove a route that the settings of its stage name.
#[tokio::test]
#[ignore = "needs the SAM CLI; ./test runs it"]
async fn no_route_that_another_release_may_lack_has_settings_of_its_own() {
    let stack = sam::template(TEMPLATES[0]).await;
    let api = &stack["Resources"]["ManagementApi"]["Properties"];
    let settings = api["RouteSettings"].as_object().unwrap();
    assert_eq!(settings.keys().collect::<Vec<_>>(), ["$default"]);
    let rate = |settings: &Value| settings["ThrottlingRateLimit"].as_f64().unwrap();
    // Management is not to suffer from guesses at the other routes.
    assert!(rate(&settings["$default"]) >= 10.0 * rate(&api["DefaultRouteSettings"]));
}

/// The restore finds the calls that have changed something by the status in their lines; 0.3.0 has written it as a string.
#[tokio::test]
#[ignore = "needs the SAM CLI; ./test runs it"]
async fn the_restores_query_reads_the_status_in_every_line_of_the_audit_trail() {
    const MATCH: &str = "import re, sys; print(re.search(sys.argv[1], sys.argv[2])['code'])";
    let stack = sam::template(TEMPLATES[0]).await;
    let settings = &stack["Resources"]["ManagementApi"]["Properties"]["AccessLogSettings"];
    let line = settings["Format"].as_str().unwrap();
    let line = line.replace("$context.status", "204");
    let parsed: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(parsed["status"], json!(204), "{line}");
    let docs = fs::read_to_string(sam::root().join("docs/operations.md")).unwrap();
    let (_, pattern) = docs.split_once("parse @message /").unwrap();
    let (pattern, rest) = pattern.split_once("/ ").unwrap();
    assert!(rest.starts_with("| filter code like /^2/"), "{rest}");
    let pattern = pattern.replace("(?<", "(?P<");
    let before = line.replace("204", "\"204\"");
    for line in [line, before] {
        let mut python = sam::command("python");
        let output = sam::run(python.args(["-c", MATCH, &pattern, &line])).await;
        assert_eq!(output.stdout, b"204\n", "{line}");
    }
}

/// What two descriptions of a table must share, in an order of its own.
fn schema(table: &Value) -> Value {
    let sorted = |list: &Value| {
        let mut entries: Vec<String> = list
            .as_array()
            .unwrap()
            .iter()
            .map(Value::to_string)
            .collect();
        entries.sort();
        entries
    };
    let indexes = table["GlobalSecondaryIndexes"].as_array().unwrap().iter();
    let mut indexes: Vec<_> = indexes
        .map(|index| {
            json!([
                index["IndexName"],
                index["KeySchema"],
                index["Projection"]["ProjectionType"]
            ])
            .to_string()
        })
        .collect();
    indexes.sort();
    json!([
        sorted(&table["AttributeDefinitions"]),
        table["KeySchema"],
        indexes
    ])
}

/// Describes a table of an endpoint.
const DESCRIBE: &str = "import boto3, json, sys; \
    c = boto3.client('dynamodb', endpoint_url=sys.argv[1]); \
    t = c.describe_table(TableName=sys.argv[2])['Table']; \
    t['TimeToLive'] = c.describe_time_to_live(TableName=sys.argv[2])['TimeToLiveDescription']; \
    print(json.dumps(t, default=str))";

#[tokio::test]
#[ignore = "needs the SAM CLI; ./test runs it"]
async fn the_stacks_table_is_the_one_that_the_command_line_creates() {
    let store = Store::new(Kind::DynamodbLocal).await;
    let mut describe = sam::command("python");
    describe.args(["-c", DESCRIBE, &store.endpoint, &store.table]);
    let created: Value = serde_json::from_slice(&sam::run(&mut describe).await.stdout).unwrap();
    let stack = sam::template(TEMPLATES[0]).await;
    let table = &stack["Resources"]["Table"]["Properties"];
    assert_eq!(schema(table), schema(&created));
    assert_eq!(
        table["TimeToLiveSpecification"]["AttributeName"],
        created["TimeToLive"]["AttributeName"]
    );
    let billing = &created["BillingModeSummary"]["BillingMode"];
    assert_eq!(&table["BillingMode"], billing);
}

/// The parameters that a part of the template goes by.
fn references(part: &Value, found: &mut BTreeSet<String>) {
    match part {
        Value::Object(members) => {
            if let Some(name) = members.get("Ref").and_then(Value::as_str) {
                found.insert(name.to_owned());
            }
            members
                .values()
                .for_each(|member| references(member, found));
        }
        Value::Array(entries) => entries.iter().for_each(|entry| references(entry, found)),
        _ => {}
    }
}

/// SAM makes a new version of a function when the template changes, and not when a parameter does: without this the alias
/// would go on with the old settings.
#[tokio::test]
#[ignore = "needs the SAM CLI; ./test runs it"]
async fn a_changed_parameter_gives_the_alias_a_new_version() {
    let stack = sam::template(TEMPLATES[0]).await;
    let function = &stack["Resources"]["AuthorizerFunction"]["Properties"];
    let mut named = BTreeSet::new();
    references(&function["Environment"], &mut named);
    references(&function["MemorySize"], &mut named);
    let parameters = stack["Parameters"].as_object().unwrap();
    named.retain(|name| parameters.contains_key(name));
    assert!(named.len() > 10, "{named:?}");
    let description = function["VersionDescription"]["Fn::Sub"].as_str().unwrap();
    let mut longest = description.len();
    for name in named {
        let placeholder = format!("${{{name}}}");
        assert!(description.contains(&placeholder), "{name}");
        let parameter = &parameters[&name];
        let words = parameter["AllowedValues"].as_array().into_iter().flatten();
        let words = words.map(|word| word.as_str().unwrap().len());
        let length = parameter["MaxLength"]
            .as_u64()
            .map(|length| length.try_into().unwrap());
        // Numbers have a few digits.
        longest += length.or(words.max()).unwrap_or(8);
        longest -= placeholder.len();
    }
    assert!(longest <= 256, "{longest}");
}
