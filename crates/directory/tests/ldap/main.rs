//! The LDAP source against a real OpenLDAP server; `tests/services/install.sh ldap` installs it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, and the place says why")]

mod server;

use std::collections::BTreeSet;

use scimfleet_core::provider::{Guard, Tls};
use scimfleet_directory::sources::{Removals, Source, SourceError, Taken};
use scimfleet_runtime::config::{LdapConfig, LdapGroups, LdapUsers, SecretPlace, SourceConfig, SourceKind};
use scimfleet_scim_client::Egress;
use scimfleet_store::{Store, StoreOptions};
use server::{BASE, READER, READER_PASSWORD, Server};

const USERS: usize = 60;

async fn store(folder: &std::path::Path) -> Store {
    let options = StoreOptions::new(format!("sqlite://{}", folder.join("directory.db").display()));
    let store = Store::connect(&options, None).await.unwrap();
    store.migrate().await.unwrap();
    store
}

fn config(server: &Server, url: &str, start_tls: bool) -> SourceConfig {
    let password = server.folder().join("password");
    std::fs::write(&password, READER_PASSWORD).unwrap();
    let attributes = [
        ("userName", "uid"),
        ("displayName", "cn"),
        ("name.givenName", "givenName"),
        ("name.familyName", "sn"),
        ("emails", "mail"),
        ("title", "title"),
        ("manager", "manager"),
        ("attributes.room", "roomNumber"),
    ];
    let users = LdapUsers {
        base: format!("ou=people,{BASE}"),
        filter: "(objectClass=inetOrgPerson)".to_owned(),
        key: "entryUUID".to_owned(),
        disabled: Some("(employeeType=left)".to_owned()),
        member_of: None,
        attributes: attributes.map(|(path, attribute)| (path.to_owned(), attribute.to_owned())).into(),
    };
    let groups = LdapGroups {
        base: format!("ou=groups,{BASE}"),
        filter: "(objectClass=groupOfNames)".to_owned(),
        key: "entryUUID".to_owned(),
        name: "cn".to_owned(),
        members: "member".to_owned(),
    };
    let ldap = LdapConfig {
        url: url.parse().unwrap(),
        start_tls,
        bind_dn: Some(READER.to_owned()),
        password: Some(SecretPlace::File(password)),
        page_size: 20,
        users,
        groups: Some(groups),
    };
    SourceConfig {
        name: "corp".parse().unwrap(),
        full_every: None,
        changes_every: None,
        guard: Guard::default(),
        tls: Tls { verify: true, ca_file: Some(server.authority()), ..Tls::default() },
        kind: SourceKind::Ldap(Box::new(ldap)),
    }
}

fn with(config: &SourceConfig, change: impl FnOnce(&mut LdapConfig)) -> SourceConfig {
    let mut changed = config.clone();
    if let SourceKind::Ldap(ldap) = &mut changed.kind {
        change(ldap);
    }
    changed
}

fn egress() -> Egress {
    Egress { private: true, loopback: true, ..Egress::default() }
}

async fn whole(store: &Store, config: &SourceConfig) -> Result<Taken, SourceError> {
    Source::open(config, egress())?.take_whole(store, &Removals::default()).await
}

fn counts(taken: &Taken) -> [u64; 5] {
    let report = &taken.report;
    [report.created, report.updated, report.unchanged, report.removed, report.rejected_count]
}

/// The names of the groups that somebody is in.
async fn groups_of(store: &Store, name: &str) -> BTreeSet<String> {
    let found = store.find_resources(name).await.unwrap();
    let ids: Vec<_> = found.into_iter().map(|row| row.id).collect();
    store.groups_of(&ids).await.unwrap().into_iter().map(|row| row.group.name().to_owned()).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_read_page_by_page_and_followed() {
    let server = Server::start(USERS).await;
    let store = store(server.folder()).await;
    let secured = config(&server, &server.url("ldap"), true);

    // More than a page of each: an answer is limited to 25 entries.
    let first = whole(&store, &secured).await.unwrap();
    assert_eq!(counts(&first), [USERS as u64 + 3, 0, 0, 0, 0]);
    let anna = store.find_resources("user07").await.unwrap().remove(0);
    assert_eq!(anna.source, "ldap:corp");
    assert_eq!(anna.external_id.as_deref().map(str::len), Some(36));
    let document = serde_json::Value::Object(anna.document.clone());
    assert_eq!(document["name"]["familyName"], "Family 7");
    assert_eq!(document["emails"][0]["value"], "user07@example.org");
    assert_eq!(document["attributes"]["room"], "R7");
    let boss = store.find_resources("user00").await.unwrap().remove(0);
    let manager = &document["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"]["manager"]["value"];
    assert_eq!(manager.as_str(), boss.external_id.as_deref());
    assert!(!store.find_resources("user09").await.unwrap()[0].active, "who left is inactive");
    // `Everybody` holds the group `Even`, which holds the even ones.
    assert_eq!(groups_of(&store, "user08").await, names(&["Even", "Everybody"]));
    assert_eq!(groups_of(&store, "user01").await, names(&["Odd"]));
    assert_eq!(groups_of(&store, "Even").await, names(&["Everybody"]));

    // LDAPS shows the same.
    let ldaps = config(&server, &server.url("ldaps"), false);
    assert_eq!(counts(&whole(&store, &ldaps).await.unwrap()), [0, 0, USERS as u64 + 3, 0, 0]);

    follow(&server, &store, &secured, first.latest.unwrap()).await;
    refuse(&server, &store, &secured).await;
}

/// Changes by `modifyTimestamp`; removals by a complete read only.
async fn follow(server: &Server, store: &Store, config: &SourceConfig, since: String) {
    server.modify("uid=user11,ou=people", "title", &["Chief"]).await;
    server.modify("uid=user12,ou=people", "roomNumber", &[]).await;
    server.modify("uid=user13,ou=people", "employeeType", &["left"]).await;
    let odd: Vec<String> = [1, 3].map(|number| format!("uid=user{number:02},ou=people,{BASE}")).to_vec();
    server.modify("cn=Odd,ou=groups", "member", &odd.iter().map(String::as_str).collect::<Vec<_>>()).await;
    server.remove("uid=user15,ou=people").await;
    let source = Source::open(config, egress()).unwrap();
    let changed = source.take_changed(store, &since).await.unwrap();
    assert_eq!((changed.report.updated, changed.report.removed, changed.report.created), (4, 0, 0));
    assert!(changed.latest.unwrap() >= since);
    assert_eq!(store.find_resources("user11").await.unwrap()[0].document["title"], "Chief");
    assert!(!store.find_resources("user12").await.unwrap()[0].document.contains_key("attributes"), "cleared");
    assert!(!store.find_resources("user13").await.unwrap()[0].active);
    assert_eq!(groups_of(store, "user05").await, names(&[]));
    assert_eq!(store.find_resources("user15").await.unwrap().len(), 1);
    let all = whole(store, config).await.unwrap();
    assert_eq!((all.report.removed, all.report.updated), (1, 0), "{:?}", all.report);
    assert_eq!(store.find_resources("user15").await.unwrap().len(), 0);

    // People who list their groups show the same memberships, nested ones too.
    let other = self::store(&server.folder().join("other")).await;
    let by_people = with(config, |ldap| ldap.users.member_of = Some("memberOf".to_owned()));
    whole(&other, &by_people).await.unwrap();
    for name in ["user01", "user05", "user08", "Even"] {
        assert_eq!(groups_of(&other, name).await, groups_of(store, name).await, "{name}");
    }
}

/// What is refused, and that nobody is removed then.
async fn refuse(server: &Server, store: &Store, config: &SourceConfig) {
    let cases: [(&str, SourceConfig); 5] = [
        (
            "invalid credentials",
            with(config, |ldap| {
                let wrong = server.folder().join("wrong");
                std::fs::write(&wrong, "not-the-password").unwrap();
                ldap.password = Some(SecretPlace::File(wrong));
            }),
        ),
        (
            "no connection",
            SourceConfig {
                tls: Tls { verify: true, ca_file: Some(server.other_authority()), ..Tls::default() },
                ..config.clone()
            },
        ),
        ("administrative limit", with(config, |ldap| ldap.page_size = 500)),
        ("is the base right", with(config, |ldap| ldap.users.base = format!("ou=nobody,{BASE}"))),
        ("no such attribute", with(config, |ldap| ldap.users.key = "noSuchAttribute".to_owned())),
    ];
    for (words, refused) in cases {
        let error = whole(store, &refused).await.unwrap_err().to_string();
        let known = error.contains(words) || words == "no such attribute" && error.contains("`noSuchAttribute`");
        assert!(known, "{words}: {error}");
        assert!(!error.contains("not-the-password"));
    }
    // A filter that fits nobody is a complete read of nothing: the guard stands before it.
    let nobody = with(config, |ldap| ldap.users.filter = "(uid=nobody)".to_owned());
    let error = whole(store, &nobody).await.unwrap_err();
    assert!(matches!(error, SourceError::Guard { removals: 59, .. }), "{error}");
    assert_eq!(counts(&whole(store, config).await.unwrap())[3], 0);
    server.stop();
    assert!(whole(store, config).await.unwrap_err().to_string().contains("no connection"));
    assert_eq!(store.find_resources("user07").await.unwrap().len(), 1);
}
