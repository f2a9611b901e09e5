//! How a service provider behaves, as data. The default is a provider that does everything RFC 7643 and
//! RFC 7644 ask for; each switch turns on one habit that real applications have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a `filter` does in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filtering {
    /// It is evaluated (RFC 7644 §3.4.2.2).
    #[default]
    Works,
    /// Everything is returned.
    Ignored,
    /// 400 with `invalidFilter`.
    Refused,
    /// 200 with nothing in it, whatever was asked.
    Empty,
}

/// How a listing is cut into pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Paging {
    /// `startIndex` and `count` (RFC 7644 §3.4.2.4).
    #[default]
    Index,
    /// `cursor` and `nextCursor` only (RFC 9865); `startIndex` is ignored.
    Cursor,
    /// `startIndex` is ignored: the same page again and again.
    FirstPageForEver,
    /// The first page is all there is, and `totalResults` says the same.
    FirstPageOnly,
}

/// What `totalResults` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Total {
    /// The number of matches.
    #[default]
    Right,
    /// The number of resources on the page.
    PageSize,
    /// Ten more than there are.
    Inflated,
    /// Nothing.
    Absent,
}

/// What a group shows of its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Returned {
    /// All of them.
    #[default]
    Listed,
    /// The attribute is missing.
    Absent,
    /// The attribute is `null`.
    Null,
    /// An empty list.
    Empty,
}

/// What happens to members in a POST of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CreateMembers {
    /// They become members.
    #[default]
    Accepted,
    /// They are dropped in silence.
    Ignored,
    /// 400.
    Refused,
}

/// What happens to a member that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownMembers {
    /// 400 with `invalidValue`.
    #[default]
    Refused,
    /// It is left out in silence.
    Dropped,
    /// It is kept as it is.
    Accepted,
}

/// Which ways of removing members are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Removal {
    /// By value path and by list.
    #[default]
    Any,
    /// `members[value eq "x"]` only.
    ValuePath,
    /// `path: "members"` with a list of values only.
    ValueList,
}

/// Which operations of a PATCH are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PatchPaths {
    /// With and without `path`.
    #[default]
    Any,
    /// Only with `path`; others get 400.
    Required,
    /// Only without `path`; others get 400.
    Pathless,
    /// Only without `path`, but for members; others get 400.
    PathlessAttributes,
}

/// How `op` must be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpCase {
    /// Any case is accepted; only lower case keeps to the RFC.
    #[default]
    Any,
    /// Lower case, else 400.
    Lower,
    /// `Add`, `Replace`, `Remove`, else 400.
    Capitalised,
}

/// What a successful PATCH is answered with (RFC 7644 §3.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PatchBody {
    /// 200 and the resource for users; 204 for groups unless `attributes` is asked.
    #[default]
    UsersOnly,
    /// 200 and the resource.
    Always,
    /// 204.
    Never,
}

/// What DELETE of a user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeleteUsers {
    /// It is gone.
    #[default]
    Delete,
    /// 204, and the user stays with `active` false.
    Deactivate,
    /// 405.
    Refused,
}

/// How `status` stands in an error body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatusStyle {
    /// A string, as RFC 7644 §3.12 has it.
    #[default]
    Text,
    /// A number.
    Number,
    /// Not at all.
    Absent,
}

/// What `Retry-After` says in a 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryAfter {
    /// Whole seconds until a request is free.
    #[default]
    Seconds,
    /// The same as an HTTP date.
    Date,
    /// The header is missing.
    Absent,
    /// Ten years.
    Absurd,
}

/// Where a new resource's `id` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdSource {
    /// A random UUID.
    #[default]
    Random,
    /// Its `externalId`; random without one.
    ExternalId,
    /// Its `userName` or `displayName`; it follows a rename.
    Name,
}

/// A limit of requests, answered with 429 beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Requests per second on average.
    pub per_second: f64,
    /// Requests that may come at once after a quiet time.
    #[serde(default = "one")]
    pub burst: u32,
    /// What `Retry-After` says.
    #[serde(default)]
    pub retry_after: RetryAfter,
}

fn one() -> u32 {
    1
}

/// The habits of one service provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Milliseconds that every request takes before it is looked at.
    pub latency_ms: u64,
    /// The limit of requests; none by default.
    pub rate: Option<RateLimit>,
    /// Limits of requests by method and, optionally, endpoint: `POST`, `PATCH /Groups`, `PATCH /Groups>500` for
    /// those with more than 500 bytes; none by default.
    pub rates: BTreeMap<String, RateLimit>,
    /// The only `Content-Type` accepted in requests with a body; others get 415.
    pub content_type_required: Option<String>,
    /// Requests without `User-Agent` get 403.
    pub user_agent_required: bool,
    /// DELETE with an `Accept` that names JSON gets 400.
    pub delete_refuses_json: bool,
    /// How `status` stands in an error body.
    pub status_style: StatusStyle,
    /// Whether errors carry `scimType`.
    pub scim_type: bool,
    /// Errors are HTML pages.
    pub html_errors: bool,
    /// Keep request bodies in the journal.
    pub journal_bodies: bool,
    /// Whether `/ServiceProviderConfig`, `/ResourceTypes` and `/Schemas` exist.
    pub discovery: bool,
    /// Where the configuration is found below the base URL.
    pub config_path: String,
    /// Laid over the announced configuration, key by key: a way to lie.
    pub config: Map<String, Value>,
    /// Whether `/Groups` exists.
    pub groups: bool,
    /// URNs of further extensions that are announced and accepted.
    pub extra_schemas: Vec<String>,
    /// Where a new `id` comes from.
    pub id: IdSource,
    /// The status of a create; 204 goes without a body.
    pub created_status: u16,
    /// Whether a create names its `Location`.
    pub location: bool,
    /// User attributes, besides `userName`, without which a create gets 400 (dotted for sub-attributes).
    pub attributes_required: Vec<String>,
    /// Characters in a `userName`; 0 is no limit.
    pub user_name_length_max: usize,
    /// Characters that get 400 in `userName`, `displayName` and `name`.
    pub characters_refused: String,
    /// A group's `displayName` is unique without regard to case, else 409.
    pub unique_group_names: bool,
    /// Multi-valued attributes of which more than one value gets 400.
    pub single_valued: Vec<String>,
    /// Whether PUT is known; else [`Behaviour::put_refused_status`].
    pub put: bool,
    /// What a PUT is answered with where it is not known.
    pub put_refused_status: u16,
    /// A PUT of a group leaves its members as they are.
    pub put_ignores_members: bool,
    /// A PUT without `id` in its body gets 400.
    pub put_needs_id: bool,
    /// The status of a PUT; 204 goes without a body.
    pub put_status: u16,
    /// Whether PATCH is known; else 501 (RFC 7644 §3.5.2).
    pub patch: bool,
    /// Which operations of a PATCH are understood.
    pub patch_paths: PatchPaths,
    /// What a successful PATCH is answered with.
    pub patch_body: PatchBody,
    /// How `op` must be written.
    pub op_case: OpCase,
    /// Whether versions are shown and `If-Match` is heeded.
    pub etag: bool,
    /// Attributes that get 400 in a PATCH.
    pub attributes_refused: Vec<String>,
    /// Attributes of a group that a PATCH may change; empty is any, others get 400.
    pub group_patch_attributes: Vec<String>,
    /// A change of a group's `displayName` is answered well and dropped.
    pub group_renames_ignored: bool,
    /// Attributes that are dropped in silence (dotted for sub-attributes, URNs for extensions).
    pub attributes_dropped: Vec<String>,
    /// Attributes whose text is kept in lower case.
    pub attributes_lower_cased: Vec<String>,
    /// Shown in every resource unless it has them.
    pub attributes_added: Map<String, Value>,
    /// Booleans are shown as `"True"` and `"False"`, and accepted so.
    pub booleans_as_text: bool,
    /// Whether users show their `groups`.
    pub user_groups: bool,
    /// Milliseconds before a new resource is found by listings.
    pub visible_after_ms: u64,
    /// What a group shows of its members.
    pub members_returned: Returned,
    /// What happens to members in a POST.
    pub members_in_create: CreateMembers,
    /// Members in one POST; 0 is no limit.
    pub members_per_create_max: usize,
    /// Members in one PATCH, added and removed together; 0 is no limit.
    pub members_per_patch_max: usize,
    /// Members removed by one PATCH; 0 is no limit.
    pub members_removed_per_patch_max: usize,
    /// The `type` that a member who is a user must carry, else 400.
    pub member_type_required: Option<String>,
    /// Whether PATCH may replace or clear `members` as a whole; else 400.
    pub members_replace: bool,
    /// Which ways of removing members are understood.
    pub member_removal: Removal,
    /// Removing who is no member gets 404.
    pub removing_non_member_is_404: bool,
    /// What happens to a member that does not exist.
    pub unknown_members: UnknownMembers,
    /// Whether groups may be members; else 400.
    pub nested_groups: bool,
    /// What a filter does.
    pub filter: Filtering,
    /// Attributes that may stand in a filter; empty is any.
    pub filter_attributes: Vec<String>,
    /// A filter by another attribute is answered with 200 and nothing instead of 400.
    pub foreign_filter_is_empty: bool,
    /// A listing without a filter shows one user who does not exist.
    pub listing_is_made_up: bool,
    /// Only `eq` joined by `and` is understood.
    pub filter_eq_and_only: bool,
    /// How a listing is cut into pages.
    pub paging: Paging,
    /// Resources on a page at the most.
    pub page_size_max: usize,
    /// What `totalResults` says.
    pub total: Total,
    /// The key of the resources in a listing.
    pub list_key: String,
    /// Whether `/Bulk` exists (RFC 7644 §3.7).
    pub bulk: bool,
    /// Operations in one bulk request; more get 413.
    pub bulk_operations_max: usize,
    /// Bytes in one bulk request; more get 413.
    pub bulk_payload_bytes_max: usize,
    /// Whether a `bulkId:` in a bulk request is replaced by the account that it names; else it is kept as text.
    pub bulk_ids_resolved: bool,
    /// What DELETE of a user does.
    pub delete_users: DeleteUsers,
    /// Whether a user who is deactivated is deleted instead, as one who has not accepted an invitation.
    pub deactivating_deletes: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            rate: None,
            rates: BTreeMap::new(),
            content_type_required: None,
            user_agent_required: false,
            delete_refuses_json: false,
            status_style: StatusStyle::Text,
            scim_type: true,
            html_errors: false,
            journal_bodies: false,
            discovery: true,
            config_path: "/ServiceProviderConfig".to_owned(),
            config: Map::new(),
            groups: true,
            extra_schemas: Vec::new(),
            id: IdSource::Random,
            created_status: 201,
            location: true,
            attributes_required: Vec::new(),
            user_name_length_max: 0,
            characters_refused: String::new(),
            unique_group_names: false,
            single_valued: Vec::new(),
            put: true,
            put_refused_status: 405,
            put_ignores_members: false,
            put_needs_id: false,
            put_status: 200,
            patch: true,
            patch_paths: PatchPaths::Any,
            patch_body: PatchBody::UsersOnly,
            op_case: OpCase::Any,
            etag: true,
            attributes_refused: Vec::new(),
            group_patch_attributes: Vec::new(),
            group_renames_ignored: false,
            attributes_dropped: Vec::new(),
            attributes_lower_cased: Vec::new(),
            attributes_added: Map::new(),
            booleans_as_text: false,
            user_groups: true,
            visible_after_ms: 0,
            members_returned: Returned::Listed,
            members_in_create: CreateMembers::Accepted,
            members_per_create_max: 0,
            members_per_patch_max: 0,
            members_removed_per_patch_max: 0,
            member_type_required: None,
            members_replace: true,
            member_removal: Removal::Any,
            removing_non_member_is_404: false,
            unknown_members: UnknownMembers::Refused,
            nested_groups: true,
            filter: Filtering::Works,
            filter_attributes: Vec::new(),
            foreign_filter_is_empty: false,
            listing_is_made_up: false,
            filter_eq_and_only: false,
            paging: Paging::Index,
            page_size_max: 1000,
            total: Total::Right,
            list_key: "Resources".to_owned(),
            bulk: true,
            bulk_operations_max: 1000,
            bulk_payload_bytes_max: 1_048_576,
            bulk_ids_resolved: true,
            delete_users: DeleteUsers::Delete,
            deactivating_deletes: false,
        }
    }
}
