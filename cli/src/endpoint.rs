//! Which management API a command calls, and how its calls are signed.
//!
//! The command line goes before the environment, and a URL before a stack whose outputs contain the URL. Calls to this machine
//! are not signed; all others are, with the credentials that the AWS CLI would use.

use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use clap::Args;
use tollgate_api::client::{Client, Signer};
use tollgate_dynamo::connection::{is_loopback, sdk_loader};
use tollgate_dynamo::failure::chain;
use url::Url;

use crate::api_options::HEADING;
use crate::arguments::url::management_url;
use crate::failure::{EndpointError, Failure};

mod stack;

const HELP_URL: &str =
    "URL of the management API, http://127.0.0.1:3001 for `tollgate dev` [env: TOLLGATE_URL]";
const HELP_STACK: &str =
    "CloudFormation stack whose outputs name the management API [env: TOLLGATE_STACK]";

/// The options that name the management API, and the identity that calls it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct Endpoint {
    #[arg(long, value_name = "URL", global = true, value_parser = management_url, help = HELP_URL)]
    url: Option<Url>,
    #[arg(long, value_name = "NAME", global = true, conflicts_with = "url", help = HELP_STACK)]
    stack: Option<String>,
    #[arg(
        long,
        value_name = "NAME",
        global = true,
        help = "AWS profile to sign calls with [env: AWS_PROFILE]"
    )]
    profile: Option<String>,
    #[arg(
        long,
        value_name = "REGION",
        global = true,
        help = "AWS region of the stack [env: AWS_REGION]"
    )]
    region: Option<String>,
}

/// How the API is named.
enum Named {
    Url(Url),
    Stack(String),
}

/// An API's URL, and the SDK configuration if finding it took one.
struct Resolved {
    url: Url,
    sdk: Option<SdkConfig>,
}

impl Endpoint {
    /// A client that calls as the AWS identity that the SDK's credential chain finds.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        let Resolved { url, sdk } = self.resolve().await?;
        if is_loopback(url.as_str()) {
            return Ok(Client::unsigned(url)?);
        }
        let sdk = match sdk {
            Some(sdk) => sdk,
            None => self.sdk_config().await,
        };
        let signer = signer(&url, &sdk).await?;
        Ok(Client::signed(url, signer)?)
    }

    /// A client that calls as the holder of a key, who needs no AWS identity.
    pub(crate) async fn client_as_key_holder(&self, key: &str) -> Result<Client, Failure> {
        let Resolved { url, .. } = self.resolve().await?;
        Ok(Client::for_key_holder(url, key)?)
    }

    /// The SDK's configuration, from its own sources where the options do not say otherwise.
    async fn sdk_config(&self) -> SdkConfig {
        let mut loader = sdk_loader();
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        loader.load().await
    }

    async fn resolve(&self) -> Result<Resolved, EndpointError> {
        match self.named()? {
            Named::Url(url) => Ok(Resolved { url, sdk: None }),
            Named::Stack(stack) => {
                let sdk = self.sdk_config().await;
                let url = stack::management_url(&sdk, &stack).await?;
                let sdk = Some(sdk);
                Ok(Resolved { url, sdk })
            }
        }
    }

    fn named(&self) -> Result<Named, EndpointError> {
        match (&self.url, &self.stack) {
            (Some(url), _) => Ok(Named::Url(url.clone())),
            (None, Some(stack)) => Ok(Named::Stack(stack.clone())),
            (None, None) => Named::from_env(),
        }
    }
}

impl Named {
    fn from_env() -> Result<Self, EndpointError> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let not_named = |text: &str| EndpointError::NotNamed(text.to_owned());
        match (variable("TOLLGATE_URL"), variable("TOLLGATE_STACK")) {
            (Some(url), None) => management_url(&url)
                .map(Self::Url)
                .map_err(|error| not_named(&format!("TOLLGATE_URL: {error}"))),
            (None, Some(stack)) => Ok(Self::Stack(stack)),
            (Some(_), Some(_)) => Err(not_named(
                "both TOLLGATE_URL and TOLLGATE_STACK are set; expected one",
            )),
            (None, None) => Err(not_named(
                "which Tollgate? Give --stack NAME (or TOLLGATE_STACK) for a deployed one, or --url \
                 http://127.0.0.1:3001 (or TOLLGATE_URL) for `tollgate dev`",
            )),
        }
    }
}

/// The signer of the SDK's own identity. The region is the one in an API's own host name, or else the configured one.
async fn signer(url: &Url, sdk: &SdkConfig) -> Result<Signer, EndpointError> {
    let unresolved = |cause: &str| {
        EndpointError::Unresolved(format!(
            "cannot sign calls to {url}: {cause}; see `aws configure`, or give --profile and --region"
        ))
    };
    let provider = sdk.credentials_provider();
    let provider = provider.ok_or_else(|| unresolved("no AWS credentials are configured"))?;
    let credentials = provider.provide_credentials().await;
    let credentials = credentials.map_err(|error| unresolved(&without_credentials(&error)))?;
    let configured = || sdk.region().map(ToString::to_string);
    let region = Signer::region_in(url).or_else(configured);
    let region = region.ok_or_else(|| unresolved("no AWS region is configured"))?;
    Ok(Signer::new(credentials, region))
}

/// Why there are no credentials. If no source has any, the chain of causes is a list of all the sources.
fn without_credentials(error: &CredentialsError) -> String {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => "no AWS credentials are configured".to_owned(),
        error => chain(error),
    }
}
