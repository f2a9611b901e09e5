use scimfleet_core::provider::{Adopt, AuthMethod, LeaverAction, MatchAttribute, Switch};
use secrecy::ExposeSecret;

use super::*;

fn context() -> FleetContext {
    let environment = [("ACME_TOKEN", "acme-token\n"), ("EMPTY", " "), ("BROKEN", "a\nb"), ("SECRET", "s")];
    FleetContext {
        environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        folder: PathBuf::from("no-such-folder"),
        stored_mappings: ["60-stored".to_owned()].into(),
        profiles: ["aws".to_owned(), "slack".to_owned()].into(),
    }
}

fn read(text: &str) -> Result<Fleet, FleetErrors> {
    Fleet::parse("FLEET.toml", text, &context())
}

fn mistakes(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

/// The keys of one provider that is right but for `keys`.
fn provider_with(keys: &str) -> String {
    format!("[[provider]]\nname = \"acme\"\nbase_url = \"https://acme.example/scim/v2\"\n{keys}\n")
}

/// Every key that a fleet file may have.
const WHOLE: &str = r##"
[[provider]]
name = "acme"
base_url = "https://acme.example/scim/v2"
auth = { kind = "bearer", token = { env = "ACME_TOKEN" } }
profile = "aws"
mappings = ["10-user-default", "10-group-default", "50-department", "60-stored"]
schedule = "*/30 * * * *"
scope = { users = 'user.attributes.get("kind") != "contractor"', members_of = ["Staff"], push_groups = ["Engineering", "Sales"], exclude_service_accounts = true }
match = ["externalId", "userName"]
adopt = "safe"
leavers = { disabled = "keep", out_of_scope = "deactivate", deleted = "delete", groups = "delete" }
delete_adopted = true
on_invalid = "skip"
drift = "report"
guard = { share = "10%", cap = 50, at_least = 2 }
rate = "25/s"
in_flight = 8
bulk = "off"
etag = "auto"
passwords = true
dry_run = true
tls = { verify = true, ca_file = "ca.pem", client_cert_file = "us.pem", client_key_file = "us.key" }
headers = { "X-Tenant" = "acme" }
[provider.override]
update = "patch"
members_per_patch = 20

[[mapping]]
name = "50-department"
resource = "user"
expression = '''
return {"title": "x"}
'''
"##;

#[test]
fn a_whole_fleet_file_is_understood() {
    let fleet = read(WHOLE).unwrap();
    assert!(fleet.warnings.is_empty(), "{:?}", fleet.warnings);
    let FleetProvider { settings, secret } = &fleet.providers[0];
    assert_eq!(secret.as_ref().unwrap().expose_secret(), "acme-token");
    assert_eq!(settings.profile, "aws");
    assert_eq!(settings.headers["X-Tenant"], "acme");
    assert_eq!(settings.tls.client_cert_file.as_deref(), Some("us.pem"));
    assert_eq!(settings.tls.client_key_file.as_deref(), Some("us.key"));
    assert_eq!(settings.profile_override["members_per_patch"], 20);
    assert_eq!(settings.schedule.as_deref(), Some("*/30 * * * *"));
    assert_eq!(settings.scope.push_groups.as_ref().unwrap().len(), 2);
    assert!(settings.scope.exclude_service_accounts);
    assert_eq!(settings.match_order, [MatchAttribute::ExternalId, MatchAttribute::UserName]);
    assert_eq!((settings.adopt, settings.bulk, settings.etag), (Adopt::Safe, Switch::Off, Switch::Auto));
    assert_eq!((settings.leavers.disabled, settings.leavers.deleted), (LeaverAction::Keep, LeaverAction::Delete));
    assert_eq!((settings.guard.allowance(100), settings.in_flight), (10, 8));
    assert!(settings.delete_adopted && settings.passwords && settings.dry_run);
    assert_eq!(settings.tls.ca_file.as_deref(), Some("ca.pem"));
    assert_eq!(fleet.mappings[0].expression, "return {\"title\": \"x\"}\n");
    assert!(!format!("{fleet:?}").contains("acme-token"));
}

#[test]
fn what_is_left_out_has_the_default_of_core() {
    let fleet = read(&provider_with("")).unwrap();
    let name = scimfleet_core::ProviderName::parse("acme").unwrap();
    assert_eq!(fleet.providers[0].settings, ProviderSettings::new(name, "https://acme.example/scim/v2"));
    assert!(fleet.providers[0].secret.is_none());
}

#[test]
fn every_kind_of_auth_finds_its_secret() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "from-file\n").unwrap();
    let context = FleetContext { folder: folder.path().to_path_buf(), ..context() };
    let oauth2 = AuthMethod::OAuth2 {
        token_url: "https://login.example/token".to_owned(),
        client_id: "c".to_owned(),
        scope: Some("scim".to_owned()),
    };
    let cases = [
        (r#"{ token = { env = "ACME_TOKEN" } }"#, AuthMethod::Bearer, Some("acme-token"), 0),
        (r#"{ kind = "bearer", token = { file = "token" } }"#, AuthMethod::Bearer, Some("from-file"), 0),
        (r#"{ kind = "bearer", token = { value = "v" } }"#, AuthMethod::Bearer, Some("v"), 1),
        (r#"{ kind = "bearer" }"#, AuthMethod::Bearer, None, 0),
        (
            r#"{ kind = "basic", username = "u", password = { env = "SECRET" } }"#,
            AuthMethod::Basic { username: "u".to_owned() },
            Some("s"),
            0,
        ),
        (
            r#"{ kind = "oauth2", token_url = "https://login.example/token", client_id = "c", client_secret = { env = "SECRET" }, scope = "scim" }"#,
            oauth2,
            Some("s"),
            0,
        ),
    ];
    for (auth, method, secret, warnings) in cases {
        let fleet = Fleet::parse("FLEET.toml", &provider_with(&format!("auth = {auth}")), &context).unwrap();
        assert_eq!(fleet.providers[0].settings.auth, method, "{auth}");
        assert_eq!(fleet.providers[0].secret.as_ref().map(ExposeSecret::expose_secret), secret, "{auth}");
        assert_eq!(fleet.warnings.len(), warnings, "{auth}");
    }
}

#[test]
fn warnings_name_the_line_and_never_the_secret() {
    let text = provider_with("auth = { token = { value = \"canary\" } }\ntls = { verify = false }")
        .replace("https://acme", "http://acme");
    assert_eq!(
        read(&text).unwrap().warnings,
        [
            "FLEET.toml:3:12: `base_url` of provider `acme` is not https: secrets travel in the clear",
            "FLEET.toml:4:28: `token` of `auth` of provider `acme` stands in the file for all to read; write `{ env = \"NAME\" }` or `{ file = \"path\" }`",
            "FLEET.toml:5:18: provider `acme` accepts any certificate; prefer `ca_file`",
        ]
    );
    for loopback in ["http://127.0.0.1:8080/v2", "http://localhost/v2", "http://[::1]/v2"] {
        let text = provider_with("").replace("https://acme.example/scim/v2", loopback);
        assert!(read(&text).unwrap().warnings.is_empty(), "{loopback}");
    }
}

#[test]
fn every_mistake_is_listed_at_once_with_its_line() {
    let text = r#"
[[provider]]
name = "Acme Corp"
base_url = "ftp://acme.example"
adopt = "saef"

[[provider]]
name = "beta"
base_url = "https://u:canary@beta.example/v2"
auth = { kind = "bearer", token = { env = "BETA_TOKEN" } }
mappings = ["50-departmnet", "60-stored", "10-user-default", "10-user-default"]
rate = "25 per second"
shedule = "1h"

[[provider]]
name = "beta"
base_url = "https://beta.example/v2?x=1"
schedule = "hourly"
guard = { share = "a lot" }
leavers = "burn"

[[mapping]]
name = "50-department"
resource = "person"
expression = ""

[[source]]
name = "hr"
"#;
    assert_eq!(
        mistakes(text),
        "\
FLEET.toml:3:8: `name` of provider `Acme Corp`: `Acme Corp` is no provider name (lower case letters, digits and `-`, at most 63)
FLEET.toml:4:12: `base_url` of provider `Acme Corp`: scheme `ftp` is not supported (such as `https://acme.example/scim/v2`)
FLEET.toml:5:9: `adopt` of provider `Acme Corp`: unknown word `saef` (did you mean `safe`?)
FLEET.toml:9:12: `base_url` of provider `beta`: holds credentials; they belong into `auth` (such as `https://acme.example/scim/v2`)
FLEET.toml:10:43: `token` of `auth` of provider `beta`: the environment variable `BETA_TOKEN` is not set (export BETA_TOKEN=… and run again)
FLEET.toml:11:13: `mappings` of provider `beta`: no mapping `50-departmnet` (did you mean `50-department`?)
FLEET.toml:11:62: `mappings` of provider `beta`: `10-user-default` stands twice
FLEET.toml:12:8: `rate` of provider `beta`: `25 per second` is no rate (write `25/s`, `600/m` or `1000/h`)
FLEET.toml:13:1: unknown key `shedule` in provider `beta` (did you mean `schedule`?)
FLEET.toml:16:8: `name` of provider `beta`: was used before, in line 8 (rename or remove one of the two)
FLEET.toml:17:12: `base_url` of provider `beta`: has a query or a fragment (write the address without what follows `?` or `#`)
FLEET.toml:18:12: `schedule` of provider `beta`: `hourly` is no schedule: neither a duration nor a cron expression (write a duration such as `1h`, `30m` or `90s`, a cron expression such as `0 */2 * * *` (UTC), or `off`)
FLEET.toml:19:19: `share` of `guard` of provider `beta`: `a lot` is no share (write a percentage such as `5%`)
FLEET.toml:20:11: `leavers` of provider `beta`: unknown word `burn` (known: deactivate, delete, keep)
FLEET.toml:24:12: `resource` of mapping `50-department`: unknown word `person` (known: user, group)
FLEET.toml:25:14: `expression` of mapping `50-department`: is empty (the body of a function that returns a dict)
FLEET.toml:27:3: unknown key `source` in the fleet file (known: mapping, provider)"
    );
}

#[test]
fn one_mistake_has_one_message() {
    let cases = [
        (r#"profile = "awz""#, "4:11: `profile` of provider `acme`: unknown profile `awz` (did you mean `aws`?)"),
        (r#"in_flight = 0"#, "4:13: `in_flight` of provider `acme`: expected a number from 1 to 1024, found 0"),
        (r#"in_flight = "8""#, "4:13: `in_flight` of provider `acme`: expected a whole number, found a text"),
        (r#"passwords = "yes""#, "4:13: `passwords` of provider `acme`: expected true or false, found a text"),
        (r#"scope = "Staff""#, "4:9: `scope` of provider `acme`: expected a table, found a text"),
        (
            r#"scope = { members_of = "Staff" }"#,
            "4:24: `members_of` of `scope` of provider `acme`: expected a list of texts, found a text",
        ),
        (r#"scope = { members_of = [""] }"#, "4:25: `members_of` of `scope` of provider `acme`: holds an empty name"),
        (
            r#"scope = { member_of = ["Staff"] }"#,
            "4:11: unknown key `member_of` in `scope` of provider `acme` (did you mean `members_of`?)",
        ),
        (
            r#"match = ["userName", "mail"]"#,
            "4:22: `match` of provider `acme`: unknown word `mail` (known: externalId, userName)",
        ),
        (
            r#"leavers = { groups = "deactivate" }"#,
            "4:22: `groups` of `leavers` of provider `acme`: a group cannot be deactivated (write `delete` or `keep`)",
        ),
        (
            r#"leavers = { delted = "keep" }"#,
            "4:13: unknown key `delted` in `leavers` of provider `acme` (did you mean `deleted`?)",
        ),
        (
            r#"mappings = []"#,
            "4:12: `mappings` of provider `acme`: is empty: nothing would be sent (leave the key out for the built-in ones)",
        ),
        (
            r#"mappings = ["x"]"#,
            "4:13: `mappings` of provider `acme`: no mapping `x` (declare it as a `[[mapping]]` in this file)",
        ),
        (
            r#"override = { updat = "put" }"#,
            "4:14: unknown key `updat` in `override` of provider `acme` (did you mean `update`?)",
        ),
        (
            r#"override = { update = "post" }"#,
            "4:23: `update` of `override` of provider `acme`: unknown variant `post`, expected `patch` or `put`",
        ),
        (
            r#"auth = { kind = "beerer" }"#,
            "4:17: `kind` of `auth` of provider `acme`: unknown word `beerer` (did you mean `bearer`?)",
        ),
        (
            r#"auth = { token = "canary" }"#,
            "4:18: `token` of `auth` of provider `acme`: a secret does not stand here by itself (write `{ env = \"NAME\" }` or `{ file = \"path\" }`)",
        ),
        (
            r#"auth = { token = {} }"#,
            "4:18: `token` of `auth` of provider `acme`: names no source (write `{ env = \"NAME\" }` or `{ file = \"path\" }`)",
        ),
        (
            r#"auth = { token = { env = "ACME_TOKEN", file = "x" } }"#,
            "4:18: `token` of `auth` of provider `acme`: names more than one source (write `{ env = \"NAME\" }` or `{ file = \"path\" }`)",
        ),
        (r#"auth = { token = { env = "EMPTY" } }"#, "4:26: `token` of `auth` of provider `acme`: the secret is empty"),
        (
            r#"auth = { token = { env = "BROKEN" } }"#,
            "4:26: `token` of `auth` of provider `acme`: the secret holds a control character (a secret is one line)",
        ),
        (
            r#"auth = { token = { file = "t" } }"#,
            "4:27: `token` of `auth` of provider `acme`: cannot read `t`: No such file or directory (os error 2) (a relative path starts at the folder of the fleet file)",
        ),
        (
            r#"auth = { kind = "basic" }"#,
            "4:8: `auth` of provider `acme` lacks `username` (`kind = \"basic\"` needs it)",
        ),
        (
            r#"auth = { kind = "basic", username = "u", token = { env = "SECRET" } }"#,
            "4:42: unknown key `token` in `auth` of provider `acme` (known: kind, username, password)",
        ),
        (r#"tls = { verfy = false }"#, "4:9: unknown key `verfy` in `tls` of provider `acme` (did you mean `verify`?)"),
    ];
    for (keys, message) in cases {
        assert_eq!(mistakes(&provider_with(keys)), format!("FLEET.toml:{message}"), "{keys}");
    }
}

#[test]
fn files_that_are_no_fleet_file_are_refused_in_words() {
    let cases = [
        (
            "[provider]\nname = \"a\"",
            "FLEET.toml:1:1: `provider` must be a list of tables (write `[[provider]]` above each of them)",
        ),
        (
            "[[provider]]\nname = \"a\"",
            "FLEET.toml:1:1: provider `a` lacks `base_url` (such as `https://acme.example/scim/v2`)",
        ),
        (
            "[[mapping]]\nname = \"10-user-default\"\nresource = \"user\"\nexpression = \"return {}\"",
            "FLEET.toml:2:8: `name` of mapping `10-user-default`: is the name of a built-in mapping (take another name, and list it in `mappings` of the provider in place of this one)",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(mistakes(text), message);
    }
}

#[test]
fn an_empty_file_declares_nothing() {
    let fleet = read("").unwrap();
    assert!(fleet.providers.is_empty() && fleet.mappings.is_empty() && fleet.warnings.is_empty());
}

#[test]
fn a_syntax_error_does_not_hide_the_other_mistakes() {
    let cases = [
        (
            "[[provider]]\nname = \"acme\nbase_url = \"ftp://x\"\n",
            "FLEET.toml:2:13: not valid TOML: invalid basic string (expected `\"`)
FLEET.toml:3:12: `base_url` of provider `acme`: scheme `ftp` is not supported (such as `https://acme.example/scim/v2`)",
        ),
        // What is missing, or stands in the wrong table, may only follow from the error.
        ("[[provider]\nname = acme", "FLEET.toml:1:12: not valid TOML: unclosed array table (expected `]`)"),
        ("[[provider]]\nname = \"a\"\nname = \"b\"\n", "FLEET.toml:3:1: not valid TOML: duplicate key"),
    ];
    for (text, messages) in cases {
        assert_eq!(mistakes(text), messages);
    }
}

#[test]
fn the_folder_of_the_file_is_where_secrets_are_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "t").unwrap();
    let file = folder.path().join("FLEET.toml");
    std::fs::write(&file, provider_with("auth = { token = { file = \"token\" } }")).unwrap();
    let fleet = Fleet::load(&file, FleetContext::default()).unwrap();
    assert_eq!(fleet.providers[0].secret.as_ref().unwrap().expose_secret(), "t");
    let missing = Fleet::load(Path::new("no-such-folder/FLEET.toml"), FleetContext::default()).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "no-such-folder/FLEET.toml: cannot be read: No such file or directory (os error 2)"
    );
}

#[test]
fn a_file_that_was_cut_anywhere_is_read_or_refused() {
    let whole = WHOLE.replace("{ env = \"ACME_TOKEN\" }", "{ value = \"canary\" }");
    for (cut, _) in whole.char_indices() {
        if let Err(errors) = read(&whole[..cut]) {
            assert!(!errors.to_string().contains("canary"), "cut at {cut}: {errors}");
        }
    }
}

#[test]
fn columns_count_characters() {
    let text = provider_with("scope = { users = \"ä€\", members_of = [1] }");
    assert_eq!(
        mistakes(&text),
        "FLEET.toml:4:39: `members_of` of `scope` of provider `acme`: expected a list of texts, found an integer"
    );
}

#[test]
fn headers_and_client_certificates_are_checked() {
    let cases = [
        ("headers = { \"Authorization\" = \"x\" }", "header `Authorization` of provider `acme` cannot be set"),
        ("headers = { \"X-A\" = 1 }", "header `X-A` of provider `acme` is no text"),
        ("tls = { client_cert_file = \"us.pem\" }", "stands without `client_key_file`"),
        ("tls = { client_key_file = \"us.key\" }", "stands without `client_cert_file`"),
        ("[provider.override]\nmember_removal = \"by-hand\"", "`member_removal`"),
        ("[provider.override]\nrates = { sometimes = \"5/s\" }", "unknown class `sometimes`"),
    ];
    for (keys, words) in cases {
        let text = mistakes(&provider_with(keys));
        assert!(text.contains(words), "{keys}: {text}");
    }
}
