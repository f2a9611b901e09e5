//! A provider as a task needs it: its client, profile, schemas and mappings, made anew when its
//! configuration changes. What is kept is keyed by the provider's id and generation.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use scimfleet_core::ports::Rate;
use scimfleet_core::profile::{self, Curated, Profile, ProfileError, Resolved};
use scimfleet_core::provider::{AuthMethod, MappingText, parse_rate};
use scimfleet_core::scim::schema::{Schema, SchemaSet};
use scimfleet_core::state::ProviderState;
use scimfleet_core::{ProviderId, ProviderName, ResourceKind};
use scimfleet_expression::{Expression, ProviderView};
use scimfleet_scim_client::{
    Authorization, ClientConfig, Discovery, Egress, Limits, RequestContext, ScimClient, ScimError, TlsOptions,
};
use scimfleet_store::{MappingRow, ProviderRow, Store, StoreError};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::places::Places;
use crate::task::pace::Health;

/// Whoever waits for another worker's discovery waits no longer than this, then asks, too.
const DISCOVERY_WAIT_MAX: Duration = Duration::from_secs(5);
const DISCOVERY_LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why a provider cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its settings.
    #[error("provider `{provider}`: {reason}")]
    Settings {
        /// Its name.
        provider: ProviderName,
        /// What is wrong, and the remedy.
        reason: String,
    },
    /// It does not answer, or refuses us.
    #[error(transparent)]
    Unreachable(#[from] ScimError),
}

impl ProviderError {
    /// Passes by itself: the database's trouble, not the provider's.
    pub fn is_trouble(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_trouble())
    }
}

/// Everything that a task needs to know of its provider.
pub struct Provider {
    /// As configured.
    pub row: ProviderRow,
    /// What it can do.
    pub profile: Profile,
    /// By what its resources are judged.
    pub schemas: SchemaSet,
    /// Speaks to it.
    pub client: ScimClient,
    /// Mappings by kind, in the order of their names.
    pub users: Vec<Expression>,
    /// Mappings for groups.
    pub groups: Vec<Expression>,
    /// Its allowance.
    pub rate: Option<Rate>,
    /// Requests under way.
    pub in_flight: Arc<Places>,
    /// Its health as this process sees it.
    pub(crate) health: Arc<Health>,
}

impl Provider {
    /// The mappings for a kind.
    pub fn expressions(&self, kind: ResourceKind) -> &[Expression] {
        match kind {
            ResourceKind::User => &self.users,
            ResourceKind::Group => &self.groups,
        }
    }

    /// What expressions see of it.
    pub fn view(&self) -> ProviderView {
        ProviderView { name: self.row.settings.name.to_string(), base_url: self.row.settings.base_url.clone() }
    }
}

/// What a kept provider was made from: anything else makes it anew.
type Key = (i64, Option<i64>, Option<i64>, String);

struct Kept {
    key: Key,
    provider: Arc<Provider>,
}

/// The providers that this process worked with.
#[derive(Clone)]
pub struct Providers {
    store: Store,
    egress: Egress,
    kept: Arc<Mutex<HashMap<ProviderId, Kept>>>,
}

impl Providers {
    /// None yet.
    pub fn new(store: Store, egress: Egress) -> Self {
        Self { store, egress, kept: Arc::default() }
    }

    /// The provider as it is configured now. One that was never asked is asked what it announces; its
    /// answer is stored. `None`: there is no such provider.
    pub async fn get(&self, name: &ProviderName) -> Result<Option<Arc<Provider>>, ProviderError> {
        let Some(mut row) = self.store.provider(name).await? else { return Ok(None) };
        if row.announced.is_none() {
            let turn = DiscoveryTurn::of(&row);
            match turn.wait(&self.store, row).await? {
                Asked::Meanwhile(announced) => row = announced,
                Asked::Never(row) => {
                    let discovered = self.discover(row).await;
                    turn.end(&self.store).await?;
                    return discovered.map(Some);
                }
            }
        }
        let key = key_of(&row);
        let mut kept = self.kept.lock().await;
        if let Some(known) = kept.get(&row.id).filter(|known| known.key == key) {
            if row.state == ProviderState::Active {
                known.provider.health.reset_if_tripped();
            }
            return Ok(Some(Arc::new(with_row(&known.provider, row))));
        }
        let provider = Arc::new(self.build(row).await?);
        kept.insert(provider.row.id, Kept { key, provider: provider.clone() });
        Ok(Some(provider))
    }

    /// Notes which providers are set aside now, so that tasks under way begin no further write.
    pub async fn note_states(&self, rows: &[ProviderRow]) {
        let kept = self.kept.lock().await;
        for row in rows {
            if let Some(known) = kept.get(&row.id) {
                known.provider.health.set_aside(row.state != ProviderState::Active);
            }
        }
    }

    /// Asks a provider what it announces, stores that, and returns the provider as it is then.
    pub async fn discover(&self, row: ProviderRow) -> Result<Arc<Provider>, ProviderError> {
        let blank = ProviderRow { announced: Some(Arc::new(json!({}))), ..row.clone() };
        let client = self.build(blank).await?.client;
        let discovery = client.discover(&RequestContext::default()).await;
        let announced = announced(&discovery);
        if let Some(error) = discovery.unreachable {
            return Err(error.into());
        }
        for note in &discovery.notes {
            tracing::debug!(provider = %row.settings.name, note, "the announcement has a flaw");
        }
        if row.announced.as_deref() != Some(&announced) || row.announced_at_ms.is_none() {
            self.store.put_announced(row.id, &announced).await?;
        }
        let row = self.store.provider(&row.settings.name).await?.unwrap_or(row);
        let key = key_of(&row);
        let provider = Arc::new(self.build(row).await?);
        self.kept.lock().await.insert(provider.row.id, Kept { key, provider: provider.clone() });
        Ok(provider)
    }

    /// A provider as it announces itself now, without storing anything: for dry runs.
    pub async fn look_at(&self, row: ProviderRow) -> Result<Arc<Provider>, ProviderError> {
        let blank = ProviderRow { announced: Some(Arc::new(json!({}))), ..row.clone() };
        let discovery = self.build(blank).await?.client.discover(&RequestContext::default()).await;
        let announced = announced(&discovery);
        match discovery.unreachable {
            Some(error) => Err(error.into()),
            None => Ok(Arc::new(self.build(ProviderRow { announced: Some(Arc::new(announced)), ..row }).await?)),
        }
    }

    /// A provider as it is configured, without asking it anything: for previews.
    pub async fn offline(&self, row: ProviderRow) -> Result<Arc<Provider>, ProviderError> {
        self.offline_with(row, None).await
    }

    /// The same with another text of one mapping in place of the stored one, or beside the others when the
    /// provider does not use it yet.
    pub async fn offline_with(
        &self,
        mut row: ProviderRow,
        draft: Option<&MappingText>,
    ) -> Result<Arc<Provider>, ProviderError> {
        let mut mappings = self.store.mappings().await?;
        if let Some(draft) = draft {
            mappings.retain(|known| known.text.name != draft.name);
            mappings.push(MappingRow { text: draft.clone(), origin: "draft".to_owned() });
            if !row.settings.mappings.contains(&draft.name) {
                row.settings.mappings.push(draft.name.clone());
            }
        }
        let announced = row.announced.clone().unwrap_or_else(|| Arc::new(json!({})));
        Ok(Arc::new(self.build_with(ProviderRow { announced: Some(announced), ..row }, &mappings).await?))
    }

    async fn build(&self, row: ProviderRow) -> Result<Provider, ProviderError> {
        let stored = self.store.mappings().await?;
        self.build_with(row, &stored).await
    }

    async fn build_with(&self, row: ProviderRow, stored: &[MappingRow]) -> Result<Provider, ProviderError> {
        let (profile, schemas) = (resolve_profile(&row)?.profile, schemas_of(&row));
        let secret = self.store.provider_secret(row.id).await?;
        let headers = self.headers(&row).await?;
        let client = self.client(&row, &profile, secret, headers)?;
        let settings = &row.settings;
        let rate = settings.rate.as_deref().and_then(parse_rate);
        let in_flight = usize::try_from(settings.in_flight.max(1)).unwrap_or(1);
        Ok(Provider {
            users: expressions(&row, stored, ResourceKind::User)?,
            groups: expressions(&row, stored, ResourceKind::Group)?,
            rate,
            in_flight: Arc::new(Places::new(in_flight)),
            health: Arc::default(),
            row,
            profile,
            schemas,
            client,
        })
    }

    /// The headers with their values: those that settings which are only planned give, else those that are sealed.
    async fn headers(&self, row: &ProviderRow) -> Result<BTreeMap<String, String>, StoreError> {
        let mut headers = row.settings.headers.clone();
        if headers.values().any(String::is_empty) {
            let sealed = self.store.provider_headers(row.id).await?;
            for (name, value) in headers.iter_mut().filter(|(_, value)| value.is_empty()) {
                if let Some(known) = sealed.get(name) {
                    known.expose_secret().clone_into(value);
                }
            }
        }
        Ok(headers)
    }

    fn client(
        &self,
        row: &ProviderRow,
        profile: &Profile,
        secret: Option<SecretString>,
        headers: BTreeMap<String, String>,
    ) -> Result<ScimClient, ProviderError> {
        let settings = &row.settings;
        let wrong = |reason: String| ProviderError::Settings { provider: settings.name.clone(), reason };
        let secret = secret
            .ok_or_else(|| wrong(format!("it has no token; run `scimfleet providers set-token {}`", settings.name)))?;
        let authorization = match &settings.auth {
            AuthMethod::Bearer => Authorization::Bearer(secret),
            AuthMethod::Basic { username } => Authorization::Basic { username: username.clone(), password: secret },
            AuthMethod::OAuth2 { token_url, client_id, scope } => Authorization::OAuth2 {
                token_url: Url::parse(token_url).map_err(|error| wrong(format!("auth.token_url: {error}")))?,
                client_id: client_id.clone(),
                client_secret: secret,
                scope: scope.clone(),
            },
        };
        let base_url = Url::parse(&settings.base_url).map_err(|error| wrong(format!("base_url: {error}")))?;
        ScimClient::new(ClientConfig {
            provider: settings.name.clone(),
            base_url,
            authorization,
            profile: profile.clone(),
            egress: self.egress.clone(),
            headers,
            tls: TlsOptions::read(&settings.tls).map_err(wrong)?,
            limits: Limits::default(),
        })
        .map_err(|error| wrong(error.to_string()))
    }
}

/// Several workers meet a provider that was never asked at the same moment: one asks, the others wait for it.
struct DiscoveryTurn {
    lease: String,
    holder: String,
}

enum Asked {
    Meanwhile(ProviderRow),
    /// By nobody, or whoever does takes too long.
    Never(ProviderRow),
}

impl DiscoveryTurn {
    fn of(row: &ProviderRow) -> Self {
        Self { lease: format!("discover:{}", row.id), holder: uuid::Uuid::now_v7().to_string() }
    }

    async fn wait(&self, store: &Store, mut row: ProviderRow) -> Result<Asked, StoreError> {
        let began = Instant::now();
        while began.elapsed() < DISCOVERY_WAIT_MAX {
            let ours = store.take_lease(&self.lease, &self.holder, DISCOVERY_WAIT_MAX).await?.is_some();
            if let Some(known) = store.provider(&row.settings.name).await? {
                row = known;
            }
            if row.announced.is_some() {
                self.end(store).await?;
                return Ok(Asked::Meanwhile(row));
            }
            if ours {
                break;
            }
            tokio::time::sleep(DISCOVERY_LOOK_EVERY).await;
        }
        Ok(Asked::Never(row))
    }

    async fn end(&self, store: &Store) -> Result<(), StoreError> {
        store.release_lease(&self.lease, &self.holder).await.map(drop)
    }
}

fn key_of(row: &ProviderRow) -> Key {
    (row.generation, row.announced_at_ms, row.secret_at_ms, Value::Object(row.remembered.clone()).to_string())
}

fn with_row(provider: &Provider, row: ProviderRow) -> Provider {
    Provider {
        row,
        profile: provider.profile.clone(),
        schemas: provider.schemas.clone(),
        client: provider.client.clone(),
        users: provider.users.clone(),
        groups: provider.groups.clone(),
        rate: provider.rate,
        in_flight: provider.in_flight.clone(),
        health: provider.health.clone(),
    }
}

/// What is stored of an announcement.
fn announced(discovery: &Discovery) -> Value {
    json!({
        "layer": discovery.layer,
        "schemas": discovery.schemas,
        "schemas_complete": discovery.schemas_complete,
        "notes": discovery.notes,
        "documentation_uri": discovery.config.as_ref().and_then(|config| config.documentation_uri.as_deref()),
    })
}

/// The profile of a provider with the origin of each value.
pub fn resolve_profile(row: &ProviderRow) -> Result<Resolved, ProviderError> {
    profile::of(&row.settings, row.announced.as_deref(), &row.remembered).map_err(|error| wrong_profile(row, &error))
}

/// The curated profile of a provider: named by its settings, or recognised.
pub fn curated_profile(row: &ProviderRow) -> Result<Option<&'static Curated>, ProviderError> {
    profile::curated_of(&row.settings, row.announced.as_deref()).map_err(|error| wrong_profile(row, &error))
}

fn wrong_profile(row: &ProviderRow, error: &ProfileError) -> ProviderError {
    ProviderError::Settings { provider: row.settings.name.clone(), reason: error.to_string() }
}

fn schemas_of(row: &ProviderRow) -> SchemaSet {
    let stored = |name: &str| row.announced.as_ref().and_then(|announced| announced.get(name));
    let schemas: Vec<Schema> = stored("schemas")
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(|schema| Schema::try_from(schema.clone()).ok()).collect())
        .unwrap_or_default();
    let complete = stored("schemas_complete").and_then(Value::as_bool).unwrap_or(false);
    SchemaSet::with_announced(schemas, complete)
}

/// A provider's mappings of one kind, in the order of their names.
fn expressions(row: &ProviderRow, stored: &[MappingRow], kind: ResourceKind) -> Result<Vec<Expression>, ProviderError> {
    let mut found = Vec::new();
    for name in &row.settings.mappings {
        let mapping =
            stored.iter().find(|mapping| mapping.text.name == *name).ok_or_else(|| ProviderError::Settings {
                provider: row.settings.name.clone(),
                reason: format!("mapping `{name}` does not exist; define it in the fleet file and apply that"),
            })?;
        if mapping.text.resource == kind {
            let source = Arc::from(mapping.text.expression.as_str());
            found.push(Expression { name: name.clone(), kind, source });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}
