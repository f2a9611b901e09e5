//! authentik's SCIM providers as a fleet file: what can be said here is said, what cannot stands there as a
//! comment. Whatever decides who is sent and could not be translated makes its provider a dry run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use scimfleet_core::ResourceKind;
use scimfleet_expression::{Evaluator, Expression};
use serde::Serialize;

use super::api::Authentik;
use super::providers::{Binding, Mapping, Provider, Providers};
use super::toml::{comment, list, text, variable};
use crate::sources::SourceError;

/// Objects in one task of ours, whatever authentik's page size was.
const PAGE_SIZE_DEFAULT: u64 = 100;

/// A fleet file, and what a person must look at before it is applied.
#[derive(Debug, Clone, Serialize)]
pub struct FleetFile {
    /// The file.
    #[serde(skip)]
    pub text: String,
    /// Names of the providers in it.
    pub providers: Vec<String>,
    /// Names of the mappings in it.
    pub mappings: Vec<String>,
    /// Mappings that cannot run here.
    pub cannot_run: Vec<CannotRun>,
    /// What could not be translated, by provider.
    pub remarks: Vec<Remark>,
    /// Variables that must hold a secret when the file is applied.
    pub variables: Vec<String>,
}

/// A mapping that cannot run here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CannotRun {
    /// Its name.
    pub mapping: String,
    /// The line of its expression, from 1.
    pub line: u32,
    /// Why, with a hint.
    pub reason: String,
}

/// What could not be translated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// The provider's name here.
    pub provider: String,
    /// In words.
    pub words: String,
}

impl Authentik {
    /// Writes the providers, their mappings and their scopes down.
    ///
    /// # Errors
    /// When they cannot be read whole.
    pub async fn fleet_file(&self, evaluator: &Evaluator) -> Result<FleetFile, SourceError> {
        let world = self.providers().await?;
        let mut writer = Writer { world: &world, mappings: BTreeMap::new(), file: FleetFile::new() };
        let tables: Vec<String> = world.providers.iter().map(|provider| writer.provider(provider)).collect();
        writer.check_mappings(evaluator).await;
        let mappings = writer.mapping_tables();
        let file = &mut writer.file;
        file.text = format!("{HEADING}{}{mappings}", tables.concat());
        Ok(writer.file)
    }
}

const HEADING: &str = "\
# Written from authentik's SCIM providers. Its API never shows a token: each is taken from the environment.
# authentik deletes accounts of people who leave an application; here they are deactivated, unless you write
# `leavers = \"delete\"`, and accounts that were taken over are never deleted, unless you add `delete_adopted = true`.
";

impl FleetFile {
    fn new() -> Self {
        Self {
            text: String::new(),
            providers: Vec::new(),
            mappings: Vec::new(),
            cannot_run: Vec::new(),
            remarks: Vec::new(),
            variables: Vec::new(),
        }
    }
}

struct Writer<'a> {
    world: &'a Providers,
    /// By the name in the file: for users or for groups, and the expression.
    mappings: BTreeMap<String, (ResourceKind, &'a str)>,
    file: FleetFile,
}

impl<'a> Writer<'a> {
    fn provider(&mut self, provider: &'a Provider) -> String {
        let name = self.world.names[&provider.pk].to_string();
        let mut mappings = self.mappings_of(&provider.property_mappings, ResourceKind::User);
        mappings.extend(self.mappings_of(&provider.property_mappings_group, ResourceKind::Group));
        let (scope, mut remarks, mut certain) = self.scope(provider);
        let variable = variable(&name);
        let mut out = String::new();
        let mut line = |words: String| {
            out.push_str(&words);
            out.push('\n');
        };
        line(format!(
            "\n{}[[provider]]",
            comment(&format!("authentik's SCIM provider {}: {}", provider.pk, provider.name))
        ));
        line(format!("name = {}", text(&name)));
        line(format!("base_url = {}", text(provider.url.trim_end_matches('/'))));
        if provider.auth_mode.as_deref().is_some_and(|mode| mode != "token") {
            certain = false;
            remarks.push(
                "authentik gets its token by OAuth: write `auth = { kind = \"oauth2\", token_url = …, client_id = …, \
                 client_secret = { env = … } }`"
                    .to_owned(),
            );
        }
        line(format!("auth = {{ kind = \"bearer\", token = {{ env = {} }} }}", text(&variable)));
        line(format!("profile = {}", text(profile(provider.compatibility_mode.as_deref()))));
        if !mappings.is_empty() {
            line(format!("mappings = {}", list(&mappings)));
        }
        match self.world.schedules.get(&provider.pk) {
            Some((_, true)) => line("schedule = \"off\" # it is paused in authentik".to_owned()),
            Some((crontab, false)) => line(format!("schedule = {}", text(crontab))),
            None => {}
        }
        scope.write(provider, self.world, &mut line);
        if provider.verify_certificates == Some(false) {
            line("tls = { verify = false }".to_owned());
        }
        for words in &remarks {
            line(comment(words).trim_end().to_owned());
        }
        match (provider.dry_run.unwrap_or(false), certain) {
            (true, _) => line("dry_run = true # as in authentik".to_owned()),
            (false, false) => line("dry_run = true # until what stands above is settled by hand".to_owned()),
            (false, true) => {}
        }
        // authentik never sends a group as a member of another.
        let mut overrides = vec!["nested_groups = \"omit\"".to_owned()];
        if let Some(size) = provider.sync_page_size.filter(|size| *size != PAGE_SIZE_DEFAULT) {
            overrides.push(format!("page_size = {}", size.min(PAGE_SIZE_DEFAULT)));
        }
        line(format!("override = {{ {} }}", overrides.join(", ")));
        self.file.remarks.extend(remarks.into_iter().map(|words| Remark { provider: name.clone(), words }));
        self.file.providers.push(name);
        self.file.variables.push(variable);
        out
    }

    /// The names of mappings in the file. One that serves users here and groups there stands twice.
    fn mappings_of(&mut self, pks: &[String], kind: ResourceKind) -> Vec<String> {
        let mut names = Vec::new();
        for mapping in pks.iter().filter_map(|pk| self.world.mappings.iter().find(|mapping| mapping.pk == *pk)) {
            let Mapping { name, expression, .. } = mapping;
            let mut name = name.trim().to_owned();
            if self.mappings.get(&name).is_some_and(|(other, _)| *other != kind) {
                name = format!("{name} ({kind})");
            }
            self.mappings.insert(name.clone(), (kind, expression));
            names.push(name);
        }
        names
    }

    async fn check_mappings(&mut self, evaluator: &Evaluator) {
        for (name, (kind, source)) in &self.mappings {
            let expression = Expression { name: name.clone(), kind: *kind, source: Arc::from(*source) };
            if let Err(error) = evaluator.check(&expression).await {
                let found = CannotRun { mapping: name.clone(), line: error.line, reason: error.message };
                self.file.cannot_run.push(found);
            }
        }
        self.file.mappings = self.mappings.keys().cloned().collect();
    }

    fn mapping_tables(&self) -> String {
        let mut out = String::new();
        for (name, (kind, source)) in &self.mappings {
            out.push('\n');
            for found in self.file.cannot_run.iter().filter(|found| found.mapping == *name) {
                out.push_str(&comment(&format!("It cannot run here, line {}: {}", found.line, found.reason)));
            }
            let _ = write!(out, "[[mapping]]\nname = {}\nresource = \"{kind}\"\nexpression = ", text(name));
            out.push_str(&super::toml::block(source));
            out.push('\n');
        }
        out
    }

    /// Who is sent: what the application's policy bindings say, as far as it can be said here. The second
    /// value tells what cannot, the third whether everything could.
    fn scope(&self, provider: &Provider) -> (Scope, Vec<String>, bool) {
        let mut scope = Scope::default();
        let Some(application) = self.world.application_of(provider) else {
            let words = "no application has it as its backchannel provider, so authentik sends nobody".to_owned();
            return (scope, vec![words], false);
        };
        let bindings = self.world.bindings.get(&application.pk).map(Vec::as_slice).unwrap_or_default();
        let (live, disabled): (Vec<&Binding>, Vec<_>) =
            bindings.iter().partition(|binding| binding.enabled.unwrap_or(true));
        let mut remarks: Vec<String> =
            disabled.iter().map(|one| format!("disabled policy binding, left out: {}", one.words())).collect();
        let any = application.policy_engine_mode.as_deref() != Some("all") || live.len() < 2;
        let (mut groups, mut users) = (BTreeSet::new(), BTreeSet::new());
        let mut strange = Vec::new();
        for binding in &live {
            let plain = any && !binding.negate.unwrap_or(false) && binding.policy.is_none();
            match (plain, &binding.group, binding.user_obj.as_ref()) {
                (true, Some(group), _) => drop(groups.insert(group.clone())),
                (true, None, Some(user)) => drop(users.insert(user.username.clone())),
                _ => strange.push(format!("policy binding that cannot be translated: {}", binding.words())),
            }
        }
        if strange.is_empty() {
            match (groups.is_empty(), users.is_empty()) {
                (false, true) => scope.members_of = groups.into_iter().collect(),
                (true, false) => scope.users = users.into_iter().collect(),
                (false, false) => {
                    let words = "its policy bindings name groups or users; say it as one expression in `scope.users`";
                    strange.push(words.to_owned());
                }
                (true, true) => {}
            }
        }
        let certain = strange.is_empty();
        remarks.extend(strange);
        (scope, remarks, certain)
    }
}

/// What a scope can say.
#[derive(Default)]
struct Scope {
    members_of: Vec<String>,
    users: Vec<String>,
}

impl Scope {
    fn write(&self, provider: &Provider, world: &Providers, line: &mut impl FnMut(String)) {
        let names = |pks: &[String]| {
            let known: HashMap<&str, &str> =
                world.groups.iter().map(|group| (group.pk.as_str(), group.name.as_str())).collect();
            let names: Vec<&str> = pks.iter().map(|pk| *known.get(pk.as_str()).unwrap_or(&"?")).collect();
            names.join(", ")
        };
        let mut parts = Vec::new();
        if !self.users.is_empty() {
            let expression = format!("user.username in {}", list(&self.users));
            parts.push(format!("users = {}", text(&expression)));
        }
        if !self.members_of.is_empty() {
            line(comment(&format!("members_of, by externalId: {}", names(&self.members_of))).trim_end().to_owned());
            parts.push(format!("members_of = {}", list(&self.members_of)));
        }
        if !provider.group_filters.is_empty() {
            line(
                comment(&format!("push_groups, by externalId: {}", names(&provider.group_filters)))
                    .trim_end()
                    .to_owned(),
            );
            parts.push(format!("push_groups = {}", list(&provider.group_filters)));
        }
        if provider.exclude_users_service_account.unwrap_or(false) {
            parts.push("exclude_service_accounts = true".to_owned());
        }
        if !parts.is_empty() {
            line(format!("scope = {{ {} }}", parts.join(", ")));
        }
    }
}

/// The profile for a compatibility mode of authentik's.
fn profile(mode: Option<&str>) -> &str {
    match mode {
        None | Some("default") => "auto",
        Some("sfdc") => "salesforce",
        Some(mode) => mode,
    }
}
