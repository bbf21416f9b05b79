//! API stages and their methods.

use std::collections::BTreeMap;
use std::str::FromStr;

use tollgate_core::id::StageId;

/// An API stage, `apiId:stage`.
pub(crate) fn stage(text: &str) -> Result<StageId, String> {
    text.parse()
        .map_err(|_| "expected the API's id and its stage, such as abc123:prod".to_owned())
}

/// A method of a stage: `apiId:stage/path/METHOD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Method {
    pub(crate) stage: StageId,
    /// `/path/METHOD`, as plans name it.
    pub(crate) template: String,
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let slash = text
            .find('/')
            .filter(|slash| text[slash + 1..].contains('/'));
        let (stage, template) = text.split_at(slash.ok_or(
            "expected API:STAGE/PATH/METHOD, such as abc123:prod/pets/{id}/GET, or abc123:prod//GET for the root",
        )?);
        Ok(Self {
            stage: self::stage(stage)?,
            template: template.to_owned(),
        })
    }
}

impl Method {
    /// The PATCH path of its throttle, with its own path escaped as in JSON Pointer.
    pub(crate) fn patch_path(&self) -> String {
        let (path, method) = self.template.rsplit_once('/').unwrap_or_default();
        let path = if path.is_empty() { "/" } else { path };
        let path = path.replace('~', "~0").replace('/', "~1");
        format!("/apiStages/{}/throttle/{path}/{method}", self.stage)
    }
}

/// Templates of methods by their stages.
pub(crate) fn by_stage<'a>(
    methods: impl IntoIterator<Item = &'a Method>,
) -> BTreeMap<&'a StageId, Vec<&'a str>> {
    let mut stages: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for method in methods {
        let templates = stages.entry(&method.stage).or_default();
        templates.push(method.template.as_str());
    }
    stages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_named_as_plans_and_patches_name_it() {
        for (text, template, path) in [
            (
                "abc:prod/pets/{id}/GET",
                "/pets/{id}/GET",
                "/apiStages/abc:prod/throttle/~1pets~1{id}/GET",
            ),
            (
                "abc:$default//ANY",
                "//ANY",
                "/apiStages/abc:$default/throttle/~1/ANY",
            ),
        ] {
            let method: Method = text.parse().expect("a method");
            assert_eq!(method.template, template);
            assert_eq!(method.patch_path(), path);
        }
    }
}
