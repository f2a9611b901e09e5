//! Whether an account that exists at a provider may be taken for one of our objects (R26). An account is
//! never given to a different externalId in silence.

use crate::identity::RemoteId;
use crate::provider::{Adopt, MatchAttribute};

/// What we look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish<'a> {
    /// The externalId that we would send, if any.
    pub external_id: Option<&'a str>,
    /// The folded name that we would send.
    pub name_key: &'a str,
}

/// An account that might be it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id at the provider.
    pub remote_id: RemoteId,
    /// Its externalId, if it has one.
    pub external_id: Option<String>,
    /// Its folded name.
    pub name_key: Option<String>,
}

/// The judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Nobody there is meant.
    Nobody,
    /// This one is.
    Take(RemoteId),
    /// Somebody is there who may not be taken; the text says why.
    Conflict(String),
    /// The same, and the account shows whose it is.
    Owned {
        /// The externalId that it has.
        by: String,
        /// Why it may not be taken.
        words: String,
    },
}

/// Judges the accounts found, attribute by attribute in the operator's order.
pub fn judge(wish: Wish<'_>, accounts: &[Account], order: &[MatchAttribute], adopt: Adopt) -> Judgement {
    for attribute in order {
        let hits: Vec<&Account> = accounts.iter().filter(|account| fits(*attribute, wish, account)).collect();
        match hits.as_slice() {
            [] => {}
            [account] => return judge_one(wish, account, *attribute, adopt),
            several => {
                return Judgement::Conflict(format!(
                    "{} accounts there have the same {}; leave one of them, or link it by `links import`",
                    several.len(),
                    word(*attribute)
                ));
            }
        }
    }
    Judgement::Nobody
}

fn fits(attribute: MatchAttribute, wish: Wish<'_>, account: &Account) -> bool {
    match attribute {
        MatchAttribute::ExternalId => wish.external_id.is_some() && account.external_id.as_deref() == wish.external_id,
        MatchAttribute::UserName => account.name_key.as_deref() == Some(wish.name_key),
    }
}

fn judge_one(wish: Wish<'_>, account: &Account, attribute: MatchAttribute, adopt: Adopt) -> Judgement {
    if adopt == Adopt::Never {
        return Judgement::Conflict(format!(
            "an account with this {} is there already (id `{}`), and `adopt = \"never\"`",
            word(attribute),
            account.remote_id
        ));
    }
    match account.external_id.as_deref().filter(|external_id| !external_id.is_empty()) {
        Some(other) if adopt == Adopt::Safe && Some(other) != wish.external_id => Judgement::Owned {
            by: other.to_owned(),
            words: format!(
                "the account with this {} (id `{}`) belongs to externalId `{other}`; `adopt = \"any\"` would take it",
                word(attribute),
                account.remote_id
            ),
        },
        _ => Judgement::Take(account.remote_id.clone()),
    }
}

const fn word(attribute: MatchAttribute) -> &'static str {
    match attribute {
        MatchAttribute::ExternalId => "externalId",
        MatchAttribute::UserName => "name",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: &str, external_id: Option<&str>, name: &str) -> Account {
        Account {
            remote_id: RemoteId::parse(id).unwrap(),
            external_id: external_id.map(str::to_owned),
            name_key: Some(name.to_owned()),
        }
    }

    const ORDER: [MatchAttribute; 2] = [MatchAttribute::ExternalId, MatchAttribute::UserName];

    #[test]
    fn an_account_goes_to_its_owner_or_to_nobody() {
        let wish = Wish { external_id: Some("e1"), name_key: "anna" };
        let take = |id: &str| Judgement::Take(RemoteId::parse(id).unwrap());
        let cases: &[(&[Account], Adopt, Judgement)] = &[
            (&[], Adopt::Safe, Judgement::Nobody),
            (&[account("1", Some("e1"), "old-name")], Adopt::Safe, take("1")),
            (&[account("1", None, "anna")], Adopt::Safe, take("1")),
            (&[account("1", Some(""), "anna")], Adopt::Safe, take("1")),
            (&[account("1", Some("e2"), "anna")], Adopt::Any, take("1")),
            (&[account("1", Some("e1"), "x"), account("2", Some("e9"), "anna")], Adopt::Safe, take("1")),
            (&[account("1", None, "berta")], Adopt::Safe, Judgement::Nobody),
        ];
        for (accounts, adopt, expected) in cases {
            assert_eq!(judge(wish, accounts, &ORDER, *adopt), *expected, "{accounts:?}");
        }
    }

    #[test]
    fn what_may_not_be_taken_says_why() {
        let wish = Wish { external_id: Some("e1"), name_key: "anna" };
        let cases: &[(&[Account], Adopt, &str)] = &[
            (&[account("1", Some("e2"), "anna")], Adopt::Safe, "belongs to externalId `e2`"),
            (&[account("1", Some("e1"), "anna")], Adopt::Never, "adopt = \"never\""),
            (&[account("1", None, "anna"), account("2", None, "anna")], Adopt::Any, "2 accounts"),
        ];
        for (accounts, adopt, words) in cases {
            match judge(wish, accounts, &ORDER, *adopt) {
                Judgement::Conflict(text) | Judgement::Owned { words: text, .. } => {
                    assert!(text.contains(words), "{text}");
                }
                other => panic!("{other:?} for {accounts:?}"),
            }
        }
    }

    #[test]
    fn without_an_external_id_only_the_name_counts() {
        let wish = Wish { external_id: None, name_key: "anna" };
        let stranger = [account("1", Some("e7"), "anna")];
        assert!(matches!(judge(wish, &stranger, &ORDER, Adopt::Safe), Judgement::Owned { by, .. } if by == "e7"));
        assert_eq!(judge(wish, &[account("1", None, "berta")], &ORDER, Adopt::Safe), Judgement::Nobody);
    }
}
