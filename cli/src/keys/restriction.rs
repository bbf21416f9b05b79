//! Which stages and methods a key may call, of those that its plans open.

use std::str::FromStr;

use serde_json::{Value, json};
use tollgate_core::id::StageId;

use crate::arguments::method::{Method, by_stage, stage};

/// A whole stage, or one method of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Only {
    Stage(StageId),
    Method(Method),
}

impl FromStr for Only {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            text.parse().map(Self::Method)
        } else {
            stage(text).map(Self::Stage)
        }
    }
}

/// A restriction in a body of the API: lists of methods by stage. An empty list opens the whole stage, whatever else is given for
/// it.
pub(super) fn restriction(only: &[Only]) -> Value {
    let methods = only.iter().filter_map(|only| match only {
        Only::Method(method) => Some(method),
        Only::Stage(_) => None,
    });
    let mut stages = by_stage(methods);
    for only in only {
        if let Only::Stage(stage) = only {
            stages.insert(stage, Vec::new());
        }
    }
    json!(stages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restriction_lists_methods_by_stage_and_a_stage_alone_is_open_whole() {
        let only = |texts: &[&str]| -> Value {
            let only: Vec<Only> = texts.iter().map(|text| text.parse().expect(text)).collect();
            restriction(&only)
        };
        assert_eq!(
            only(&["a:prod/pets/GET", "a:prod/pets/{id}/ANY", "b:dev"]),
            json!({ "a:prod": ["/pets/GET", "/pets/{id}/ANY"], "b:dev": [] })
        );
        assert_eq!(
            only(&["a:prod/pets/GET", "a:prod"]),
            json!({ "a:prod": [] })
        );
        for wrong in ["", "a", "a/pets/GET", "a:prod/GET"] {
            assert!(wrong.parse::<Only>().is_err(), "{wrong}");
        }
    }
}
