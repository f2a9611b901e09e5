//! Reads: everything, or what `modifyTimestamp` says has changed.

use std::collections::{HashMap, HashSet};

use scimfleet_runtime::config::{LdapGroups, LdapUsers};

use super::entry::{Entry, fold_dn, group, user};
use super::server::{Connection, Ldap};
use crate::sources::{SourceError, Spool};

/// RFC 4512 §3.4.4.
const CHANGED_AT: &str = "modifyTimestamp";

/// What a read showed.
#[derive(Debug)]
pub struct Read {
    /// Users, then groups.
    pub spool: Spool,
    /// The latest change, as the server writes times.
    pub latest: Option<String>,
}

impl Ldap {
    /// Reads everybody and every group.
    ///
    /// # Errors
    /// When the server does not answer, or not to the end.
    pub async fn read_whole(&self) -> Result<Read, SourceError> {
        self.read(None).await
    }

    /// Reads the entries that changed at a time or later, as an earlier read gave it: the server knows no
    /// "later than" (RFC 4515), so that the last ones come again.
    ///
    /// # Errors
    /// When the server does not answer, or not to the end.
    pub async fn read_changed(&self, since: &str) -> Result<Read, SourceError> {
        self.read(Some(since)).await
    }

    async fn read(&self, since: Option<&str>) -> Result<Read, SourceError> {
        let mut reading = Reading {
            ldap: self,
            connection: self.connect().await?,
            since,
            latest: None,
            spool: Spool::new()?,
            members_by_group: HashMap::new(),
        };
        let (users, groups) = (&self.config.users, self.config.groups.as_ref());
        let groups = match groups {
            Some(config) => reading.groups(config).await?,
            None => Vec::new(),
        };
        // Whoever is named by others is known by key before anybody is written down.
        let names = !groups.is_empty() || users.attributes.contains_key("manager");
        let mut keys = if names { reading.keys(&users.base, &users.filter, &users.key).await? } else { HashMap::new() };
        reading.users(users, &keys).await?;
        if let Some(config) = self.config.groups.as_ref().filter(|_| !groups.is_empty()) {
            keys.extend(reading.keys(&config.base, &config.filter, &config.key).await?);
            reading.put_groups(config, &groups, &keys)?;
        }
        Ok(Read { spool: reading.spool, latest: reading.latest })
    }
}

struct Reading<'a> {
    ldap: &'a Ldap,
    connection: Connection,
    since: Option<&'a str>,
    latest: Option<String>,
    spool: Spool,
    /// Keys of people by folded name of the group, where people list their groups.
    members_by_group: HashMap<String, Vec<String>>,
}

impl Reading<'_> {
    fn filter(&self, filter: &str) -> String {
        match self.since {
            Some(since) => format!("(&{filter}({CHANGED_AT}>={}))", ldap3::ldap_escape(since)),
            None => filter.to_owned(),
        }
    }

    async fn groups(&mut self, config: &LdapGroups) -> Result<Vec<Entry>, SourceError> {
        // Where people list their groups, a group's entry does not change with its members.
        let by_people = self.ldap.config.users.member_of.is_some();
        if by_people && self.since.is_some() {
            return Ok(Vec::new());
        }
        let mut attributes = vec![config.key.clone(), config.name.clone(), CHANGED_AT.to_owned()];
        attributes.push(match &self.ldap.config.users.member_of {
            Some(attribute) => attribute.clone(),
            None => config.members.clone(),
        });
        let filter = self.filter(&config.filter);
        let (mut groups, mut latest) = (Vec::new(), self.latest.take());
        let searched = self.connection.search(&config.base, &filter, attributes, |entry| {
            note(&mut latest, &entry);
            groups.push(entry);
            Ok(())
        });
        searched.await?;
        self.latest = latest;
        Ok(groups)
    }

    /// Keys by folded distinguished name.
    async fn keys(&mut self, base: &str, filter: &str, key: &str) -> Result<HashMap<String, String>, SourceError> {
        let mut keys = HashMap::new();
        let searched = self.connection.search(base, filter, vec![key.to_owned()], |entry| {
            if let Some(found) = entry.first(key) {
                keys.insert(fold_dn(&entry.dn), found.to_owned());
            }
            Ok(())
        });
        searched.await?;
        Ok(keys)
    }

    async fn users(&mut self, config: &LdapUsers, keys: &HashMap<String, String>) -> Result<(), SourceError> {
        let disabled = self.disabled(config).await?;
        let mut attributes = vec![config.key.clone(), CHANGED_AT.to_owned()];
        attributes.extend(config.attributes.values().cloned());
        attributes.extend(config.member_of.clone());
        let filter = self.filter(&config.filter);
        let (mut latest, ldap) = (self.latest.take(), self.ldap);
        let (spool, by_group) = (&mut self.spool, &mut self.members_by_group);
        let searched = self.connection.search(&config.base, &filter, attributes, |entry| {
            note(&mut latest, &entry);
            let key = key_of(ldap, &entry, &config.key)?;
            if let Some(attribute) = &config.member_of {
                refuse_cut_off(&entry, attribute)?;
                for group in entry.all(attribute) {
                    by_group.entry(fold_dn(group)).or_default().push(key.to_owned());
                }
            }
            let disabled = disabled.contains(&fold_dn(&entry.dn));
            Ok(spool.put(&user(&entry, key, &config.attributes, disabled, keys))?)
        });
        searched.await?;
        self.latest = latest;
        Ok(())
    }

    async fn disabled(&mut self, config: &LdapUsers) -> Result<HashSet<String>, SourceError> {
        let mut disabled = HashSet::new();
        if let Some(filter) = &config.disabled {
            let filter = self.filter(&format!("(&{}{filter})", config.filter));
            // RFC 4511 §4.5.1.8: `1.1` asks for no attribute.
            let searched = self.connection.search(&config.base, &filter, vec!["1.1".to_owned()], |entry| {
                disabled.insert(fold_dn(&entry.dn));
                Ok(())
            });
            searched.await?;
        }
        Ok(disabled)
    }

    fn put_groups(
        &mut self,
        config: &LdapGroups,
        groups: &[Entry],
        keys: &HashMap<String, String>,
    ) -> Result<(), SourceError> {
        let by_people = self.ldap.config.users.member_of.is_some();
        // Groups inside list theirs as people do.
        if let Some(attribute) = &self.ldap.config.users.member_of {
            for entry in groups {
                let key = key_of(self.ldap, entry, &config.key)?;
                for outer in entry.all(attribute) {
                    self.members_by_group.entry(fold_dn(outer)).or_default().push(key.to_owned());
                }
            }
        }
        let mut strangers = 0_u64;
        for entry in groups {
            let key = key_of(self.ldap, entry, &config.key)?;
            let name = entry.first(&config.name).unwrap_or(key);
            let members = if by_people {
                self.members_by_group.remove(&fold_dn(&entry.dn)).unwrap_or_default()
            } else {
                refuse_cut_off(entry, &config.members)?;
                members(entry, config, keys, &mut strangers)
            };
            self.spool.put(&group(key, name, &members))?;
        }
        if strangers > 0 {
            tracing::warn!(source = %self.ldap.name, strangers, "groups name members outside of what is read; they are left out");
        }
        Ok(())
    }
}

/// Members by distinguished name (RFC 4519 §2.17), or by the name of their account (RFC 2307 `memberUid`),
/// which the directory finds by userName.
fn members(entry: &Entry, config: &LdapGroups, keys: &HashMap<String, String>, strangers: &mut u64) -> Vec<String> {
    let mut members = Vec::new();
    for value in entry.all(&config.members) {
        match keys.get(&fold_dn(value)) {
            Some(key) => members.push(key.clone()),
            None if value.contains('=') => *strangers += 1,
            None => members.push(value.clone()),
        }
    }
    members
}

fn key_of<'e>(ldap: &Ldap, entry: &'e Entry, key: &str) -> Result<&'e str, SourceError> {
    entry.first(key).ok_or_else(|| {
        ldap.wrong(format!(
            "the entry `{}` shows no `{key}`; may the account that asks read it? `key` names another",
            entry.dn
        ))
    })
}

fn refuse_cut_off(entry: &Entry, attribute: &str) -> Result<(), SourceError> {
    if !entry.is_cut_off(attribute) {
        return Ok(());
    }
    Err(SourceError::Incomplete {
        what: entry.dn.clone(),
        reason: format!("the server cuts `{attribute}` off; read memberships from people by `users.member_of`"),
    })
}

/// Times of one server in one notation (RFC 4517 §3.3.13), all in UTC: the later one is the greater text.
fn note(latest: &mut Option<String>, entry: &Entry) {
    if let Some(time) = entry.first(CHANGED_AT)
        && latest.as_deref().is_none_or(|known| known < time)
    {
        *latest = Some(time.to_owned());
    }
}
