//! AWS KMS, as moto's server plays it.

use std::time::Duration;

use aws_config::SdkConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;
use tollgate_dynamo::connection::sdk_config_at;

use crate::proxy::Proxy;
use crate::sam;

/// A running KMS with a key, behind a proxy.
pub struct Kms {
    _process: Child,
    /// In front of it.
    pub proxy: Proxy,
    /// The key's id.
    pub key: String,
}

impl Kms {
    /// Starts one and makes a key.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let mut command = sam::command("moto_server");
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        let process = command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let serves = async {
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), serves)
            .await
            .expect("moto serves in time");
        let proxy = Proxy::to(&format!("http://{address}")).await;
        let client = aws_sdk_kms::Client::new(&sdk_config_at(&proxy.endpoint).await);
        let created = client.create_key().send().await.unwrap();
        proxy.take_calls();
        Self {
            _process: process,
            proxy,
            key: created.key_metadata.unwrap().key_id,
        }
    }

    /// The SDK's configuration for it.
    pub async fn sdk_config(&self) -> SdkConfig {
        sdk_config_at(&self.proxy.endpoint).await
    }
}
