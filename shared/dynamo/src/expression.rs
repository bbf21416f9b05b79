//! Update expressions with their conditions. [`charge`](mod@charge) expresses a charge as an update.

use std::fmt::Display;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;

pub mod charge;

/// An update with its conditions, all of which must hold.
#[derive(Debug, Default)]
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
        let clause = |word: &str, parts: &[String]| {
            (!parts.is_empty()).then(|| format!("{word} {}", parts.join(", ")))
        };
        let clauses = [clause("SET", &self.sets), clause("REMOVE", &self.removes)];
        let expression: Vec<_> = clauses.into_iter().flatten().collect();
        let names = self.names.into_iter().enumerate();
        // DynamoDB rejects an empty map.
        let values = (!self.values.is_empty()).then(|| self.values.into_iter().enumerate());
        request
            .update_expression(expression.join(" "))
            .condition_expression(self.conditions.join(" AND "))
            .set_expression_attribute_names(Some(
                names.map(|(n, name)| (format!("#{n}"), name)).collect(),
            ))
            .set_expression_attribute_values(
                values.map(|values| values.map(|(n, value)| (format!(":{n}"), value)).collect()),
            )
    }
}
