//! SigV4 signatures, which an API with AWS_IAM asks for.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::Request;
use reqwest::header::HeaderValue;
use url::Url;

use super::Error;

/// The service name that IAM has for calls to an API.
const SERVICE: &str = "execute-api";

/// Signs requests as an AWS identity.
#[derive(Debug, Clone)]
pub struct Signer {
    credentials: Credentials,
    region: String,
}

impl Signer {
    /// A signer with credentials of an identity, for an API in `region`.
    pub fn new(credentials: Credentials, region: String) -> Self {
        Self {
            credentials,
            region,
        }
    }

    /// The region that an API's own host name, `{id}.execute-api.{region}.amazonaws.com`, contains. Custom domains have none.
    pub fn region_in(url: &Url) -> Option<String> {
        let mut labels = url.host_str()?.split('.');
        labels.find(|label| *label == SERVICE)?;
        labels.next().map(str::to_owned)
    }

    /// Adds the signature's headers to a request.
    pub(super) fn sign(
        &self,
        request: &mut Request,
        body: &str,
        time: SystemTime,
    ) -> Result<(), Error> {
        let identity = self.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(SERVICE)
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .map_err(Error::request)?
            .into();
        let signable = signable(request, body)?;
        let (instructions, _) = sign(signable, &parameters)
            .map_err(Error::request)?
            .into_parts();
        let (signed, _) = instructions.into_parts();
        for header in signed {
            let mut value: HeaderValue = header.value().parse().map_err(Error::request)?;
            value.set_sensitive(header.sensitive());
            request.headers_mut().insert(header.name(), value);
        }
        Ok(())
    }
}

fn signable<'a>(request: &'a Request, body: &'a str) -> Result<SignableRequest<'a>, Error> {
    let headers = request.headers().iter();
    let headers: Vec<_> = headers
        .map(|(name, value)| value.to_str().map(|value| (name.as_str(), value)))
        .collect::<Result<_, _>>()
        .map_err(Error::request)?;
    SignableRequest::new(
        request.method().as_str(),
        request.url().as_str(),
        headers.into_iter(),
        SignableBody::Bytes(body.as_bytes()),
    )
    .map_err(Error::request)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::Method;

    use super::*;

    /// Checked against botocore's `SigV4Auth` for the same request.
    #[test]
    fn a_call_is_signed_for_execute_api() {
        let credentials = Credentials::new("AKID", "SECRET", Some("TOKEN".into()), None, "test");
        let signer = Signer::new(credentials, "eu-west-1".to_owned());
        let url =
            "https://abc.execute-api.eu-west-1.amazonaws.com/tags/arn%3Aaws%3A1?name=a%20b&limit=5";
        let mut request = Request::new(Method::POST, url.parse().expect("a URL"));
        let headers = request.headers_mut();
        headers.insert("content-type", "application/json".parse().expect("a value"));
        let time = SystemTime::UNIX_EPOCH + Duration::from_hours(498_708);
        signer
            .sign(&mut request, "{\"a\":1}", time)
            .expect("signed");
        assert_eq!(request.headers()["x-amz-date"], "20261122T120000Z");
        assert_eq!(request.headers()["x-amz-security-token"], "TOKEN");
        assert_eq!(
            request.headers()["authorization"],
            "AWS4-HMAC-SHA256 Credential=AKID/20261122/eu-west-1/execute-api/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, \
             Signature=59b21f1fe526c9f5383e3942c4e2ab182a6cbcdbb4dafb84fd59cb0e7573d73c"
        );
    }

    #[test]
    fn the_region_is_in_an_apis_own_host_name() {
        let region = |url: &str| Signer::region_in(&Url::parse(url).expect("a URL"));
        let own = "https://abc.execute-api.eu-central-1.amazonaws.com";
        assert_eq!(region(own).as_deref(), Some("eu-central-1"));
        let china = "https://abc.execute-api.cn-north-1.amazonaws.com.cn/x";
        assert_eq!(region(china).as_deref(), Some("cn-north-1"));
        assert_eq!(region("https://keys.example.com"), None);
    }
}
