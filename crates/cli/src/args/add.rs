//! `providers add`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use scimfleet_core::ProviderName;

/// What a new provider needs to be known by. Everything else is in the fleet file.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Its name: lower case letters, digits and `-`
    pub(crate) name: Option<ProviderName>,
    /// The SCIM base URL; it usually ends in `/v2`
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// How requests are authorised
    #[arg(long, value_enum, value_name = "KIND", default_value_t = AuthKind::Bearer)]
    pub(crate) auth: AuthKind,
    /// With `basic`: the user name
    #[arg(long, value_name = "NAME")]
    pub(crate) username: Option<String>,
    /// With `oauth2`: where tokens are asked for
    #[arg(long, value_name = "URL")]
    pub(crate) token_url: Option<String>,
    /// With `oauth2`: who asks
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// With `oauth2`: what is asked for
    #[arg(long, value_name = "SCOPE")]
    pub(crate) oauth_scope: Option<String>,
    /// The environment variable that holds the token, password or client secret
    #[arg(long, value_name = "VARIABLE", conflicts_with_all = ["secret_file", "secret_stdin"])]
    pub(crate) secret_env: Option<String>,
    /// The file that holds it
    #[arg(long, value_name = "FILE", conflicts_with = "secret_stdin")]
    pub(crate) secret_file: Option<PathBuf>,
    /// It comes from standard input
    #[arg(long)]
    pub(crate) secret_stdin: bool,
    /// `auto`, or a curated profile such as `aws`, `slack`, `github`
    #[arg(long)]
    pub(crate) profile: Option<String>,
    /// When it is synchronised: `1h`, a cron expression (UTC), or `off`
    #[arg(long)]
    pub(crate) schedule: Option<String>,
    /// Only users of this group, nested ones too; may be repeated
    #[arg(long, value_name = "GROUP")]
    pub(crate) members_of: Vec<String>,
    /// Plan only: nothing is ever written there
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Append the provider to this fleet file, too
    #[arg(long, value_name = "FLEET.toml")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuthKind {
    /// A token that goes with every request
    Bearer,
    /// User name and password
    Basic,
    /// OAuth 2, client credentials
    Oauth2,
}

impl AuthKind {
    /// As the fleet file has it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Basic => "basic",
            Self::Oauth2 => "oauth2",
        }
    }

    /// What its secret is called in the fleet file.
    pub(crate) const fn secret_key(self) -> &'static str {
        match self {
            Self::Bearer => "token",
            Self::Basic => "password",
            Self::Oauth2 => "client_secret",
        }
    }
}
