//! ARNs of methods and routes: `arn:{partition}:execute-api:{region}:{account}:{apiId}/{stage}/{METHOD}/{path...}`.

/// The ARN of a method or a route, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodArn<'a> {
    text: &'a str,
    /// Where the text after the stage begins.
    rest: usize,
    /// The API.
    pub api_id: &'a str,
    /// The API's stage.
    pub stage: &'a str,
    /// The method; for a WebSocket API the route, `$connect`.
    pub method: &'a str,
    /// The path without its first slash, encoded as the client has encoded it.
    pub path: &'a str,
}

impl<'a> MethodArn<'a> {
    /// Takes an ARN apart; `None` if it has another form.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut fields = text.splitn(6, ':');
        let (arn, _, service) = (fields.next()?, fields.next()?, fields.next()?);
        if arn != "arn" || service != "execute-api" {
            return None;
        }
        let resource = fields.nth(2)?;
        let mut parts = resource.splitn(4, '/');
        let (api_id, stage) = (parts.next()?, parts.next()?);
        let (method, path) = (parts.next()?, parts.next().unwrap_or_default());
        let start = text.len() - resource.len();
        let known = [api_id, stage, method].iter().all(|part| !part.is_empty());
        known.then_some(Self {
            text,
            rest: start + api_id.len() + 1 + stage.len() + 1,
            api_id,
            stage,
            method,
            path,
        })
    }

    /// The ARN itself.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The ARN of another method of the same stage. `path` has no slash in front.
    pub fn method(&self, method: &str, path: &str) -> String {
        format!("{}{method}/{path}", &self.text[..self.rest])
    }

    /// The ARN of everything in the stage.
    pub fn whole_stage(&self) -> String {
        format!("{}*", &self.text[..self.rest])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_taken_apart_and_widened_to_its_stage() {
        let arn = MethodArn::parse(
            "arn:aws-cn:execute-api:cn-north-1:123456789012:abc/prod/GET/pets/a:b/c",
        )
        .expect("an ARN");
        assert_eq!((arn.api_id, arn.stage), ("abc", "prod"));
        assert_eq!((arn.method, arn.path), ("GET", "pets/a:b/c"));
        assert_eq!(
            arn.whole_stage(),
            "arn:aws-cn:execute-api:cn-north-1:123456789012:abc/prod/*"
        );
    }

    #[test]
    fn a_path_may_be_missing_and_nothing_else() {
        let connect = MethodArn::parse("arn:aws:execute-api:r:1:abc/test/$connect");
        let connect = connect.expect("an ARN");
        assert_eq!((connect.method, connect.path), ("$connect", ""));
        for text in [
            "",
            "abc/prod/GET/",
            "arn:aws:lambda:r:1:function:f",
            "arn:aws:execute-api:r:1:abc/prod",
            "arn:aws:execute-api:r:1:abc//GET/pets",
            "arn:aws:execute-api:r:1:/prod/GET/pets",
            "arn:aws:execute-api:r:1",
        ] {
            assert_eq!(MethodArn::parse(text), None, "{text}");
        }
    }
}
