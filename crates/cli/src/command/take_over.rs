//! `links import` and `links rekey`: accounts that another sync kept, and the identity that accounts keep.

use scimfleet_core::ProviderName;
use scimfleet_directory::links::{KeptLink, read_links};
use scimfleet_directory::sources::Source;
use scimfleet_directory::sources::authentik::Wanted;
use scimfleet_runtime::Exit;
use scimfleet_scim_client::RequestContext;
use scimfleet_store::{ProviderRow, Store};
use scimfleet_worker::{Claim, Providers, TakenOver, take_over};
use serde_json::{Value, json};

use super::import_source::which;
use crate::args::LinksImportArgs;
use crate::context::{Context, object, provider};
use crate::error::CliError;
use crate::output::table;
use crate::wire::{coordination, egress};

/// Refused links that people are shown; JSON has the first thousand.
const SHOWN: usize = 20;

pub(crate) async fn import(context: Context, args: LinksImportArgs) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let row = provider(&store, &args.provider).await?;
    let kept = match &args.file {
        Some(file) => read_links(file).map_err(CliError::usage)?,
        None => from_authentik(&context, &args, &row).await?,
    };
    let claims = kept.into_iter().map(claim).collect();
    let providers = Providers::new(store.clone(), egress(&context));
    let found = providers.discover(row).await.map_err(CliError::failed)?;
    let coordination = coordination(&context).await?;
    let taken =
        take_over(&store, &context.evaluator()?, &found, &*coordination, claims).await.map_err(CliError::failed)?;
    context.output.print(&taken, || text(&taken))?;
    Ok(if taken.refused_count > 0 { Exit::Failed } else { Exit::Done })
}

async fn from_authentik(
    context: &Context,
    args: &LinksImportArgs,
    row: &ProviderRow,
) -> Result<Vec<KeptLink>, CliError> {
    let source = Source::open(&which(context, &args.which)?, egress(context)).map_err(CliError::usage)?;
    let authentik = source.authentik().ok_or_else(|| CliError::usage("this source keeps no links"))?;
    let settings = &row.settings;
    let wanted = Wanted { pk: args.authentik_provider, name: &settings.name, base_url: &settings.base_url };
    authentik.links(&wanted).await.map_err(CliError::failed)
}

fn claim(kept: KeptLink) -> Claim {
    Claim { kind: kept.kind, object: kept.object, remote_id: kept.remote_id, recorded: kept.recorded }
}

fn text(taken: &TakenOver) -> String {
    let counts = [taken.adopted, taken.unchanged, taken.memberships, taken.refused_count];
    let row = counts.iter().map(ToString::to_string).collect();
    let mut text = table(&["ADOPTED", "UNCHANGED", "MEMBERS", "REFUSED"], [row]);
    for refused in taken.refused.iter().take(SHOWN) {
        text.push_str(&format!("\n{} `{}` → {}: {}", refused.kind, refused.object, refused.remote_id, refused.reason));
    }
    if taken.refused_count > SHOWN as u64 {
        text.push_str(&format!("\n… and {} more; `--output json` lists them", taken.refused_count - SHOWN as u64));
    }
    text
}

/// The link forgets which externalId was sent; a sync of that object sends the new one; then the account is
/// asked whether it has it.
pub(crate) async fn rekey(context: Context, name: ProviderName, reference: String) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let row = provider(&store, &name).await?;
    let resource = object(&store, &reference).await?;
    let kind = resource.kind;
    if !store.forget_external_id(row.id, &resource.id).await? {
        return Err(CliError::usage(format!(
            "{kind} `{}` has no account at `{name}`; a sync gives it one",
            resource.name()
        )));
    }
    let ran =
        super::preview::sync_now(&context, store.clone(), std::slice::from_ref(&row), resource.id.as_str()).await?;
    let (wanted, shown) = shown(&context, &store, row, &resource).await?;
    let confirmed = wanted.is_some() && wanted == shown;
    let answer = json!({ "provider": name, "object": resource.id, "external_id": shown, "confirmed": confirmed });
    context.output.print(&answer, || match &shown {
        Some(shown) if confirmed => {
            format!("the account of {kind} `{}` at `{name}` has the externalId `{shown}`", resource.name())
        }
        _ => ran.text(),
    })?;
    Ok(if confirmed { Exit::Done } else { Exit::Failed })
}

/// The externalId that was sent, and the one that the account shows now.
async fn shown(
    context: &Context,
    store: &Store,
    row: ProviderRow,
    resource: &scimfleet_store::ResourceRow,
) -> Result<(Option<String>, Option<String>), CliError> {
    let links = store.links_at(row.id, std::slice::from_ref(&resource.id)).await?;
    let Some(link) = links.into_iter().next() else { return Ok((None, None)) };
    let text = |document: &Value| document.get("externalId").and_then(Value::as_str).map(str::to_owned);
    let sent = link.sent_document.as_deref().and_then(|sent| serde_json::from_str(sent).ok());
    let Some(account) = link.remote_id else { return Ok((None, None)) };
    let found = Providers::new(store.clone(), egress(context)).offline(row).await.map_err(CliError::failed)?;
    let answer =
        found.client.get(resource.kind, &account, &RequestContext::default()).await.map_err(CliError::failed)?;
    let document = answer.document.map(Value::Object);
    Ok((sent.as_ref().and_then(text), document.as_ref().and_then(text)))
}
