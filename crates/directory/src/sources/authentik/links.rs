//! The links that authentik keeps of one provider: object, account, and what the account answered last.

use scimfleet_core::scim::Document;
use scimfleet_core::{ProviderName, RemoteId, ResourceKind};
use serde::Deserialize;

use super::api::Authentik;
use super::providers::names;
use crate::links::KeptLink;
use crate::sources::SourceError;

/// Which of authentik's providers is meant.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Its number in authentik, if somebody said so.
    pub pk: Option<i64>,
    /// What ours is called.
    pub name: &'a ProviderName,
    /// Where ours leads to.
    pub base_url: &'a str,
}

#[derive(Deserialize)]
struct UserLink {
    scim_id: String,
    user_obj: User,
    attributes: Option<Document>,
}

#[derive(Deserialize)]
struct User {
    uid: String,
}

#[derive(Deserialize)]
struct GroupLink {
    scim_id: String,
    group: String,
    attributes: Option<Document>,
}

impl Authentik {
    /// Reads the links of a provider; found by its number, else by the name that a written fleet file gave
    /// it, else by its address.
    ///
    /// # Errors
    /// When they cannot be read whole, or no provider is meant.
    pub async fn links(&self, wanted: &Wanted<'_>) -> Result<Vec<KeptLink>, SourceError> {
        let pk = self.find_provider(wanted).await?;
        let query = [("provider__id", pk.to_string())];
        let mut links = Vec::new();
        for link in self.all::<UserLink>("providers/scim_users", &query).await? {
            links.push(kept(ResourceKind::User, link.user_obj.uid, link.scim_id, link.attributes)?);
        }
        for link in self.all::<GroupLink>("providers/scim_groups", &query).await? {
            links.push(kept(ResourceKind::Group, link.group, link.scim_id, link.attributes)?);
        }
        Ok(links)
    }

    async fn find_provider(&self, wanted: &Wanted<'_>) -> Result<i64, SourceError> {
        let providers = self.scim_providers().await?;
        let unknown = |reason: String| SourceError::Settings { name: wanted.name.to_string(), reason };
        if let Some(pk) = wanted.pk {
            let found = providers.iter().any(|provider| provider.pk == pk);
            return found.then_some(pk).ok_or_else(|| unknown(format!("authentik has no SCIM provider {pk}")));
        }
        if let Some((pk, _)) = names(&providers).into_iter().find(|(_, name)| name == wanted.name) {
            return Ok(pk);
        }
        let address = |url: &str| url.trim_end_matches('/').to_owned();
        let mut fitting = providers.iter().filter(|provider| address(&provider.url) == address(wanted.base_url));
        match (fitting.next(), fitting.next()) {
            (Some(provider), None) => Ok(provider.pk),
            _ => {
                let known: Vec<String> =
                    providers.iter().map(|provider| format!("{} ({})", provider.pk, provider.name)).collect();
                let known = known.join(", ");
                Err(unknown(format!(
                    "authentik has no SCIM provider of this name or address; say which by `--authentik-provider PK`: {known}"
                )))
            }
        }
    }
}

fn kept(
    kind: ResourceKind,
    object: String,
    remote_id: String,
    recorded: Option<Document>,
) -> Result<KeptLink, SourceError> {
    let remote_id = RemoteId::parse(remote_id)
        .map_err(|error| SourceError::Malformed { what: "a link".to_owned(), reason: error.to_string() })?;
    Ok(KeptLink { kind, object, remote_id, recorded: recorded.filter(|recorded| !recorded.is_empty()) })
}
