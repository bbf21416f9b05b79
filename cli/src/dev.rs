//! `tollgate dev`: a local gateway, the management API, and an embedded DynamoDB where no endpoint is given.
//!
//! - [`server`]: listening and serving. [`demo`]: plans and keys to try at once.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use axum::Router;
use clap::Args;
use dynoxide::Database;
use tollgate_admin::Admin;
use tollgate_authorizer::Authorizer;
use tollgate_authorizer::config::{Config, OnLimit, RestResponse};
use tollgate_core::id::StageId;
use tollgate_dynamo::connection::{Connection, is_loopback};
use tollgate_dynamo::schema;
use tollgate_dynamo::table::Table;
use tollgate_engine::{Engine, Settings};
use tollgate_guard::Gate;
use tollgate_keys::vault::Vault;

use crate::failure::Failure;
use crate::gateway::{self, Api, Backend};
use crate::output::announce;
use crate::store::StoreArguments;

mod demo;
mod server;

use server::{interrupted, listen, serve, url};

/// `tollgate dev`.
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Where the gateway listens; 0 takes a free port
    #[arg(long, default_value_t = 3000, value_name = "PORT")]
    gateway_port: u16,
    /// Where the management API listens; 0 takes a free port
    #[arg(long, default_value_t = 3001, value_name = "PORT")]
    management_port: u16,
    /// Where the embedded DynamoDB listens; 0 takes a free port
    #[arg(long, default_value_t = 8000, value_name = "PORT")]
    dynamodb_port: u16,
    #[command(flatten)]
    store: StoreArguments,
    /// Make two plans with a key each, and show how to call them
    #[arg(long)]
    demo: bool,
    /// Keep values of keys so that they can be shown again, encrypted by a key that is no secret. Only on this machine
    #[arg(long)]
    retrievable: bool,
    /// What the gateway answers as
    #[arg(long, value_enum, default_value = "http")]
    api: Api,
    /// The backend that admitted requests go to (http://...); without one they are echoed
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
}

impl Dev {
    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        let config = self.config()?;
        let backend = Backend::new(self.upstream.as_deref(), &config.deciding.key_sources)?;
        let gateway = listen("gateway", self.gateway_port).await?;
        let management = listen("management", self.management_port).await?;
        let endpoint = match self.store.endpoint() {
            Some(endpoint) => endpoint,
            None => self.embed().await?,
        };
        let vault = Arc::new(self.vault(&endpoint)?);
        let sdk = self.store.sdk_config().await;
        schema::create_if_missing(&Client::new(&sdk), &self.store.table)
            .await
            .map_err(|error| format!("{error}; is DynamoDB running at {endpoint}?"))?;

        let (gateway_url, management_url) = (url(&gateway)?, url(&management)?);
        let admin = Admin::new(Connection::managing(&sdk), self.store.table.clone());
        let admin = Arc::new(admin);
        let gateway = serve(gateway, self.gateway(config, &sdk, backend));
        let management = serve(management, self.management(&admin, &sdk, &vault));

        // Both listen already, so connections made from here on are served.
        announce(format!(
            "ready gateway={gateway_url} management={management_url} dynamodb={endpoint}"
        ));
        if self.demo {
            demo::create(&admin, &vault, &gateway_url).await?;
        }
        tokio::select! {
            () = gateway => {}
            () = management => {}
            () = interrupted() => {}
        }
        Ok(())
    }

    /// The authorizer's configuration. A REST API is answered as in the repository's example of one, unless the environment says
    /// otherwise.
    fn config(&self) -> Result<Config, Failure> {
        let mut config = Config::from_env()?;
        config.deciding.table.clone_from(&self.store.table);
        let is_set = std::env::var_os("TOLLGATE_REST_RESPONSE").is_some_and(|set| !set.is_empty());
        if !is_set {
            config.rest_response = RestResponse::Errors;
        }
        if config.on_limit == OnLimit::Pass && self.upstream.is_some() {
            eprintln!(
                "TOLLGATE_ON_LIMIT=pass: what a limit refuses goes to the upstream, which has to refuse it"
            );
        }
        Ok(config)
    }

    /// Starts the embedded store. It listens too, so other processes can use it.
    async fn embed(&mut self) -> Result<String, Failure> {
        let listener = listen("dynamodb", self.dynamodb_port).await?;
        let endpoint = url(&listener)?;
        let database = Database::memory().map_err(|error| error.to_string())?;
        tokio::spawn(dynoxide::server::serve_on(listener, database));
        self.store.dynamodb_endpoint = Some(endpoint.clone());
        Ok(endpoint)
    }

    fn vault(&self, endpoint: &str) -> Result<Vault, Failure> {
        match self.retrievable {
            false => Ok(Vault::off()),
            true if is_loopback(endpoint) => Ok(Vault::local()),
            true => Err(format!(
                "--retrievable encrypts with a key that is no secret: expected a DynamoDB on this machine, got {endpoint}"
            )
            .into()),
        }
    }

    fn gateway(&self, config: Config, sdk: &SdkConfig, backend: Backend) -> Router {
        let connection = Connection::deciding(sdk);
        match self.api {
            Api::InProcess => {
                let stage = StageId::new(gateway::API_ID, gateway::STAGE);
                let gate = Gate::new(config.deciding, connection, stage);
                gateway::in_process(gate, backend)
            }
            api => gateway::app(api, Authorizer::new(config, connection), backend),
        }
    }

    fn management(&self, admin: &Arc<Admin>, sdk: &SdkConfig, vault: &Arc<Vault>) -> Router {
        let table = Table::new(Connection::deciding(sdk), self.store.table.clone());
        let engine = Arc::new(Engine::new(table, Settings::default()));
        tollgate_keys::app(Arc::clone(admin), engine, Arc::clone(vault))
    }
}
