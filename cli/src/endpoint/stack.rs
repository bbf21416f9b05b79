//! The management API of a deployed stack, from the stack's outputs.

use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::types::Stack;
use tollgate_dynamo::failure::chain;
use url::Url;

use crate::arguments::url::management_url as parse;
use crate::failure::EndpointError;

/// The output of Tollgate's stack that contains the management API's URL.
const OUTPUT: &str = "ManagementUrl";

/// Reads the URL from the outputs of `stack`.
pub(super) async fn management_url(sdk: &SdkConfig, stack: &str) -> Result<Url, EndpointError> {
    let unresolved = |cause: &str| {
        EndpointError::Unresolved(format!(
            "cannot read the outputs of stack {stack}: {cause}; is it deployed in this account and region, as Tollgate's \
             template?"
        ))
    };
    let description = Client::new(sdk).describe_stacks().stack_name(stack).send();
    let description = description.await.map_err(|error| {
        let message = error.message().map_or_else(|| chain(&error), str::to_owned);
        match error.code() {
            Some("AccessDenied" | "AccessDeniedException") => EndpointError::Unresolved(format!(
                "cannot read the outputs of stack {stack}: {message}; your AWS identity needs cloudformation:DescribeStacks on \
                 it; or give the stack's ManagementUrl with --url"
            )),
            _ => unresolved(&message),
        }
    })?;
    let outputs = description.stacks().iter().flat_map(Stack::outputs);
    let mut named = outputs.filter(|output| output.output_key() == Some(OUTPUT));
    let value = named.find_map(|output| output.output_value());
    let value = value.ok_or_else(|| unresolved(&format!("there is no output {OUTPUT}")))?;
    parse(value).map_err(|error| unresolved(&error))
}
