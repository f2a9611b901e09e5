//! Mappings as people edit them: who uses one, whether it may be changed here, and what that would change.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scimfleet_core::preview::Impact;
use scimfleet_core::provider::MappingText;
use scimfleet_runtime::fleet::check_mapping;
use scimfleet_store::{MappingRow, ProviderRow, Store, StoreError};
use sha2::{Digest, Sha256};

use crate::insight::{Insight, InsightError};

/// Where a mapping comes from that is changed here.
pub(crate) const OWN: &str = "console";

/// What another text would change at one provider.
#[derive(Debug, Clone)]
pub(crate) struct ImpactAt {
    pub(crate) provider: String,
    /// `Err`: why nobody could say.
    pub(crate) impact: Result<Impact, String>,
}

/// The stored mapping of this name.
pub(crate) async fn find(store: &Store, name: &str) -> Result<Option<MappingRow>, StoreError> {
    Ok(store.mappings().await?.into_iter().find(|row| row.text.name == name))
}

/// Why a mapping cannot be changed here; `None`: it can.
pub(crate) fn read_only(row: &MappingRow) -> Option<&'static str> {
    match row.origin.as_str() {
        "builtin" => Some("it is built in; take another name, and let the provider use that one"),
        "fleet" => Some("it comes from a fleet file; change it there and apply that"),
        _ => None,
    }
}

/// The providers that use a mapping.
pub(crate) fn users<'a>(providers: &'a [ProviderRow], name: &str) -> impl Iterator<Item = &'a ProviderRow> {
    let name = name.to_owned();
    providers.iter().filter(move |row| row.settings.mappings.contains(&name))
}

/// Changes with every change of the text.
pub(crate) fn tag(text: &MappingText) -> String {
    let mut hash = Sha256::new();
    for part in [text.name.as_str(), text.resource.as_str(), text.expression.as_str()] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(&hash.finalize()[..16]))
}

/// Whether a text may be stored: its name, its kind, and that it compiles.
pub(crate) async fn check(insight: &dyn Insight, text: &MappingText) -> Result<(), InsightError> {
    check_mapping(text).map_err(|mistakes| InsightError::Wrong(mistakes.to_string()))?;
    insight.check(text).await
}

/// What a text would change at each provider that uses it.
pub(crate) async fn impacts(insight: &dyn Insight, providers: &[ProviderRow], text: &MappingText) -> Vec<ImpactAt> {
    let mut impacts = Vec::new();
    for row in users(providers, &text.name) {
        let impact = insight.impact(row, text).await.map_err(|error| error.to_string());
        impacts.push(ImpactAt { provider: row.settings.name.to_string(), impact });
    }
    impacts
}
