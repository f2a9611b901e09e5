//! `providers add`: a provider from flags or answers, through the same door as a fleet file.

use std::io::{IsTerminal, Read, Write};
use std::path::Path;

use dialoguer::theme::SimpleTheme;
use dialoguer::{Input, Password};
use scimfleet_core::ProviderName;
use scimfleet_runtime::Exit;
use scimfleet_runtime::fleet::Fleet;
use scimfleet_store::Store;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::apply::{self, ApplyOptions};
use crate::args::{AddArgs, AuthKind};
use crate::context::Context;
use crate::error::CliError;

pub(crate) async fn run(context: &Context, store: &Store, args: AddArgs) -> Result<Exit, CliError> {
    let mut questions = Questions::new();
    let name = questions.name(args.name.clone())?;
    if store.provider(&name).await?.is_some() {
        return Err(CliError::usage(format!(
            "there is a provider `{name}` already; change it in the fleet file and `scimfleet apply` it"
        )));
    }
    let base_url = questions.text("--base-url", "SCIM base URL (it usually ends in /v2)", args.base_url.clone())?;
    let auth = Auth::read(&mut questions, &args)?;
    let table = fleet_table(&name, &base_url, &auth, &args);
    // One that is typed or piped in goes to the sealed store only and stands in no file.
    let typed = questions.secret(&args)?;
    let known = apply::fleet_context(store).await?;
    let mut fleet = Fleet::parse("providers add", &table, &known)?;
    for provider in &mut fleet.providers {
        if let Some(secret) = &typed {
            provider.secret = Some(secret.clone());
        }
    }
    let evaluator = context.evaluator()?;
    apply::check_expressions(&evaluator, &fleet).await?;
    if let Some(file) = &args.file {
        append(file, &table)?;
    }
    let applied = apply::apply_fleet(store, &evaluator, &fleet, &ApplyOptions::default()).await?;
    for warning in &applied.warnings {
        eprintln!("warning: {warning}");
    }
    let document = json!({ "name": name, "change": "created", "fleet": table, "file": args.file });
    context.output.print(&document, || {
        let kept = match &args.file {
            Some(file) => format!("It stands in {}, too.", file.display()),
            None => format!("For the fleet file:\n\n{table}"),
        };
        format!(
            "{name} is created. {kept}\nNext: `scimfleet providers probe {name}`, `scimfleet sync {name} --dry-run`"
        )
    })?;
    Ok(Exit::Done)
}

/// What `auth` holds besides the secret.
struct Auth {
    kind: AuthKind,
    fields: Vec<(&'static str, String)>,
}

impl Auth {
    fn read(questions: &mut Questions, args: &AddArgs) -> Result<Self, CliError> {
        let mut fields = Vec::new();
        match args.auth {
            AuthKind::Bearer => {}
            AuthKind::Basic => {
                fields.push(("username", questions.text("--username", "User name", args.username.clone())?));
            }
            AuthKind::Oauth2 => {
                let token_url = questions.text("--token-url", "Token URL", args.token_url.clone())?;
                let client = questions.text("--client-id", "Client id", args.client_id.clone())?;
                fields.extend([("token_url", token_url), ("client_id", client)]);
                fields.extend(args.oauth_scope.clone().map(|scope| ("scope", scope)));
            }
        }
        Ok(Self { kind: args.auth, fields })
    }
}

/// The provider as a table of a fleet file.
fn fleet_table(name: &ProviderName, base_url: &str, auth: &Auth, args: &AddArgs) -> String {
    let mut inner = vec![format!("kind = {}", quoted(auth.kind.as_str()))];
    inner.extend(auth.fields.iter().map(|(key, value)| format!("{key} = {}", quoted(value))));
    let source = match (&args.secret_env, &args.secret_file) {
        (Some(variable), _) => Some(format!("{{ env = {} }}", quoted(variable))),
        (_, Some(file)) => Some(format!("{{ file = {} }}", quoted(&absolute(file)))),
        _ => None,
    };
    inner.extend(source.map(|source| format!("{} = {source}", auth.kind.secret_key())));
    let mut lines = vec![
        "[[provider]]".to_owned(),
        format!("name = {}", quoted(name.as_str())),
        format!("base_url = {}", quoted(base_url)),
        format!("auth = {{ {} }}", inner.join(", ")),
    ];
    lines.extend(args.profile.as_ref().map(|profile| format!("profile = {}", quoted(profile))));
    lines.extend(args.schedule.as_ref().map(|schedule| format!("schedule = {}", quoted(schedule))));
    if !args.members_of.is_empty() {
        let groups: Vec<String> = args.members_of.iter().map(|group| quoted(group)).collect();
        lines.push(format!("scope = {{ members_of = [{}] }}", groups.join(", ")));
    }
    if args.dry_run {
        lines.push("dry_run = true".to_owned());
    }
    lines.join("\n") + "\n"
}

/// Relative paths start at the fleet file's folder, and here there may be none.
fn absolute(file: &Path) -> String {
    std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf()).display().to_string()
}

/// A TOML basic string; JSON's escapes are among TOML's.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn append(file: &Path, table: &str) -> Result<(), CliError> {
    let unwritable = |error: std::io::Error| CliError::usage(format!("`{}`: {error}", file.display()));
    let begun = std::fs::metadata(file).is_ok_and(|data| data.len() > 0);
    let mut open = std::fs::OpenOptions::new().append(true).create(true).open(file).map_err(unwritable)?;
    let gap = if begun { "\n" } else { "" };
    write!(open, "{gap}{table}").map_err(unwritable)
}

/// Asks on a terminal; elsewhere what is missing is a mistake that names its flag.
struct Questions {
    asks: bool,
}

impl Questions {
    fn new() -> Self {
        Self { asks: std::io::stdin().is_terminal() && std::io::stderr().is_terminal() }
    }

    fn missing(flag: &str) -> CliError {
        CliError::usage(format!(
            "`{flag}` is needed where nobody can be asked; `scimfleet providers add --help` has examples"
        ))
    }

    fn name(&mut self, given: Option<ProviderName>) -> Result<ProviderName, CliError> {
        match given {
            Some(name) => Ok(name),
            None if self.asks => {
                let prompt = "Name (lower case letters, digits and -)";
                Input::with_theme(&SimpleTheme).with_prompt(prompt).interact_text().map_err(CliError::failed)
            }
            None => Err(Self::missing("NAME")),
        }
    }

    fn text(&mut self, flag: &str, prompt: &str, given: Option<String>) -> Result<String, CliError> {
        match given {
            Some(text) => Ok(text),
            None if self.asks => {
                Input::with_theme(&SimpleTheme).with_prompt(prompt).interact_text().map_err(CliError::failed)
            }
            None => Err(Self::missing(flag)),
        }
    }

    /// What the fleet table does not name: typed without an echo, or from standard input.
    fn secret(&mut self, args: &AddArgs) -> Result<Option<SecretString>, CliError> {
        if args.secret_env.is_some() || args.secret_file.is_some() {
            return Ok(None);
        }
        let text = if args.secret_stdin {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(CliError::failed)?;
            text
        } else if self.asks {
            let prompt = args.auth.secret_key().replace('_', " ");
            let prompt = format!("The {prompt} (nothing: `providers set-token` later)");
            let ask = Password::with_theme(&SimpleTheme).with_prompt(prompt).allow_empty_password(true);
            ask.interact().map_err(CliError::failed)?
        } else {
            return Err(Self::missing("--secret-env, --secret-file or --secret-stdin"));
        };
        let text = text.trim();
        if text.chars().any(char::is_control) {
            return Err(CliError::usage("the secret holds a control character; a secret is one line"));
        }
        Ok(Some(text).filter(|text| !text.is_empty()).map(SecretString::from))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Arguments, Command, ProvidersAction};

    fn args(line: &str) -> AddArgs {
        let read = Arguments::try_parse_from(line.split(' ')).unwrap();
        let Command::Providers(providers) = read.command else { panic!("{line}") };
        match providers.action {
            Some(ProvidersAction::Add(add)) => *add,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn table(line: &str) -> String {
        let args = args(line);
        let mut questions = Questions { asks: false };
        let name = questions.name(args.name.clone()).unwrap();
        let auth = Auth::read(&mut questions, &args).unwrap();
        fleet_table(&name, &args.base_url.clone().unwrap(), &auth, &args)
    }

    #[test]
    fn flags_become_a_table_that_the_fleet_file_understands() {
        let bearer = table(
            "scimfleet providers add acme --base-url https://acme.example/scim/v2 --secret-env T --members-of a\"b --schedule 2h",
        );
        assert_eq!(
            bearer,
            "[[provider]]\nname = \"acme\"\nbase_url = \"https://acme.example/scim/v2\"\n\
             auth = { kind = \"bearer\", token = { env = \"T\" } }\nschedule = \"2h\"\nscope = { members_of = [\"a\\\"b\"] }\n"
        );
        let lines = [
            "scimfleet providers add a --base-url https://a.example --auth basic --username u --secret-stdin",
            "scimfleet providers add a --base-url https://a.example --auth oauth2 --token-url https://t.example --client-id c --oauth-scope s --secret-env T",
            "scimfleet providers add a --base-url https://a.example --profile auto --dry-run --secret-env T",
        ];
        let context = scimfleet_runtime::fleet::FleetContext {
            environment: [("T".to_owned(), "secret".to_owned())].into(),
            ..Default::default()
        };
        for line in lines {
            let text = table(line);
            let fleet = Fleet::parse("x", &text, &context);
            assert!(fleet.is_ok(), "{text}{}", fleet.err().map(|error| error.to_string()).unwrap_or_default());
        }
    }

    #[test]
    fn where_nobody_can_be_asked_the_missing_flag_is_named() {
        let args = args("scimfleet providers add acme --auth basic --secret-stdin");
        let mut questions = Questions { asks: false };
        let refused = |result: Result<String, CliError>| result.unwrap_err().to_string();
        assert!(refused(questions.text("--base-url", "", None)).starts_with("`--base-url` is needed"));
        assert!(refused(Auth::read(&mut questions, &args).map(|_| String::new())).contains("--username"));
    }
}
