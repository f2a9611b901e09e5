//! One request on one resource, be it of its own or part of a bulk request.

use scimfleet_core::scim::filter::element_matches;
use scimfleet_core::scim::message::{PatchRequest, ScimType};
use scimfleet_core::scim::patch::{self, Patch};
use scimfleet_core::scim::schema::SchemaSet;
use scimfleet_core::{ResourceId, ResourceKind};
use scimfleet_store::{Edit, GroupMember, MemberEdit, NewResource, ResourceRow};
use serde_json::Value;

use super::ServerState;
use super::accept::{self, judge, take_password};
use super::answer::{Answer, ScimError};
use super::projection::Projection;
use super::render::{location_of, reference, show_one, version_of};

/// Who asks, and where the server is for them.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) state: ServerState,
    /// The source of what is written (R2).
    pub(super) source: String,
    pub(super) base_url: String,
}

/// The entity tags that a request names (RFC 7644 §3.14).
#[derive(Debug, Clone, Default)]
pub(super) struct Preconditions {
    pub(super) if_match: Option<String>,
    pub(super) if_none_match: Option<String>,
}

impl Preconditions {
    /// Only the version that was named may be written over.
    fn check(&self, row: &ResourceRow) -> Result<(), ScimError> {
        let version = version_of(row);
        match &self.if_match {
            Some(listed) if !lists(listed, &version) => {
                Err(ScimError::new(412, None, format!("the version is {version}, which `If-Match` does not name")))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a list of entity tags names this one; weakly, since ours are weak.
fn lists(tags: &str, version: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    tags.split(',').any(|tag| tag.trim() == "*" || bare(tag) == bare(version))
}

impl Call {
    pub(super) async fn create(
        &self,
        kind: ResourceKind,
        body: Value,
        projection: &Projection,
    ) -> Result<Answer, ScimError> {
        let accepted = accept::resource(kind, body)?;
        let accept::Accepted { document, members, password } = accepted;
        let new = NewResource { kind, document, members: members.unwrap_or_default(), password };
        let row = self.state.store.create_resource::<ScimError>(&self.source, new).await?;
        self.shown(201, &row, projection).await
    }

    pub(super) async fn get(
        &self,
        kind: ResourceKind,
        id: &ResourceId,
        conditions: &Preconditions,
        projection: &Projection,
    ) -> Result<Answer, ScimError> {
        let row =
            self.state.store.live_resource(kind, id).await?.ok_or_else(|| ScimError::not_found("the resource"))?;
        let version = version_of(&row);
        if conditions.if_none_match.as_deref().is_some_and(|listed| lists(listed, &version)) {
            return Ok(Answer { version: Some(version), ..Answer::new(304, None) });
        }
        self.shown(200, &row, projection).await
    }

    /// Replaces every attribute (RFC 7644 §3.5.1). A group's members stay when the request says nothing of
    /// them: a client that never saw them must not take them all away.
    pub(super) async fn replace(
        &self,
        kind: ResourceKind,
        id: &ResourceId,
        body: Value,
        conditions: &Preconditions,
        projection: &Projection,
    ) -> Result<Answer, ScimError> {
        let accepted = accept::resource(kind, body)?;
        let edit = |before: &ResourceRow| {
            conditions.check(before)?;
            let members = accepted.members.map(MemberEdit::Replace).into_iter().collect();
            Ok(Edit { document: Some(accepted.document), members, password: accepted.password })
        };
        let row = self.state.store.modify_resource::<ScimError>(&self.source, kind, id, edit).await?;
        self.shown(200, &row, projection).await
    }

    pub(super) async fn patch(
        &self,
        kind: ResourceKind,
        id: &ResourceId,
        body: Value,
        conditions: &Preconditions,
        projection: &Projection,
    ) -> Result<Answer, ScimError> {
        let request = PatchRequest::try_from(body)?;
        if request.operations.is_empty() {
            return Err(ScimError::bad(ScimType::InvalidSyntax, "`Operations` is empty"));
        }
        let mut patch = Patch::read(kind, request, SchemaSet::builtin())?;
        let members = std::mem::take(&mut patch.members).into_iter().map(|edit| self.member_edit(edit)).collect();
        let edit = |before: &ResourceRow| {
            conditions.check(before)?;
            let mut document = before.document.clone();
            patch.apply(kind, &mut document, SchemaSet::builtin())?;
            let password = take_password(kind, &mut document)?;
            if document != before.document {
                judge(kind, &document)?;
            }
            Ok(Edit { document: Some(document), members, password })
        };
        let row = self.state.store.modify_resource::<ScimError>(&self.source, kind, id, edit).await?;
        if kind == ResourceKind::Group && !projection.asks_for_some() && self.is_large(id).await? {
            return Ok(Answer { version: Some(version_of(&row)), ..self.located(204, &row) });
        }
        self.shown(200, &row, projection).await
    }

    pub(super) async fn delete(
        &self,
        kind: ResourceKind,
        id: &ResourceId,
        conditions: &Preconditions,
    ) -> Result<Answer, ScimError> {
        let check = |before: &ResourceRow| conditions.check(before);
        self.state.store.delete_resource::<ScimError>(&self.source, kind, id, check).await?;
        Ok(Answer::new(204, None))
    }

    async fn is_large(&self, group: &ResourceId) -> Result<bool, ScimError> {
        let shown_max = self.state.limits.patch_members_shown_max;
        let counts = self.state.store.count_members(std::slice::from_ref(group), shown_max + 1).await?;
        Ok(counts.values().any(|count| *count > shown_max))
    }

    fn member_edit(&self, edit: patch::MemberEdit) -> MemberEdit {
        match edit {
            patch::MemberEdit::Add(ids) => MemberEdit::Add(ids),
            patch::MemberEdit::Remove(ids) => MemberEdit::Remove(ids),
            patch::MemberEdit::Replace(ids) => MemberEdit::Replace(ids),
            patch::MemberEdit::RemoveMatching(filter) => {
                let base_url = self.base_url.clone();
                let attribute = SchemaSet::builtin().top_level(ResourceKind::Group, "members");
                MemberEdit::RemoveWhere(Box::new(move |member: &GroupMember| {
                    let shown = reference(&base_url, member, member.kind.resource_type());
                    element_matches(&filter, &shown, attribute)
                }))
            }
        }
    }

    async fn shown(&self, status: u16, row: &ResourceRow, projection: &Projection) -> Result<Answer, ScimError> {
        let body = show_one(&self.state.store, &self.base_url, row, projection).await?;
        Ok(Answer { body: Some(body), ..self.located(status, row) })
    }

    fn located(&self, status: u16, row: &ResourceRow) -> Answer {
        Answer {
            version: Some(version_of(row)),
            location: Some(location_of(&self.base_url, row.kind, &row.id)),
            ..Answer::new(status, None)
        }
    }
}
