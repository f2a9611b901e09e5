//! What a provider lacks of a group's members, and what it has too many (R21): differences between the
//! memberships that should be and those that were sent, never a read of the provider.

use std::borrow::Cow;
use std::collections::HashMap;

use scimfleet_core::state::LinkState;
use scimfleet_core::{ProviderId, RemoteId, ResourceId, ResourceKind};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::connect::Store;
use crate::error::StoreError;
use crate::link::verdict::Wanted;
use crate::sql::{json, parsed, statement, unpack, word};

/// A member of a group, with its account at one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// The group.
    pub group_id: ResourceId,
    /// The member.
    pub member_id: ResourceId,
    /// User or group.
    pub kind: ResourceKind,
    /// Its account at the provider, if it has one.
    pub remote_id: Option<RemoteId>,
    /// The verdict on it; `None` when it was never considered there.
    pub wanted: Option<Wanted>,
    /// Its state at the provider.
    pub state: Option<LinkState>,
    /// It gets no account there: inactive, and none exists (R10).
    pub inactive: bool,
}

/// The differences of some groups at one provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MembershipDelta {
    /// Members that were not sent yet; those without an account cannot be sent.
    pub missing: Vec<MemberRow>,
    /// Members that were sent and do not belong there any more, by the account they had.
    pub surplus: Vec<(ResourceId, ResourceId, RemoteId)>,
    /// Members that were sent and whose account is gone, by the account they had: many providers took them
    /// out of their groups by themselves, some did not.
    pub vanished: Vec<(ResourceId, ResourceId, RemoteId)>,
    /// Group and member: surplus and vanished ones that belong to the group all the same. They are to be sent
    /// again when they have an account, or are wanted again.
    pub left_out: Vec<(ResourceId, ResourceId)>,
}

/// The columns of a [`MemberRow`], in their order, for [`Dialect::packed`](crate::sql::Dialect::packed).
const MEMBER: &str = "m.group_id, m.member_id, r.kind, l.remote_id, l.wanted, l.state, r.active";
/// The same where nothing but the link is read of whoever has an account: most members, and all that is asked of them.
const MEMBER_BY_LINK: &str = "m.group_id, m.member_id, \
     COALESCE(l.kind, (SELECT r.kind FROM resources r WHERE r.id = m.member_id)), l.remote_id, l.wanted, l.state, \
     CASE WHEN l.remote_id IS NULL THEN (SELECT r.active FROM resources r WHERE r.id = m.member_id) ELSE 1 END";

type Packed<'a> =
    (Cow<'a, str>, Cow<'a, str>, Cow<'a, str>, Option<String>, Option<Cow<'a, str>>, Option<Cow<'a, str>>, i64);

fn member_row(row: &AnyRow) -> Result<MemberRow, StoreError> {
    let text: &str = row.try_get("member")?;
    let (group_id, member_id, kind, remote_id, wanted, state, active): Packed<'_> = unpack(text, "memberships")?;
    Ok(MemberRow {
        group_id: parsed(&group_id, "memberships")?,
        member_id: parsed(&member_id, "memberships")?,
        kind: parsed(&kind, "resources")?,
        remote_id: remote_id.map(|text| parsed(&text, "links")).transpose()?,
        wanted: wanted.map(|text| parsed(&text, "links")).transpose()?,
        state: state.map(|text| parsed(&text, "links")).transpose()?,
        inactive: active == 0,
    })
}

/// Members as they are, and the table to read them from.
pub(crate) const DIRECT: (&str, &str) = ("", "memberships");
/// Whose members are compared: the groups `b`, or what is noted of them as `o`.
const WHOLE: (&str, &str, &str) = ("", "m.group_id = b.id", "s.group_id = b.id");
const OWED: (&str, &str, &str) = (
    "JOIN owed_memberships o ON o.provider_id = $1 AND o.group_id = b.id ",
    "m.group_id = o.group_id AND m.member_id = o.member_id",
    "s.group_id = o.group_id AND s.member_id = o.member_id",
);

/// The users inside, however deep, and the table to read them from; `{texts}` is the list of groups. SQLite
/// guesses that a recursion gives much: CROSS JOIN keeps it from reading the larger table first.
pub(crate) fn flattened(texts: &str) -> (String, &'static str) {
    let with = format!(
        "WITH RECURSIVE under(group_id, member_id) AS (SELECT b.id, n.member_id FROM {texts} \
           JOIN memberships n ON n.group_id = b.id UNION \
           SELECT u.group_id, n.member_id FROM under u JOIN memberships n ON n.group_id = u.member_id), \
         flat(group_id, member_id) AS (SELECT u.group_id, u.member_id FROM under u \
           CROSS JOIN resources x WHERE x.id = u.member_id AND x.kind = 'user') "
    );
    (with, "flat")
}

/// Which members are read of a group for which something is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembersRead {
    /// All of a group that has no account or was never compared; of others only those that are noted as owed.
    Differences,
    /// All of any group, since the whole list is sent.
    Whole,
    /// The users inside, however deep.
    Flattened,
}

impl Store {
    /// How many members are read of each of these groups; those of which none are, are left out.
    pub async fn members_read(
        &self,
        provider: ProviderId,
        groups: &[ResourceId],
        read: MembersRead,
    ) -> Result<HashMap<ResourceId, u64>, StoreError> {
        let texts = self.dialect().texts(2);
        let (with, table) = match read {
            MembersRead::Flattened => flattened(&texts),
            MembersRead::Differences | MembersRead::Whole => (String::new(), DIRECT.1),
        };
        let condition = match read {
            MembersRead::Differences => "AND (l.remote_id IS NULL OR l.members_whole = 1)",
            MembersRead::Flattened | MembersRead::Whole => "",
        };
        let sql = statement(format!(
            "{with}SELECT m.group_id AS group_id, CAST(count(*) AS BIGINT) AS members FROM {texts} \
             CROSS JOIN links l CROSS JOIN {table} m \
             WHERE l.provider_id = $1 AND l.resource_id = b.id AND m.group_id = b.id {condition} GROUP BY m.group_id"
        ));
        let rows = sqlx::query(sql).bind(provider.to_string()).bind(json(groups)).fetch_all(self.read()).await?;
        rows.iter()
            .map(|row| Ok((word(row, "memberships", "group_id")?, row.try_get::<i64, _>("members")?.unsigned_abs())))
            .collect()
    }

    /// What these groups lack and have too many at a provider, of those members that are noted as owed.
    pub async fn owed_delta(&self, provider: ProviderId, groups: &[ResourceId]) -> Result<MembershipDelta, StoreError> {
        self.delta(provider, groups, DIRECT, OWED).await
    }

    /// What these groups lack and have too many at a provider, all members compared.
    pub async fn membership_delta(
        &self,
        provider: ProviderId,
        groups: &[ResourceId],
    ) -> Result<MembershipDelta, StoreError> {
        self.delta(provider, groups, DIRECT, WHOLE).await
    }

    /// The same where groups are never members, and the users inside them are.
    pub async fn flattened_delta(
        &self,
        provider: ProviderId,
        groups: &[ResourceId],
    ) -> Result<MembershipDelta, StoreError> {
        let (with, table) = flattened(&self.dialect().texts(2));
        self.delta(provider, groups, (&with, table), WHOLE).await
    }

    async fn delta(
        &self,
        provider: ProviderId,
        groups: &[ResourceId],
        (with, table): (&str, &str),
        (owed, of_memberships, of_sent): (&str, &str, &str),
    ) -> Result<MembershipDelta, StoreError> {
        let (texts, member) = (self.dialect().texts(2), self.dialect().packed(MEMBER));
        let missing = statement(format!(
            "{with}SELECT {member} AS member FROM {texts} {owed}JOIN {table} m ON {of_memberships} \
             JOIN resources r ON r.id = m.member_id \
             LEFT JOIN links l ON l.provider_id = $1 AND l.resource_id = m.member_id \
             LEFT JOIN sent_memberships s ON s.provider_id = $1 AND s.group_id = m.group_id AND s.member_id = m.member_id \
             WHERE s.member_id IS NULL OR (l.remote_id IS NOT NULL AND s.remote_id <> l.remote_id) \
             ORDER BY m.group_id, m.member_id"
        ));
        let rows = sqlx::query(missing).bind(provider.to_string()).bind(json(groups)).fetch_all(self.read()).await?;
        let missing = rows.iter().map(member_row).collect::<Result<_, _>>()?;
        let mut delta = MembershipDelta { missing, ..MembershipDelta::default() };
        let surplus = statement(format!(
            "{with}SELECT s.group_id AS group_id, s.member_id AS member_id, s.remote_id AS remote_id, \
             l.remote_id AS account, m.member_id AS belongs FROM {texts} {owed}CROSS JOIN sent_memberships s \
             LEFT JOIN {table} m ON m.group_id = s.group_id AND m.member_id = s.member_id \
             LEFT JOIN links l ON l.provider_id = $1 AND l.resource_id = s.member_id \
             WHERE s.provider_id = $1 AND {of_sent} AND (m.member_id IS NULL \
             OR (l.wanted <> 'yes' AND l.held_by IS NULL) OR l.remote_id IS NULL) ORDER BY s.group_id, s.member_id"
        ));
        for row in &sqlx::query(surplus).bind(provider.to_string()).bind(json(groups)).fetch_all(self.read()).await? {
            let group: ResourceId = word(row, "sent_memberships", "group_id")?;
            let member: ResourceId = word(row, "sent_memberships", "member_id")?;
            if row.try_get::<Option<String>, _>("belongs")?.is_some() {
                delta.left_out.push((group.clone(), member.clone()));
            }
            let account: Option<String> = row.try_get("account")?;
            let list = if account.is_some() { &mut delta.surplus } else { &mut delta.vanished };
            list.push((group, member, word(row, "sent_memberships", "remote_id")?));
        }
        Ok(delta)
    }

    /// Every member of these groups, with its account at a provider: for providers that only take the
    /// whole list (PUT).
    pub async fn members_at(&self, provider: ProviderId, groups: &[ResourceId]) -> Result<Vec<MemberRow>, StoreError> {
        self.whole(provider, groups, DIRECT).await
    }

    /// The same where groups are never members, and the users inside them are.
    pub async fn flattened_at(
        &self,
        provider: ProviderId,
        groups: &[ResourceId],
    ) -> Result<Vec<MemberRow>, StoreError> {
        let (with, table) = flattened(&self.dialect().texts(2));
        self.whole(provider, groups, (&with, table)).await
    }

    async fn whole(
        &self,
        provider: ProviderId,
        groups: &[ResourceId],
        (with, table): (&str, &str),
    ) -> Result<Vec<MemberRow>, StoreError> {
        let (texts, member) = (self.dialect().texts(2), self.dialect().packed(MEMBER_BY_LINK));
        let sql = statement(format!(
            "{with}SELECT {member} AS member FROM {texts} JOIN {table} m ON m.group_id = b.id \
             LEFT JOIN links l ON l.provider_id = $1 AND l.resource_id = m.member_id \
             WHERE l.kind IS NOT NULL OR EXISTS (SELECT 1 FROM resources r WHERE r.id = m.member_id) \
             ORDER BY m.group_id, m.member_id"
        ));
        let rows = sqlx::query(sql).bind(provider.to_string()).bind(json(groups)).fetch_all(self.read()).await?;
        rows.iter().map(member_row).collect()
    }

    /// Groups at a provider that hold one of these groups, however deep: where they are flattened, they change
    /// with it.
    pub async fn groups_above(
        &self,
        provider: ProviderId,
        groups: &[ResourceId],
    ) -> Result<Vec<ResourceId>, StoreError> {
        let texts = self.dialect().texts(2);
        let sql = statement(format!(
            "WITH RECURSIVE up(id) AS (SELECT b.id FROM {texts} UNION \
               SELECT m.group_id FROM up JOIN memberships m ON m.member_id = up.id) \
             SELECT l.resource_id AS resource_id FROM up CROSS JOIN links l \
             WHERE l.provider_id = $1 AND l.resource_id = up.id AND l.wanted = 'yes'"
        ));
        let rows = sqlx::query(sql).bind(provider.to_string()).bind(json(groups)).fetch_all(self.read()).await?;
        rows.iter().map(|row| word(row, "links", "resource_id")).collect()
    }

    /// Groups at a provider that hold, or should hold, one of these members: they change with it.
    pub async fn groups_around(
        &self,
        provider: ProviderId,
        members: &[ResourceId],
    ) -> Result<Vec<ResourceId>, StoreError> {
        let texts = self.dialect().texts(2);
        let sql = statement(format!(
            "SELECT DISTINCT l.resource_id AS resource_id FROM {texts} JOIN memberships m ON m.member_id = b.id \
             JOIN links l ON l.provider_id = $1 AND l.resource_id = m.group_id AND l.wanted = 'yes'"
        ));
        let rows = sqlx::query(sql).bind(provider.to_string()).bind(json(members)).fetch_all(self.read()).await?;
        rows.iter().map(|row| word(row, "links", "resource_id")).collect()
    }
}
