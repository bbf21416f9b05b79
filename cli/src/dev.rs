//! `tollgate dev`: a local gateway, the management API, and an embedded DynamoDB where no endpoint is given.
//!
//! - [`server`]: listening and serving. [`demo`]: plans and keys to try at once. [`banner`]: what is served where. [`request_log`]: a
//!   line for each request.

use std::path::PathBuf;
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

mod banner;
mod demo;
mod request_log;
mod server;

use server::{interrupted, listen, serve, url};

/// `tollgate dev`.
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Port of the gateway; 0 takes a free one
    #[arg(long, default_value_t = 3000, value_name = "PORT")]
    gateway_port: u16,
    /// Port of the management API; 0 takes a free one
    #[arg(long, default_value_t = 3001, value_name = "PORT")]
    management_port: u16,
    /// Port of the embedded DynamoDB; 0 takes a free one
    #[arg(long, default_value_t = 8000, value_name = "PORT")]
    dynamodb_port: u16,
    #[command(flatten)]
    store: StoreArguments,
    /// Keep keys, plans and usage in this file [default: in memory, gone at the end]
    #[arg(long, value_name = "FILE", conflicts_with = "dynamodb_endpoint")]
    state: Option<PathBuf>,
    /// Create two plans with a key each, and print how to call them
    #[arg(long)]
    demo: bool,
    /// Keep the values of keys, so that they can be shown again; their encryption is no secret, so only on this machine
    #[arg(long)]
    retrievable: bool,
    /// What the gateway answers as
    #[arg(long, value_enum, default_value = "http")]
    api: Api,
    /// Backend that admitted requests go to, such as <http://127.0.0.1:8080> [default: an echo]
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Print no banner and no line for each request
    #[arg(long, short)]
    quiet: bool,
}

/// Where everything listens.
struct Urls {
    gateway: String,
    management: String,
    dynamodb: String,
}

impl Dev {
    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        let config = self.config()?;
        let backend = Backend::new(self.upstream.as_deref(), &config.deciding.key_sources)?;
        let gateway_listener = listen("gateway", self.gateway_port).await?;
        let management = listen("management", self.management_port).await?;
        let elsewhere = self.store.endpoint().filter(|_| self.state.is_none());
        let is_embedded = elsewhere.is_none();
        let endpoint = match elsewhere {
            Some(endpoint) => endpoint,
            None => self.embed().await?,
        };
        let vault = Arc::new(self.vault(&endpoint)?);
        let sdk = self.store.sdk_config().await;
        schema::create_if_missing(&Client::new(&sdk), &self.store.table)
            .await
            .map_err(|error| format!("{error}; is DynamoDB running at {endpoint}?"))?;

        let (gateway_url, management_url) = (url(&gateway_listener)?, url(&management)?);
        let admin = Admin::new(Connection::managing(&sdk), self.store.table.clone());
        let admin = Arc::new(admin);
        let gateway = self.gateway(config, &sdk, backend);
        let gateway = serve(gateway_listener, request_log::layer(gateway, self.quiet));
        let management = serve(management, self.management(&admin, &sdk, &vault));

        // Both listen already, so connections made from here on are served.
        let urls = Urls {
            gateway: gateway_url,
            management: management_url,
            dynamodb: endpoint,
        };
        self.introduce(&urls, is_embedded);
        self.make_demo(&admin, &vault, &urls).await?;
        tokio::select! {
            () = gateway => {}
            () = management => {}
            () = interrupted() => {}
        }
        Ok(())
    }

    /// Says what is served where: to programs on standard output, to people on standard error.
    fn introduce(&self, urls: &Urls, is_embedded: bool) {
        announce(format!(
            "ready gateway={} management={} dynamodb={}",
            urls.gateway, urls.management, urls.dynamodb
        ));
        if !self.quiet {
            let store = banner::Store::of(self.state.as_deref(), is_embedded);
            banner::print(self.api, urls, store);
        }
    }

    async fn make_demo(&self, admin: &Admin, vault: &Vault, urls: &Urls) -> Result<(), Failure> {
        if !self.demo {
            return Ok(());
        }
        if self.state.is_some() && demo::has_plans(admin).await? {
            eprintln!("note: --demo adds nothing, because the state has plans already");
            return Ok(());
        }
        demo::create(admin, vault, urls).await
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
                "TOLLGATE_ON_LIMIT=pass: requests over a limit go to the upstream, which must answer 429 itself"
            );
        }
        Ok(config)
    }

    /// Starts the embedded store. It listens too, so other processes can use it.
    async fn embed(&mut self) -> Result<String, Failure> {
        let listener = listen("dynamodb", self.dynamodb_port).await?;
        let endpoint = url(&listener)?;
        let database = match &self.state {
            Some(file) => Database::new(&file.display().to_string()),
            None => Database::memory(),
        };
        let database = database.map_err(|error| match &self.state {
            Some(file) => format!("cannot use {} as --state: {error}", file.display()),
            None => error.to_string(),
        })?;
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
