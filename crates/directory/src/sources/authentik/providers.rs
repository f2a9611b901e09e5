//! authentik's SCIM providers, and everything that their behaviour rests on.

use std::collections::{BTreeMap, HashMap};

use scimfleet_core::ProviderName;
use serde::Deserialize;

use super::api::Authentik;
use crate::sources::SourceError;

/// The longest name of a provider of ours, and room for a number behind it.
const NAME_BYTES_MAX: usize = 56;

#[derive(Debug, Deserialize)]
pub(super) struct Provider {
    pub(super) pk: i64,
    pub(super) name: String,
    pub(super) url: String,
    #[serde(default)]
    pub(super) property_mappings: Vec<String>,
    #[serde(default)]
    pub(super) property_mappings_group: Vec<String>,
    pub(super) assigned_backchannel_application_slug: Option<String>,
    pub(super) verify_certificates: Option<bool>,
    pub(super) auth_mode: Option<String>,
    pub(super) compatibility_mode: Option<String>,
    pub(super) exclude_users_service_account: Option<bool>,
    pub(super) sync_page_size: Option<u64>,
    #[serde(default)]
    pub(super) group_filters: Vec<String>,
    pub(super) dry_run: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Mapping {
    pub(super) pk: String,
    pub(super) name: String,
    pub(super) expression: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Application {
    pub(super) pk: String,
    pub(super) slug: String,
    pub(super) policy_engine_mode: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Binding {
    pub(super) policy: Option<String>,
    pub(super) group: Option<String>,
    pub(super) policy_obj: Option<Named>,
    pub(super) group_obj: Option<Named>,
    pub(super) user_obj: Option<BoundUser>,
    pub(super) negate: Option<bool>,
    pub(super) enabled: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct BoundUser {
    pub(super) username: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Group {
    pub(super) pk: String,
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
struct Schedule {
    rel_obj_model: String,
    rel_obj_id: Option<String>,
    crontab: String,
    paused: Option<bool>,
}

/// Everything about SCIM providers.
#[derive(Debug)]
pub(super) struct Providers {
    pub(super) providers: Vec<Provider>,
    /// What each is called here.
    pub(super) names: BTreeMap<i64, ProviderName>,
    pub(super) mappings: Vec<Mapping>,
    pub(super) applications: Vec<Application>,
    /// By application.
    pub(super) bindings: HashMap<String, Vec<Binding>>,
    pub(super) groups: Vec<Group>,
    /// Crontab, and whether it is paused.
    pub(super) schedules: HashMap<i64, (String, bool)>,
}

impl Providers {
    pub(super) fn application_of(&self, provider: &Provider) -> Option<&Application> {
        let slug = provider.assigned_backchannel_application_slug.as_deref()?;
        self.applications.iter().find(|application| application.slug == slug)
    }
}

impl Binding {
    /// What a person would call it.
    pub(super) fn words(&self) -> String {
        let not = if self.negate.unwrap_or(false) { "not " } else { "" };
        let what = match (&self.policy_obj, &self.group_obj, &self.user_obj) {
            (Some(policy), _, _) => format!("policy `{}`", policy.name),
            (_, Some(group), _) => format!("group `{}`", group.name),
            (_, _, Some(user)) => format!("user `{}`", user.username),
            _ => "something that the token may not see".to_owned(),
        };
        format!("{not}{what}")
    }
}

impl Authentik {
    pub(super) async fn providers(&self) -> Result<Providers, SourceError> {
        let mut providers = self.scim_providers().await?;
        providers.sort_by_key(|provider| provider.pk);
        let applications: Vec<Application> =
            self.all("core/applications", &[("superuser_full_list", "true".to_owned())]).await?;
        let mut bindings = HashMap::new();
        for provider in &providers {
            let slug = provider.assigned_backchannel_application_slug.as_deref();
            if let Some(application) = applications.iter().find(|one| Some(one.slug.as_str()) == slug) {
                let query = [("target", application.pk.clone()), ("ordering", "order".to_owned())];
                bindings.insert(application.pk.clone(), self.all("policies/bindings", &query).await?);
            }
        }
        let schedules: Vec<Schedule> =
            self.all("tasks/schedules", &[("rel_obj_content_type__model", "scimprovider".to_owned())]).await?;
        let schedules = schedules.into_iter().filter(|schedule| schedule.rel_obj_model == "scimprovider");
        Ok(Providers {
            names: names(&providers),
            mappings: self.all("propertymappings/provider/scim", &[]).await?,
            groups: self.group_names().await?,
            schedules: schedules
                .filter_map(|one| Some((one.rel_obj_id?.parse().ok()?, (one.crontab, one.paused.unwrap_or(false)))))
                .collect(),
            providers,
            applications,
            bindings,
        })
    }

    pub(super) async fn scim_providers(&self) -> Result<Vec<Provider>, SourceError> {
        self.all("providers/scim", &[]).await
    }

    async fn group_names(&self) -> Result<Vec<Group>, SourceError> {
        self.all("core/groups", &[("include_users", "false".to_owned()), ("ordering", "name".to_owned())]).await
    }
}

/// Names as ours must be; the second of two that come out alike gets its number.
pub(super) fn names(providers: &[Provider]) -> BTreeMap<i64, ProviderName> {
    let mut names: BTreeMap<i64, ProviderName> = BTreeMap::new();
    for provider in providers {
        let plain = plain_name(&provider.name);
        let numbered = format!("{plain}-{}", provider.pk);
        let free = |name: &str| !names.values().any(|taken| taken.as_str() == name);
        let chosen = if !plain.is_empty() && free(&plain) { plain } else { numbered };
        if let Ok(name) = ProviderName::parse(chosen.trim_matches('-').to_owned())
            .or_else(|_| ProviderName::parse(format!("authentik-{}", provider.pk)))
        {
            names.insert(provider.pk, name);
        }
    }
    names
}

fn plain_name(name: &str) -> String {
    let mut plain = String::new();
    for letter in name.to_lowercase().chars() {
        match letter {
            'a'..='z' | '0'..='9' => plain.push(letter),
            _ if plain.ends_with('-') || plain.is_empty() => {}
            _ => plain.push('-'),
        }
    }
    plain.truncate(NAME_BYTES_MAX);
    plain.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::plain_name;

    #[test]
    fn names_become_ours() {
        for (theirs, ours) in
            [("Acme SCIM", "acme-scim"), ("Scimmy, (corp)", "scimmy-corp"), ("Ünïcode", "n-code"), ("…", "")]
        {
            assert_eq!(plain_name(theirs), ours);
        }
    }
}
