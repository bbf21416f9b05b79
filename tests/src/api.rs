//! The management API, called in process.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tollgate_admin::Admin;
use tollgate_keys::vault::Vault;
use tower::ServiceExt;

use crate::stores::{Kind, Store};
use crate::world::{PATIENT, admin, engine};

/// The management API on a store of its own, called in process.
pub struct Api {
    app: Router,
    /// Its store.
    pub store: Store,
}

impl Api {
    /// On a new table.
    pub async fn new(kind: Kind) -> Self {
        let store = Store::new(kind).await;
        Self::on(store).await
    }

    /// On a new table in the embedded store.
    pub async fn embedded() -> Self {
        Self::new(Kind::Embedded).await
    }

    /// On this table.
    pub async fn on(store: Store) -> Self {
        Self::with(store, Vault::off()).await
    }

    /// On this table, keeping values as `vault` does.
    pub async fn with(store: Store, vault: Vault) -> Self {
        let engine = Arc::new(engine(&store, PATIENT).await);
        let admin = Arc::new(admin(&store).await);
        let app = tollgate_keys::app(admin, engine, Arc::new(vault));
        Self { app, store }
    }

    /// On this table, with management of it.
    pub async fn managed(store: &Store) -> (Self, Admin) {
        (Self::on(store.clone()).await, admin(store).await)
    }

    /// A call: the status, the body, and the error's name.
    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> (StatusCode, Value, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::from(body))
            .unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        assert!(
            response.headers().contains_key("x-amzn-requestid"),
            "{path}"
        );
        let error = response
            .headers()
            .get("x-amzn-ErrorType")
            .map(|name| name.to_str().unwrap().to_owned());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        (status, body, error.unwrap_or_default())
    }

    /// The id that a GET is answered with.
    pub async fn request_id(&self, path: &str) -> String {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        let id = &response.headers()["x-amzn-requestid"];
        id.to_str().unwrap().to_owned()
    }

    /// A call that must be answered with this status.
    pub async fn call(&self, expected: u16, method: Method, path: &str, body: Value) -> Value {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, answer, error) = self.raw(method, path, text).await;
        assert_eq!(status.as_u16(), expected, "{path} {body}: {answer}");
        if expected >= 400 {
            assert_eq!(answer["__type"], json!(error));
            assert!(
                answer["message"]
                    .as_str()
                    .is_some_and(|message| !message.is_empty())
            );
        }
        answer
    }

    /// A GET that is answered 200.
    pub async fn get(&self, path: &str) -> Value {
        self.call(200, Method::GET, path, Value::Null).await
    }

    /// A POST that is answered 201.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.call(201, Method::POST, path, body).await
    }

    /// A DELETE that is answered 202.
    pub async fn delete(&self, path: &str) {
        self.call(202, Method::DELETE, path, Value::Null).await;
    }

    /// A PATCH of these operations, path and value each.
    pub async fn patch(&self, expected: u16, path: &str, operations: &[[&str; 3]]) -> Value {
        let operations: Vec<_> = operations
            .iter()
            .map(|[op, path, value]| json!({ "op": op, "path": path, "value": value }))
            .collect();
        self.call(
            expected,
            Method::PATCH,
            path,
            json!({ "patchOperations": operations }),
        )
        .await
    }

    /// What the holder of a key is told: the status and the body.
    pub async fn whoami(&self, key: Option<&str>) -> (u16, Value) {
        let headers: Vec<_> = key.into_iter().map(|key| ("x-api-key", key)).collect();
        self.whoami_with(&headers).await
    }

    /// As [`whoami`](Self::whoami), by these headers.
    pub async fn whoami_with(&self, headers: &[(&str, &str)]) -> (u16, Value) {
        let mut request = Request::get("/whoami");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// A new key; its id.
    pub async fn key(&self, body: Value) -> String {
        text(&self.post("/apikeys", body).await["id"])
    }
}

/// A string's text.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The ids of a list's entries.
pub fn ids(list: &Value) -> Vec<String> {
    list["item"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| text(&item["id"]))
        .collect()
}

/// The names of an object's members.
pub fn members(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}
