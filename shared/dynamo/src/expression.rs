//! Update expressions with their conditions. [`charge`](mod@charge) expresses a charge as an update.

use std::collections::HashMap;
use std::fmt::Display;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;

pub mod charge;

/// The expressions of a request, and what their placeholders stand for.
pub(crate) struct Parts {
    pub(crate) update: String,
    pub(crate) condition: Option<String>,
    pub(crate) names: Option<HashMap<String, String>>,
    pub(crate) values: Option<HashMap<String, AttributeValue>>,
}

fn not_empty<T>(value: T, is_empty: impl Fn(&T) -> bool) -> Option<T> {
    Some(value).filter(|value| !is_empty(value))
}

/// An update under its conditions, all of which must hold.
#[derive(Debug, Clone, Default)]
pub struct Update {
    sets: Vec<String>,
    removes: Vec<String>,
    conditions: Vec<String>,
    names: Vec<String>,
    values: Vec<AttributeValue>,
}

impl Update {
    /// Returns the placeholder for an attribute name. Every name gets one, because many names are reserved words.
    pub fn name(&mut self, name: &str) -> String {
        let known = self.names.iter().position(|known| known == name);
        let number = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        format!("#{number}")
    }

    /// Returns the placeholder for a value.
    pub fn value(&mut self, value: AttributeValue) -> String {
        self.values.push(value);
        format!(":{}", self.values.len() - 1)
    }

    /// Returns the placeholder for a number.
    pub fn number(&mut self, number: impl Display) -> String {
        self.value(AttributeValue::N(number.to_string()))
    }

    /// Returns the placeholder for a text.
    pub fn text(&mut self, text: impl Display) -> String {
        self.value(AttributeValue::S(text.to_string()))
    }

    /// Sets the attribute at `path`.
    pub fn set(&mut self, path: &str, value: impl Display) {
        self.sets.push(format!("{path} = {value}"));
    }

    /// Removes the attribute at `path`.
    pub fn remove(&mut self, path: impl Into<String>) {
        self.removes.push(path.into());
    }

    /// Adds a condition.
    pub fn condition(&mut self, condition: String) {
        self.conditions.push(condition);
    }

    /// Adds the expressions to a request.
    pub fn apply(self, request: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        let parts = self.into_parts();
        request
            .update_expression(parts.update)
            .set_condition_expression(parts.condition)
            .set_expression_attribute_names(parts.names)
            .set_expression_attribute_values(parts.values)
    }

    /// The expressions, and what their placeholders stand for.
    pub(crate) fn into_parts(self) -> Parts {
        let clause = |word: &str, parts: &[String]| {
            (!parts.is_empty()).then(|| format!("{word} {}", parts.join(", ")))
        };
        let clauses = [clause("SET", &self.sets), clause("REMOVE", &self.removes)];
        let clauses: Vec<_> = clauses.into_iter().flatten().collect();
        let names = self.names.into_iter().enumerate();
        let values = self.values.into_iter().enumerate();
        Parts {
            update: clauses.join(" "),
            // DynamoDB takes neither an empty expression nor an empty map.
            condition: not_empty(self.conditions.join(" AND "), String::is_empty),
            names: not_empty(
                names.map(|(n, name)| (format!("#{n}"), name)).collect(),
                HashMap::is_empty,
            ),
            values: not_empty(
                values.map(|(n, value)| (format!(":{n}"), value)).collect(),
                HashMap::is_empty,
            ),
        }
    }
}
