//! Which management API a command talks to, and how its calls are signed.

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::types::Stack;
use clap::Args;
use tollgate_dynamo::connection::{is_loopback, sdk_config};
use tollgate_dynamo::failure::chain;
use url::Url;

use crate::api::CallError;

/// The output of Tollgate's stack that names its management API.
const OUTPUT: &str = "ManagementUrl";

/// The management API to talk to.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// The management API's URL; of `tollgate dev`, <http://127.0.0.1:3001>. Without it, `TOLLGATE_URL`
    #[arg(long, value_name = "URL", global = true, value_parser = management_url)]
    url: Option<Url>,
    /// The CloudFormation stack that Tollgate was deployed as; its outputs name the URL. Without it, `TOLLGATE_STACK`
    #[arg(long, value_name = "NAME", global = true, conflicts_with = "url")]
    stack: Option<String>,
}

/// How the API is named: what the command line says goes before what the environment says.
enum Named {
    Url(Url),
    Stack(String),
}

/// A management API, found.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its URL.
    pub(crate) url: Url,
    /// What calls are signed with; none for an API on this machine, and for a key's holder.
    pub(crate) signer: Option<Signer>,
}

/// What SigV4 needs to know.
#[derive(Debug)]
pub(crate) struct Signer {
    pub(crate) credentials: Credentials,
    pub(crate) region: String,
}

impl Place {
    /// Finds the API, and the credentials for it by the SDK's own chain.
    pub(crate) async fn find(&self) -> Result<Found, CallError> {
        let (url, sdk) = match self.named()? {
            Named::Url(url) if is_loopback(url.as_str()) => return Ok(Found::unsigned(url)),
            Named::Url(url) => (url, sdk_config().await),
            Named::Stack(stack) => {
                let sdk = sdk_config().await;
                (url_of_stack(&sdk, &stack).await?, sdk)
            }
        };
        if is_loopback(url.as_str()) {
            return Ok(Found::unsigned(url));
        }
        Found::signed(url, &sdk).await
    }

    /// Finds the API for calls that are not signed: those that a key's holder makes.
    pub(crate) async fn find_unsigned(&self) -> Result<Found, CallError> {
        match self.named()? {
            Named::Url(url) => Ok(Found::unsigned(url)),
            Named::Stack(stack) => {
                let url = url_of_stack(&sdk_config().await, &stack).await?;
                Ok(Found::unsigned(url))
            }
        }
    }

    fn named(&self) -> Result<Named, CallError> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (&self.url, &self.stack) {
            (Some(url), _) => return Ok(Named::Url(url.clone())),
            (None, Some(stack)) => return Ok(Named::Stack(stack.clone())),
            (None, None) => {}
        }
        let no_place = |text: &str| CallError::NoPlace(text.to_owned());
        match (variable("TOLLGATE_URL"), variable("TOLLGATE_STACK")) {
            (Some(url), None) => management_url(&url)
                .map(Named::Url)
                .map_err(|error| no_place(&format!("TOLLGATE_URL: {error}"))),
            (None, Some(stack)) => Ok(Named::Stack(stack)),
            (Some(_), Some(_)) => Err(no_place(
                "both TOLLGATE_URL and TOLLGATE_STACK are set; expected one",
            )),
            (None, None) => Err(no_place(
                "which Tollgate? Give --stack NAME (or TOLLGATE_STACK) for a deployed one, or --url \
                 http://127.0.0.1:3001 (or TOLLGATE_URL) for `tollgate dev`",
            )),
        }
    }
}

impl Found {
    /// One that takes calls without a signature.
    fn unsigned(url: Url) -> Self {
        Self { url, signer: None }
    }

    async fn signed(url: Url, sdk: &SdkConfig) -> Result<Self, CallError> {
        let no_way = |cause: &str| {
            CallError::NoWay(format!(
                "cannot sign calls to {url}: {cause}; see `aws configure`, or set AWS_PROFILE or AWS_REGION"
            ))
        };
        let provider = sdk.credentials_provider();
        let provider = provider.ok_or_else(|| no_way("no AWS credentials are configured"))?;
        let credentials = provider.provide_credentials().await;
        let credentials = credentials.map_err(|error| no_way(&chain(&error)))?;
        let configured = || sdk.region().map(ToString::to_string);
        let region = region_in(&url).or_else(configured);
        let region = region.ok_or_else(|| no_way("no AWS region is configured"))?;
        let signer = Some(Signer {
            credentials,
            region,
        });
        Ok(Self { url, signer })
    }
}

/// The region in `{id}.execute-api.{region}.amazonaws.com`.
fn region_in(url: &Url) -> Option<String> {
    let mut labels = url.host_str()?.split('.');
    labels.find(|label| *label == "execute-api")?;
    labels.next().map(str::to_owned)
}

async fn url_of_stack(sdk: &SdkConfig, stack: &str) -> Result<Url, CallError> {
    let no_way = |cause: &str| {
        CallError::NoWay(format!(
            "cannot read the outputs of stack {stack}: {cause}; is it deployed in this account and region, as Tollgate's \
             template?"
        ))
    };
    let client = aws_sdk_cloudformation::Client::new(sdk);
    let answer = client.describe_stacks().stack_name(stack).send().await;
    let answer = answer.map_err(|error| {
        let message = error.message().map_or_else(|| chain(&error), str::to_owned);
        match error.code() {
            Some("AccessDenied" | "AccessDeniedException") => CallError::NoWay(format!(
                "cannot read the outputs of stack {stack}: {message}; your AWS identity needs cloudformation:DescribeStacks on \
                 it; or give the stack's ManagementUrl with --url"
            )),
            _ => no_way(&message),
        }
    })?;
    let outputs = answer.stacks().iter().flat_map(Stack::outputs);
    let mut named = outputs.filter(|output| output.output_key() == Some(OUTPUT));
    let value = named.find_map(|output| output.output_value());
    let value = value.ok_or_else(|| no_way(&format!("there is no output {OUTPUT}")))?;
    management_url(value).map_err(|error| no_way(&error))
}

fn management_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => Ok(url),
        _ => Err("expected a URL such as http://127.0.0.1:3001".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_in_an_apis_own_host_name() {
        let region = |url: &str| region_in(&Url::parse(url).expect("a URL"));
        let own = "https://abc.execute-api.eu-central-1.amazonaws.com";
        assert_eq!(region(own).as_deref(), Some("eu-central-1"));
        let china = "https://abc.execute-api.cn-north-1.amazonaws.com.cn/x";
        assert_eq!(region(china).as_deref(), Some("cn-north-1"));
        assert_eq!(region("https://keys.example.com"), None);
    }
}
