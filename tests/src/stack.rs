//! A deployed stack that is in use, and what docs/operations.md says of it.

use std::fs;

use serde_json::Value;

use crate::deploy::{Aws, Release, User, said};
use crate::sam;

/// A stack with the sample API, and a key that it admits.
pub struct Deployed {
    /// Where it is.
    pub aws: Aws,
    /// Who may manage its keys.
    pub admin: User,
    /// A resource of the sample API.
    pub url: String,
    plan: String,
    /// The key.
    pub key: String,
}

impl Deployed {
    /// Deploys a release, and makes the key.
    pub async fn new(release: &Release) -> Self {
        let aws = Aws::start().await;
        aws.build(release).await;
        aws.deploy("--parameter-overrides SampleApi=on").await;
        let admin = aws.user("admin", &documented_policy(&aws).await).await;
        let url = aws.output("tollgate", "SampleUrl").await;
        let api = url.strip_prefix("https://").unwrap();
        let stage = format!("'{}:$default'", api.split('.').next().unwrap());
        // Enough for a test that asks again and again.
        let plan = format!(
            "plans create --stack tollgate --name Basic --stage {stage} --rate 100 --burst 100"
        );
        let plan = aws.cli(&admin, &plan).await;
        let mut deployed = Self {
            aws,
            admin,
            url: format!("{url}/pets"),
            plan: plan["id"].as_str().unwrap().to_owned(),
            key: String::new(),
        };
        (_, deployed.key) = deployed.new_key("first").await;
        deployed.goes_on().await;
        deployed
    }

    /// Makes a key under the plan: its id and its value.
    pub async fn new_key(&self, name: &str) -> (String, String) {
        let plan = &self.plan;
        let create = format!("keys create --stack tollgate --name {name} --plan {plan}");
        let key = self.aws.cli(&self.admin, &create).await;
        let part = |member: &str| key[member].as_str().unwrap().to_owned();
        (part("id"), part("value"))
    }

    /// Its key is admitted, and nobody without one.
    pub async fn goes_on(&self) {
        self.aws.wait_for_status("200", &self.url, &self.key).await;
        let status = self.aws.status(&self.url, None).await;
        assert_eq!(status, "403", "a request without a key");
    }

    /// The version that APIs call.
    pub async fn live(&self) -> String {
        let arn = self.aws.output("tollgate", "AuthorizerArn").await;
        let function = arn.strip_suffix(":live").expect("it names the alias");
        let get = "aws lambda get-alias --name live --query FunctionVersion --output text";
        self.aws
            .run(&format!("{get} --function-name {function}"))
            .await
    }

    /// Asserts that what was built cannot be deployed for this reason, and that the stack goes on as it was.
    pub async fn refuses_deployment(&self, reason: &str) {
        let describe = "aws cloudformation describe-stack-events --stack-name tollgate";
        let events = async || self.aws.run(describe).await.matches(reason).count();
        let before = events().await;
        let output = self.aws.try_run("sam deploy --no-progressbar").await;
        assert!(!output.status.success(), "{}", said(&output));
        assert!(events().await > before, "{reason}: {}", said(&output));
        let status = "aws cloudformation describe-stacks --stack-name tollgate --output text \
                      --query 'Stacks[0].StackStatus'";
        assert_eq!(self.aws.run(status).await, "UPDATE_ROLLBACK_COMPLETE");
        self.goes_on().await;
    }
}

/// The policy that docs/operations.md gives to who manages keys.
pub async fn documented_policy(aws: &Aws) -> Value {
    let arn = aws.output("tollgate", "ManagementInvokeArn").await;
    let policy = documented("cloudformation:DescribeStacks")
        .replace("<ManagementInvokeArn>", &arn)
        .replace("<region>", "us-east-1")
        .replace("<account>", arn.split(':').nth(4).unwrap());
    serde_json::from_str(&policy).unwrap()
}

/// The one block of code in docs/operations.md that has this text in it.
pub fn documented(text: &str) -> String {
    let docs = fs::read_to_string(sam::root().join("docs/operations.md")).unwrap();
    // Every second part lies between fences; its first line is the language.
    let blocks = docs.split("```").skip(1).step_by(2);
    let mut found = blocks.filter(|block| block.contains(text));
    let block = found
        .next()
        .unwrap_or_else(|| panic!("no block has {text:?}"));
    assert!(found.next().is_none(), "several blocks have {text:?}");
    block.split_once('\n').unwrap().1.to_owned()
}
