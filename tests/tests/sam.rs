//! The stack: what `sam build` makes, and both functions in `sam local`.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};
use tollgate_tests::gateway::Dev;
use tollgate_tests::lambda::{SAMPLE_KEY, binary};
use tollgate_tests::sam::{self, LocalApi};
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::admin;

#[tokio::test]
#[ignore = "needs Docker and what sam build makes; ./test runs it"]
async fn what_is_built_runs_on_amazon_linux_2023() {
    for function in ["AuthorizerFunction", "KeysFunction", "SampleFunction"] {
        let path = sam::root().join(format!(".aws-sam/build/{function}/bootstrap"));
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let versions = text.split("GLIBC_2.").skip(1).filter_map(|rest| {
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse::<u32>().ok()
        });
        let newest = versions.max().expect("it is linked to glibc");
        assert!(newest <= 34, "{function} asks for glibc 2.{newest}");
    }
}

#[tokio::test]
#[ignore = "needs Docker and what sam build makes; ./test runs it"]
async fn both_functions_answer_the_sample_events_in_sam_local() {
    let store = Store::new(Kind::DynamodbLocal).await;
    let body = |answer: &Value| -> Value {
        serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
    };
    let key = sam::invoke(&store, "KeysFunction", "management-create-key").await;
    assert_eq!(key["statusCode"], 201, "{key}");
    let plan = sam::invoke(&store, "KeysFunction", "management-create-plan").await;
    assert_eq!(plan["statusCode"], 201, "{plan}");
    let id = |answer: &Value| body(answer)["id"].as_str().unwrap().to_owned();
    let admin = admin(&store).await;
    admin
        .link(&id(&plan).into(), &id(&key).into())
        .await
        .unwrap();

    let admitted = sam::invoke(&store, "AuthorizerFunction", "http-api-v2").await;
    assert_eq!(admitted["isAuthorized"], json!(true), "{admitted}");
    assert_eq!(admitted["context"]["keyId"], json!(id(&key)));
    let refused = sam::invoke(&store, "AuthorizerFunction", "http-api-v2-missing-key").await;
    assert_eq!(refused["isAuthorized"], json!(false));
    assert_eq!(refused["context"]["reason"], "missing_key");
    let admitted = sam::invoke(&store, "AuthorizerFunction", "rest-token").await;
    assert_eq!(
        admitted["policyDocument"]["Statement"][0]["Effect"], "Allow",
        "{admitted}"
    );
    // The three invocations have charged the one meter.
    assert_eq!(admitted["context"]["quotaRemaining"], 998);
    let nothing = sam::invoke(&store, "KeysFunction", "management-no-such-key").await;
    assert_eq!(nothing["statusCode"], 404);
    let bad = sam::invoke(&store, "KeysFunction", "management-bad-body").await;
    assert_eq!(bad["statusCode"], 400);
}

#[tokio::test]
#[ignore = "needs Docker and what sam build makes; ./test runs it"]
async fn a_local_api_admits_the_key_that_the_command_line_has_made_and_nobody_else() {
    let store = Store::new(Kind::DynamodbLocal).await;
    let management = Dev::on(&store).await;
    let tollgate = async |arguments: &[&str]| -> Value {
        let mut command = tokio::process::Command::new(binary("tollgate"));
        command.args(arguments);
        command.args(["--output", "json", "--url", &management.management]);
        serde_json::from_slice(&sam::run(&mut command).await.stdout).unwrap()
    };
    // The id that `sam local` gives to every API.
    let stage = "1234567890:$default";
    let plan = [
        "plans", "create", "--name", "local", "--rate", "0.01", "--burst", "3", "--stage", stage,
    ];
    let plan = tollgate(&plan).await;
    let plan = plan["id"].as_str().unwrap();
    let key = tollgate(&["keys", "create", "--plan", plan]).await;
    let value = key["value"].as_str().unwrap();

    let other = tollgate(&["keys", "create", "--plan", plan]).await;
    let other = format!("x-api-key: {}", other["value"].as_str().unwrap());
    let api = LocalApi::start(&store, "").await;
    let url = warmed(&api, &other).await;
    let mut answers = Vec::new();
    let header = format!("x-api-key: {value}");
    for _ in 0..4 {
        answers.push(curl(&["-H", &header, &url]).await);
    }
    let told: Value = serde_json::from_str(&answers[0].1).unwrap();
    assert_eq!(told["authorizer"]["keyId"], key["id"], "{answers:?}");
    let statuses: Vec<_> = answers.iter().map(|(status, _)| status.as_str()).collect();
    assert_eq!(statuses, ["200", "200", "200", "403"], "{answers:?}");
    let unknown = format!("x-api-key: {SAMPLE_KEY}");
    assert_eq!(curl(&["-H", &unknown, &url]).await.0, "403");
    assert_eq!(curl(&[&url]).await.0, "403");
    api.stop().await;

    // Now limits pass the authorizer, and the backend's guard refuses by its context.
    let api = LocalApi::start(&store, "OnLimit=pass").await;
    let url = warmed(&api, &other).await;
    let (status, refused) = curl(&["-i", "-H", &header, &url]).await;
    assert_eq!(status, "429", "{refused}");
    let refused = refused.to_lowercase();
    assert!(refused.contains("retry-after: "), "{refused}");
    assert!(refused.contains("ratelimit: \"rate\";r=0;t="), "{refused}");
    assert!(
        refused.contains("\"violated-policies\":[\"rate\"]"),
        "{refused}"
    );
    assert_eq!(curl(&["-H", &unknown, &url]).await.0, "403");
    api.stop().await;
}

/// The URL of a local API, once it answers. A container that has just started on a busy machine may not, or may not reach the
/// store within the authorizer's time; that is the emulator's matter. Another key under the plan takes those calls, so that what
/// is told of the one that is looked at is told by requests of its own.
async fn warmed(api: &LocalApi, other: &str) -> String {
    let url = format!("{}/pets/7", api.url);
    let mut answer = curl(&["-H", other, &url]).await;
    for _ in 0..5 {
        if answer.0 == "200" {
            break;
        }
        answer = curl(&["-H", other, &url]).await;
    }
    assert_eq!(answer.0, "200", "{answer:?}");
    url
}

/// A call: its status and its body.
async fn curl(arguments: &[&str]) -> (String, String) {
    let mut command = tokio::process::Command::new("curl");
    command.args(["-s", "-m", "60", "-w", "\n%{http_code}"]);
    let output = sam::run(command.args(arguments)).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

/// Moto's server, which answers as CloudFormation does.
struct Moto {
    _process: tokio::process::Child,
    url: String,
}

impl Moto {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut command = sam::command("moto_server");
        command.args(["--port", &port.to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let moto = Self {
            _process: command.spawn().unwrap(),
            url: format!("http://127.0.0.1:{port}"),
        };
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
            {
                return moto;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("moto does not listen");
    }

    /// Makes a stack with this output, and runs the command line on it.
    async fn keys_list(&self, stack: &str, output: &str, value: &str) -> std::process::Output {
        const CREATE: &str = "import boto3, json, sys; \
            _, url, stack, output, value = sys.argv; \
            template = {'Resources': {'Topic': {'Type': 'AWS::SNS::Topic'}}, 'Outputs': {output: {'Value': value}}}; \
            boto3.client('cloudformation', endpoint_url=url).create_stack(StackName=stack, TemplateBody=json.dumps(template))";
        let mut create = sam::command("python");
        sam::run(create.args(["-c", CREATE, &self.url, stack, output, value])).await;
        self.tollgate(stack).await
    }

    async fn tollgate(&self, stack: &str) -> std::process::Output {
        let mut list = tokio::process::Command::new(binary("tollgate"));
        list.args(["keys", "list", "--stack", stack])
            .env("AWS_ENDPOINT_URL_CLOUDFORMATION", &self.url)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local");
        list.output().await.unwrap()
    }
}

#[tokio::test]
#[ignore = "needs Docker and what sam build makes; ./test runs it"]
async fn the_command_line_finds_a_stack_by_its_outputs() {
    let stack = sam::template("template.yaml").await;
    assert!(stack["Outputs"]["ManagementUrl"].is_object());
    let dev = Dev::start(&[], &[]).await;
    let moto = Moto::start().await;
    let found = moto
        .keys_list("tollgate", "ManagementUrl", &dev.management)
        .await;
    assert!(
        found.status.success(),
        "{}",
        String::from_utf8_lossy(&found.stderr)
    );
    assert!(String::from_utf8_lossy(&found.stdout).starts_with("ID"));
    let other = moto.keys_list("other", "SomethingElse", "x").await;
    let error = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(error.contains("no output ManagementUrl"), "{error}");
    let none = moto.tollgate("nosuchstack").await;
    let error = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(
        error.contains("does not exist; is it deployed in this account and region"),
        "{error}"
    );
}
