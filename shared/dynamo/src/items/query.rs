//! Queries of one partition, of the table or of an index.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;

use super::Items;
use crate::failure::Failure;
use crate::item::Item;
use crate::schema::{Index, PK, SK};

/// The items of one partition whose sort keys lie in a range, in ascending order.
#[derive(Debug, Clone)]
pub struct Query {
    /// The index; `None` for the table itself, which is read consistently.
    index: Option<Index>,
    partition: String,
    range: Range,
    attributes: &'static [&'static str],
    is_descending: bool,
}

/// A range of sort keys.
#[derive(Debug, Clone)]
pub enum Range {
    /// Those that start with this.
    Prefix(String),
    /// Those between these two, both included.
    Between(String, String),
}

impl Query {
    /// Queries the table.
    pub fn table(partition: String, range: Range) -> Self {
        Self {
            index: None,
            partition,
            range,
            attributes: &[],
            is_descending: false,
        }
    }

    /// Queries an index.
    pub fn index(index: Index, partition: String, range: Range) -> Self {
        Self {
            index: Some(index),
            ..Self::table(partition, range)
        }
    }

    /// Reads only these attributes.
    #[must_use]
    pub fn only(self, attributes: &'static [&'static str]) -> Self {
        Self { attributes, ..self }
    }

    /// Reads in descending order of sort keys, if `is_descending`.
    #[must_use]
    pub fn descending(self, is_descending: bool) -> Self {
        Self {
            is_descending,
            ..self
        }
    }

    fn apply(&self, request: QueryFluentBuilder) -> QueryFluentBuilder {
        let (pk, sk) = self.index.map_or((PK, SK), |index| (index.pk, index.sk));
        let (low, high, condition) = match self.range.clone() {
            Range::Prefix(prefix) => (prefix, None, "begins_with(#sk, :low)"),
            Range::Between(low, high) => (low, Some(high), "#sk BETWEEN :low AND :high"),
        };
        let mut request = request
            .set_index_name(self.index.map(|index| index.name.to_owned()))
            .consistent_read(self.index.is_none())
            .key_condition_expression(format!("#pk = :pk AND {condition}"))
            .expression_attribute_names("#pk", pk)
            .expression_attribute_names("#sk", sk)
            .expression_attribute_values(":pk", AttributeValue::S(self.partition.clone()))
            .expression_attribute_values(":low", AttributeValue::S(low))
            .scan_index_forward(!self.is_descending);
        if let Some(high) = high {
            request = request.expression_attribute_values(":high", AttributeValue::S(high));
        }
        if self.attributes.is_empty() {
            return request;
        }
        let names = (0..self.attributes.len()).map(|number| format!("#{number}"));
        let projection = names.clone().collect::<Vec<_>>().join(", ");
        for (name, attribute) in names.zip(self.attributes) {
            request = request.expression_attribute_names(name, *attribute);
        }
        request.projection_expression(projection)
    }
}

impl Items {
    /// Runs a query to its end.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn query(&self, query: &Query) -> Result<Vec<Item>, Failure> {
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let (page, next) = self.query_page(query, start, None).await?;
            items.extend(page);
            start = next;
            if start.is_none() {
                return Ok(items);
            }
        }
    }

    /// Reads one page of a query from `start` on, with at most `limit` items, and where the next page starts.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn query_page(
        &self,
        query: &Query,
        start: Option<Item>,
        limit: Option<i32>,
    ) -> Result<(Vec<Item>, Option<Item>), Failure> {
        let request = self.client().query().table_name(&self.table);
        let request = query
            .apply(request)
            .set_limit(limit)
            .set_exclusive_start_key(start);
        let response = request.send().await?;
        Ok((
            response.items.unwrap_or_default(),
            response.last_evaluated_key,
        ))
    }
}
