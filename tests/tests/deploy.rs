//! The stack, deployed as users deploy it, onto an emulated AWS: what its life and docs/operations.md promise.
//!
//! What the emulator cannot show: log delivery, metrics, alarms, time to live, restores of a table.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use tollgate_tests::deploy::{Aws, Release, said};
use tollgate_tests::stack::{Deployed, documented, documented_policy};

/// A route that releases before 0.3.0 do not have.
const WHO_AM_I: &str = "        WhoAmI:";

/// The same without its statement on this action.
fn without(policy: &Value, action: &str) -> Value {
    let mut policy = policy.clone();
    let statements = policy["Statement"].as_array_mut().unwrap();
    statements.retain(|statement| statement["Action"] != action);
    policy
}

#[tokio::test]
#[ignore = "needs the SAM CLI and an emulated AWS; ./test runs it"]
async fn a_stack_is_deployed_managed_changed_and_removed_as_documented() {
    let mut stack = Deployed::new(&Release::this()).await;
    exports_are_its_outputs(&stack.aws).await;
    apis_can_be_told_apart(&stack.aws).await;
    only_who_has_the_documented_rights_manages_keys(&stack).await;

    let management = stack.aws.output("tollgate", "ManagementUrl").await;
    let unsigned = stack
        .aws
        .status(&format!("{management}/apikeys"), None)
        .await;
    assert_eq!(unsigned, "403", "a call of the management API, unsigned");
    let whoami = format!("{management}/whoami");
    stack.aws.wait_for_status("200", &whoami, &stack.key).await;

    let version = stack.live().await;
    let changes = "--parameter-overrides DecisionLogSample=1 LogLevel=DEBUG 'AlarmTopicArn=\"\"'";
    stack.aws.deploy(changes).await;
    assert_ne!(stack.live().await, version, "the alias has moved");
    stack.goes_on().await;
    it_is_rolled_back_as_documented(&mut stack, &version).await;

    let changes = "--parameter-overrides RetrievableValues=on DecisionLogSample=0";
    stack.aws.deploy(changes).await;
    assert_ne!(stack.live().await, version, "the alias has moved forward");
    let parameter = "Stacks[0].Parameters[?ParameterKey=='LogLevel'].ParameterValue";
    let describe = "aws cloudformation describe-stacks --stack-name tollgate --output text";
    let level = format!("{describe} --query \"{parameter}\"");
    let level = stack.aws.run(&level).await;
    assert_eq!(level, "DEBUG", "what is not given stays as it is");
    let (kept, value) = stack.new_key("kept").await;
    let show = format!("keys show --stack tollgate {kept} --value");
    let shown = stack.aws.cli(&stack.admin, &show).await;
    assert_eq!(shown["value"], json!(value), "{shown}");

    let nothing = stack.aws.try_run("sam deploy --no-progressbar").await;
    assert!(nothing.status.success(), "{}", said(&nothing));

    let table = stack.aws.output("tollgate", "TableName").await;
    stack.aws.set("TABLE", &table);
    a_second_stack_sees_the_keys(&stack).await;
    it_is_removed_as_documented(&stack, &table).await;

    // Onto the table that is left.
    stack.aws.run(&documented("logs delete-log-group")).await;
    let policy = documented_policy(&stack.aws).await;
    stack.aws.allow("admin", &policy).await;
    let whoami = stack.aws.output("tollgate", "ManagementUrl").await + "/whoami";
    stack.aws.wait_for_status("200", &whoami, &stack.key).await;
}

async fn it_is_rolled_back_as_documented(stack: &mut Deployed, version: &str) {
    let arn = stack.aws.output("tollgate", "AuthorizerArn").await;
    stack
        .aws
        .set("FUNCTION", arn.strip_suffix(":live").unwrap());
    stack.aws.set("VERSION", version);
    stack.aws.run(&documented("update-alias")).await;
    assert_eq!(stack.live().await, version, "the alias has moved back");
    stack.goes_on().await;
}

async fn exports_are_its_outputs(aws: &Aws) {
    let exports = aws.run("aws cloudformation list-exports").await;
    let exports: Value = serde_json::from_str(&exports).unwrap();
    for name in [
        "AuthorizerArn",
        "AuthorizerUri",
        "ManagementUrl",
        "ManagementInvokeArn",
        "KeysFunctionArn",
        "TableName",
    ] {
        let exported = exports["Exports"].as_array().unwrap().iter();
        let mut exported =
            exported.filter(|export| export["Name"] == json!(format!("tollgate-{name}")));
        let value = exported.next().map(|export| export["Value"].clone());
        let output = aws.output("tollgate", name).await;
        assert!(!output.is_empty(), "{name}");
        assert_eq!(value, Some(json!(output)), "{name}");
    }
}

async fn apis_can_be_told_apart(aws: &Aws) {
    let names = "aws apigatewayv2 get-apis --query 'Items[].Name' --output text";
    let names = aws.run(names).await;
    let names: BTreeSet<_> = names.split_whitespace().collect();
    let expected = BTreeSet::from(["tollgate-management", "tollgate-sample"]);
    assert_eq!(names, expected);
}

async fn only_who_has_the_documented_rights_manages_keys(stack: &Deployed) {
    let policy = documented_policy(&stack.aws).await;
    let list = "keys list --stack tollgate";
    for action in ["execute-api:Invoke", "cloudformation:DescribeStacks"] {
        let less = without(&policy, action);
        stack.aws.allow("admin", &less).await;
        let output = stack.aws.try_cli(&stack.admin, list).await;
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        let needs = format!("your AWS identity needs {action}");
        assert!(said(&output).contains(&needs), "{}", said(&output));
    }
    // Whoever may not describe the stack can name the URL.
    let invokes = without(&policy, "cloudformation:DescribeStacks");
    stack.aws.allow("admin", &invokes).await;
    let url = stack.aws.output("tollgate", "ManagementUrl").await;
    let by_url = format!("keys list --url {url}");
    stack.aws.cli(&stack.admin, &by_url).await;
    stack.aws.allow("admin", &policy).await;
    stack.aws.cli(&stack.admin, list).await;
}

async fn a_second_stack_sees_the_keys(stack: &Deployed) {
    let deploy = documented("--stack-name tollgate-second");
    stack.aws.run(&deploy).await;
    let arn = stack.aws.output("tollgate-second", "ManagementInvokeArn");
    let statement =
        json!({ "Effect": "Allow", "Action": "execute-api:Invoke", "Resource": arn.await });
    let policy = json!({ "Version": "2012-10-17", "Statement": [statement] });
    let second = stack.aws.user("second", &policy).await;
    let url = stack.aws.output("tollgate-second", "ManagementUrl").await;
    let list = format!("keys list --url {url}");
    let keys = stack.aws.cli(&second, &list).await;
    assert_eq!(keys.as_array().unwrap().len(), 2, "{keys}");
    stack
        .aws
        .run("sam delete --no-prompts --stack-name tollgate-second")
        .await;
    stack.goes_on().await;
}

async fn it_is_removed_as_documented(stack: &Deployed, table: &str) {
    let aws = &stack.aws;
    aws.run("sam delete --no-prompts --stack-name tollgate")
        .await;
    let left = async |list: &str| aws.run(&format!("aws {list} --output text")).await;
    let tables = left("dynamodb list-tables --query TableNames[]").await;
    assert_eq!(tables, table, "the table is kept");
    for gone in [
        "lambda list-functions --query Functions[].FunctionName",
        "apigatewayv2 get-apis --query Items[].Name",
        "ssm get-parameters-by-path --path /tollgate --recursive --query Parameters[].Name",
        "cloudwatch describe-alarms --query MetricAlarms[].AlarmName",
        "iam list-roles --query Roles[?contains(RoleName,`tollgate`)].RoleName",
    ] {
        let quoted = gone.replacen("--query ", "--query '", 1) + "'";
        assert_eq!(left(&quoted).await, "", "{gone}");
    }
    let groups = left("logs describe-log-groups --query 'logGroups[].logGroupName'").await;
    let groups: BTreeSet<_> = groups.split_whitespace().collect();
    let kept = [
        "/tollgate/tollgate-second/management",
        "/tollgate/tollgate/management",
    ];
    assert_eq!(groups, BTreeSet::from(kept), "the audit trails are kept");
    let keys = left("kms list-keys --query 'Keys[].KeyId'").await;
    assert_eq!(
        keys.split_whitespace().count(),
        1,
        "the values' key: {keys}"
    );
}

#[tokio::test]
#[ignore = "needs the SAM CLI and an emulated AWS; ./test runs it"]
async fn releases_are_upgraded_and_rolled_back() {
    let stack = Deployed::new(&Release::previous()).await;
    let aws = &stack.aws;
    let url = aws.output("tollgate", "ManagementUrl").await;

    aws.build(&Release::this()).await;
    aws.deploy("").await;
    stack.goes_on().await;
    let now = aws.output("tollgate", "ManagementUrl").await;
    assert_eq!(now, url, "no API is replaced");

    aws.build(&Release::previous()).await;
    aws.deploy("").await;
    stack.goes_on().await;

    // 0.3.0 has named the route: a release without it cannot be deployed until that is mended as documented.
    let reason = "Unable to find Route by key GET /whoami";
    aws.build(&Release::previous().without(WHO_AM_I)).await;
    stack.refuses_deployment(reason).await;
    aws.build(&Release::this()).await;
    aws.deploy("").await;
    aws.build(&Release::this().without(WHO_AM_I)).await;
    stack.refuses_deployment(reason).await;
    aws.run(&documented("delete-route-settings")).await;
    aws.deploy("").await;
    stack.goes_on().await;
}

#[tokio::test]
#[ignore = "needs the SAM CLI and an emulated AWS; ./test runs it"]
async fn a_release_with_a_route_more_can_be_taken_back() {
    let stack = Deployed::new(&Release::this()).await;
    stack.aws.build(&Release::this().without(WHO_AM_I)).await;
    stack.aws.deploy("").await;
    stack.goes_on().await;
    stack.aws.build(&Release::this()).await;
    stack.aws.deploy("").await;
    stack.goes_on().await;
}

/// Copies a table as it is now, in place of a point-in-time restore, which the emulator does not have.
const COPY: &str = "
import boto3, sys
dynamodb = boto3.resource('dynamodb')
_, source, target = sys.argv
source, target = dynamodb.Table(source), dynamodb.Table(target)
page = source.scan()
with target.batch_writer() as batch:
    while True:
        for item in page['Items']:
            batch.put_item(Item=item)
        if 'LastEvaluatedKey' not in page:
            break
        page = source.scan(ExclusiveStartKey=page['LastEvaluatedKey'])
";

#[tokio::test]
#[ignore = "needs the SAM CLI and an emulated AWS; ./test runs it"]
async fn a_restored_table_is_put_into_service_as_documented() {
    let mut stack = Deployed::new(&Release::this()).await;
    let table = stack.aws.output("tollgate", "TableName").await;
    stack.aws.set("TABLE", &table);
    let (revoked, revoked_key) = stack.new_key("revoked").await;
    let (reviewed, reviewed_key) = stack.new_key("reviewed").await;
    let url = stack.url.clone();
    stack.aws.wait_for_status("200", &url, &revoked_key).await;

    // T. What is done from here on is not in the restored table.
    stack
        .aws
        .run("tollgate table create --table tollgate-restored")
        .await;
    let copy = format!("python -c \"{COPY}\" \"$TABLE\" tollgate-restored");
    stack.aws.run(&copy).await;
    let delete = format!("keys delete --stack tollgate {revoked} --yes");
    stack.aws.cli(&stack.admin, &delete).await;
    stack.aws.wait_for_status("403", &url, &revoked_key).await;
    let (made, made_key) = stack.new_key("made").await;

    // Step 1 to 3.
    let stop = documented("put-function-concurrency");
    stack.aws.run(&stop).await;
    let functions = stack.aws.output("tollgate", "KeysFunctionArn").await;
    stack.aws.set("KEYS", &functions);
    let list = "keys list --stack tollgate";
    let refused = stack.aws.try_cli(&stack.admin, list).await;
    assert!(!refused.status.success(), "{}", said(&refused));
    stack.goes_on().await;
    stack
        .aws
        .run(&documented("update-continuous-backups"))
        .await;

    // Step 4 and 5, with what the query of the audit trail would find.
    let second = documented("ExistingTableName=tollgate-restored Architecture=");
    stack.aws.run(&second).await;
    let touched = stack.aws.project().join("touched");
    fs::write(touched, format!("{revoked}\n{reviewed}\n{made}\n")).unwrap();
    let disable = documented("keys disable");
    // The key that was made since T is not there, which fails in the words of the documentation.
    let disabled = said(&stack.aws.try_run(&format!("set +e\n{disable}")).await);
    let unknown = "no API key has the id or the name";
    assert_eq!(disabled.matches("enabled  no").count(), 2, "{disabled}");
    assert_eq!(disabled.matches(unknown).count(), 1, "{disabled}");

    // Step 7 and 8.
    let imports = stack.aws.try_run(&documented("list-imports")).await;
    let none = "is not imported by any stack";
    assert!(said(&imports).contains(none), "{}", said(&imports));
    let config = stack.aws.project().join("samconfig.toml");
    let text = fs::read_to_string(&config).unwrap();
    let overrides = "parameter_overrides = \"ExistingTableName=tollgate-restored\"\n";
    assert!(text.contains("[default.deploy.parameters]"));
    fs::write(&config, text + overrides).unwrap();
    stack.aws.deploy("").await;
    let now = stack.aws.output("tollgate", "TableName").await;
    assert_eq!(now, "tollgate-restored");
    stack.goes_on().await;
    for key in [&revoked_key, &reviewed_key, &made_key] {
        stack.aws.wait_for_status("403", &url, key).await;
    }
    stack
        .aws
        .run(&documented("delete-function-concurrency"))
        .await;
    let enable = format!("keys enable --stack tollgate {reviewed}");
    stack.aws.cli(&stack.admin, &enable).await;
    stack.aws.wait_for_status("200", &url, &reviewed_key).await;

    // The first stack's code is still there, to be deployed and rolled back.
    let objects = "aws s3api list-buckets --query 'Buckets[0].Name' --output text | xargs -I{} aws s3 ls --recursive s3://{}";
    let objects = format!("{objects} | awk '$4 !~ \"^tollgate-restored/\" {{ print $4 }}'");
    let before = stack.aws.run(&objects).await;
    assert!(!before.is_empty());
    let delete = documented("sam delete --stack-name tollgate-restored");
    stack
        .aws
        .run(&format!("{} --no-prompts", delete.trim()))
        .await;
    let after = stack.aws.run(&objects).await;
    assert_eq!(after, before, "the first stack's code is kept");
    stack.goes_on().await;
    stack.aws.build(&Release::previous()).await;
    stack.aws.deploy("").await;
    stack.goes_on().await;
    stack.aws.build(&Release::this()).await;
    stack.aws.deploy("").await;
    stack.goes_on().await;
}
