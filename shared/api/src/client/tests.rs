//! The client against a server that gives prepared answers, one to a connection.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Access, Client, Error};

/// The request lines that a server has seen.
type Seen = Arc<Mutex<Vec<String>>>;

async fn server(answers: Vec<(u16, &'static str)>) -> (Client, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/base", listener.local_addr().expect("an address"));
    let seen = Seen::default();
    let lines = Arc::clone(&seen);
    tokio::spawn(async move {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = vec![0; 4_096];
            let length = stream.read(&mut request).await.expect("a request");
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let line = request.lines().next().unwrap_or_default().to_owned();
            lines.lock().expect("no panic").push(line);
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream
                .write_all(answer.as_bytes())
                .await
                .expect("an answer");
        }
    });
    let client = Client::unsigned(url.parse().expect("a URL")).expect("a client");
    (client, seen)
}

fn lines(seen: &Seen) -> Vec<String> {
    seen.lock().expect("no panic").clone()
}

#[tokio::test]
async fn a_list_is_read_page_by_page_until_its_limit() {
    let pages = vec![
        (200, r#"{"item":[1,2],"position":"p 2"}"#),
        (200, r#"{"item":[3,4],"position":"p3"}"#),
    ];
    let (client, seen) = server(pages).await;
    let list = client.list::<u8>(&["keys", "a/b"], &[("name", "x"), ("none", "")], Some(3));
    assert_eq!(list.await.expect("a list"), [1, 2, 3]);
    assert_eq!(
        lines(&seen),
        [
            "GET /base/keys/a%2Fb?name=x&limit=500 HTTP/1.1",
            "GET /base/keys/a%2Fb?name=x&limit=500&position=p%202 HTTP/1.1",
        ]
    );
}

#[tokio::test]
async fn a_list_without_entries_is_empty() {
    for answer in ["{}", r#"{"item":null}"#, r#"{"item":[]}"#] {
        let (client, _) = server(vec![(200, answer)]).await;
        let list = client.list::<u8>(&["keys"], &[], None);
        assert!(list.await.expect("a list").is_empty(), "{answer}");
    }
}

#[tokio::test]
async fn pages_end_where_no_position_follows() {
    let (client, _) = server(vec![
        (200, r#"{"values":{"a":1},"position":"2"}"#),
        (200, r#"{"values":{"b":2},"position":null}"#),
    ])
    .await;
    let mut pages = client.pages::<Value>(&["usage"], &[]).expect("pages");
    assert_eq!(
        pages.next().await.expect("a page").expect("a first")["values"],
        json!({ "a": 1 })
    );
    assert_eq!(
        pages.next().await.expect("a page").expect("a second")["values"],
        json!({ "b": 2 })
    );
    assert!(pages.next().await.expect("an end").is_none());
}

#[tokio::test]
async fn reads_are_repeated_if_asked_for_and_changes_never() {
    let (client, seen) = server(vec![(503, "{}"), (429, "{}"), (200, "[]")]).await;
    let client = client.with_read_attempts(3);
    let read: Vec<u8> = client.get(&["a"], &[]).await.expect("the third answer");
    assert_eq!((read.len(), lines(&seen).len()), (0, 3));
    let (client, seen) = server(vec![(503, "{}"), (200, "[]")]).await;
    let client = client.with_read_attempts(3);
    let changed = client.post::<Value>(&["a"], &json!({})).await;
    assert!(changed.is_err_and(|error| error.may_pass()));
    assert_eq!(lines(&seen).len(), 1);
}

#[tokio::test]
async fn what_is_no_answer_of_the_api_is_told_from_its_refusals() {
    let (client, _) = server(vec![
        (404, r#"{"message":"none"}"#),
        (200, "<html>"),
        (200, r#"{"a":1}"#),
        (404, "<html>"),
        (202, ""),
    ])
    .await;
    let refused = client.get::<Value>(&["a"], &[]).await.expect_err("a 404");
    assert!(refused.is_not_found());
    let Error::Refused(refusal) = refused else {
        panic!("expected a refusal");
    };
    assert_eq!(refusal.access, Access::Unsigned);
    assert_eq!(refusal.message, "none");
    let other = client.get::<Value>(&["a"], &[]).await;
    assert!(matches!(other, Err(Error::UnexpectedResponse { .. })));
    let shape = client.get::<Vec<u8>>(&["a"], &[]).await;
    assert!(matches!(shape, Err(Error::UnexpectedResponse { .. })));
    let nothing = client.get::<Value>(&["a"], &[]).await;
    assert!(matches!(nothing, Err(Error::UnexpectedResponse { .. })));
    client.delete(&["a"]).await.expect("no body is needed");
}

#[tokio::test]
async fn an_address_where_nothing_listens_is_unreachable() {
    let client = Client::unsigned("http://127.0.0.1:1".parse().expect("a URL")).expect("a client");
    let outcome = client.get::<Value>(&["a"], &[]).await;
    assert!(matches!(outcome, Err(Error::Unreachable { .. })));
}

#[test]
fn a_client_does_not_show_a_key_to_a_log() {
    let url = || "http://127.0.0.1:1".parse().expect("a URL");
    let client = Client::for_key_holder(url(), "a-value").expect("a client");
    assert!(!format!("{client:?}").contains("a-value"));
    assert!(matches!(
        Client::for_key_holder(url(), "a\nb"),
        Err(Error::InvalidKey)
    ));
}
