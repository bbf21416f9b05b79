//! Passes the `Date` of every answer to the clock.

use std::sync::Arc;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use jiff::Timestamp;

use crate::clock::Clock;

/// An interceptor that passes the `Date` of every answer to the clock.
#[derive(Debug)]
pub(super) struct DateHeader(pub(super) Arc<Clock>);

/// When a call was sent, by our own clock.
#[derive(Debug)]
struct SentAt(Timestamp);

impl Storable for SentAt {
    type Storer = StoreReplace<Self>;
}

impl Intercept for DateHeader {
    fn name(&self) -> &'static str {
        "DateHeader"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        call: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let sent = SentAt(self.0.uncorrected());
        call.interceptor_state().store_put(sent);
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        call: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response: &HttpResponse = context.response();
        let sent = call.load::<SentAt>();
        if let (Some(date), Some(SentAt(sent))) = (response.headers().get("date"), sent) {
            self.0.observe(date, *sent);
        }
        Ok(())
    }
}
