//! The switches of a profile: each one a habit of real service providers that RFC 7643 and RFC 7644 leave
//! open, or that is common although they do not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ports::Rate;
use crate::provider::parse_rate;
use crate::scim::ResourceKind;
use crate::state::words;

words!(
    /// How an existing resource is changed.
    Update, "update method" {
        /// PATCH with what changed (RFC 7644 §3.5.2).
        Patch = "patch",
        /// PUT with the whole (RFC 7644 §3.5.1).
        Put = "put",
    }
);

words!(
    /// How something is changed that may go another way than other updates.
    Way, "way" {
        /// As other updates.
        Update = "update",
        /// By PATCH, whatever other updates do.
        Patch = "patch",
    }
);

words!(
    /// How a PATCH names what it changes.
    PatchPaths, "patch paths" {
        /// A `path` on every operation.
        Path = "path",
        /// Without `path`: the value is an object of attributes. Members keep their path.
        Pathless = "pathless",
    }
);

words!(
    /// How `op` is written.
    OpCase, "op case" {
        /// `replace` (RFC 7644 §3.5.2).
        Lower = "lower",
        /// `Replace`.
        Capitalised = "capitalised",
    }
);

words!(
    /// How truth values are written in a PATCH.
    PatchBooleans, "patch booleans" {
        /// `false`.
        Json = "json",
        /// `"False"`.
        Text = "text",
    }
);

words!(
    /// How a PATCH names an attribute of an extension.
    ExtensionAttributes, "extension attributes" {
        /// `urn:…:User:department` (RFC 7644 §3.10).
        Urn = "urn",
        /// The extension's URN, and an object with the attribute as the value.
        Nested = "nested",
    }
);

words!(
    /// What happens to values that others added to a multi-valued attribute.
    MultiValued, "treatment of multi-valued attributes" {
        /// They are left alone: only ours are added and removed.
        Merge = "merge",
        /// The attribute is ours: our values replace whatever is there.
        Replace = "replace",
    }
);

words!(
    /// How a member is taken out of a group by PATCH.
    MemberRemoval, "member removal" {
        /// `members[value eq "x"]`, one operation a member (RFC 7644 §3.5.2.2).
        ValuePath = "value-path",
        /// `path: "members"` with the list of values (Entra's way).
        ValueList = "value-list",
    }
);

words!(
    /// Whether a member says what it is (RFC 7643 §4.2, `members.type`).
    MemberType, "member type" {
        /// Left out: it is optional.
        Absent = "absent",
        /// `User` or `Group`.
        Capitalised = "capitalised",
        /// `user` or `group`.
        Lower = "lower",
    }
);

words!(
    /// How groups inside groups are sent.
    NestedGroups, "nested groups" {
        /// As members of type `Group`.
        Members = "members",
        /// The users inside become members; groups are never members.
        Flatten = "flatten",
        /// Only users who are members themselves: groups inside are left out, as authentik does it.
        Omit = "omit",
    }
);

words!(
    /// How a listing goes on.
    Paging, "paging" {
        /// `startIndex` (RFC 7644 §3.4.2.4), and a cursor where one is handed out.
        Index = "index",
        /// A cursor from the first page on (RFC 9865).
        Cursor = "cursor",
    }
);

words!(
    /// How it is found out whether an account is there.
    Lookups, "look-ups" {
        /// By a filter for each object.
        Filter = "filter",
        /// Everybody is listed once, and searched here.
        List = "list",
    }
);

/// The switches. Unknown keys are refused, so that a typing error in an override is not silent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// How resources are changed.
    pub update: Update,
    /// How `active` is set to false.
    pub deactivate: Way,
    /// How a PATCH names what it changes.
    pub patch_paths: PatchPaths,
    /// How `op` is written.
    pub op_case: OpCase,
    /// How truth values are written in a PATCH.
    pub patch_booleans: PatchBooleans,
    /// How a PATCH names an attribute of an extension.
    pub extension_attributes: ExtensionAttributes,
    /// What happens to values that others added to a multi-valued attribute.
    pub multi_valued: MultiValued,
    /// Whether `emails[value eq "x"]` is understood in a PATCH; without it such an attribute is read,
    /// merged and written.
    pub value_paths: bool,
    /// Whether a PUT must carry the `id`.
    pub put_with_id: bool,
    /// Whether an id follows the name: it is read again after a rename.
    pub id_follows_name: bool,
    /// How members are changed.
    pub members_update: Way,
    /// Whether a POST of a group may carry members.
    pub members_in_create: bool,
    /// Members in one POST at the most; 0 is no limit.
    pub members_per_create: u32,
    /// Members added or removed by one PATCH at the most.
    pub members_per_patch: u32,
    /// Members removed by one PATCH at the most; 0: as `members_per_patch`.
    pub removals_per_patch: u32,
    /// How members are removed.
    pub member_removal: MemberRemoval,
    /// Whether a member says what it is.
    pub member_type: MemberType,
    /// Whether a group shows its members; without that nothing is concluded from what it shows.
    pub members_readable: bool,
    /// Whether deleting a user takes the user out of its groups there; learned when a removal finds nobody.
    pub delete_leaves_groups: bool,
    /// How groups inside groups are sent.
    pub nested_groups: NestedGroups,
    /// Whether the provider has groups at all; without them users are sent all the same.
    pub groups: bool,
    /// Attributes of a group that are sent; empty means all.
    pub group_attributes: Vec<String>,
    /// Whether a group's displayName can be changed; where it cannot, a rename is parked.
    pub group_renames: bool,
    /// Resources asked for per page of a listing.
    pub page_size: u32,
    /// How a listing goes on.
    pub paging: Paging,
    /// Whether a listing shows everybody; where it does not, nothing is concluded from it.
    pub listing: bool,
    /// Whether filters are understood (`eq` at least).
    pub filter: bool,
    /// Attributes that may stand in a filter; empty means any.
    pub filter_attributes: Vec<String>,
    /// How it is found out whether an account is there.
    pub lookups: Lookups,
    /// `Content-Type` of requests with a body.
    pub content_type: String,
    /// `Accept` of requests.
    pub accept: String,
    /// `Accept` of requests with these methods, such as `DELETE`, in place of `accept`.
    pub accept_by_method: BTreeMap<String, String>,
    /// `User-Agent` of every request; empty: the program's name and version.
    pub user_agent: String,
    /// Whether paths end with a slash.
    pub trailing_slash: bool,
    /// Where the configuration is found; empty: `/ServiceProviderConfig`, then the plural.
    pub config_path: String,
    /// Whether If-Match is understood.
    pub etag: bool,
    /// Operations in one bulk request; 0 means no bulk.
    pub bulk_operations: u32,
    /// Bytes in one bulk request.
    pub bulk_payload_bytes: u64,
    /// Whether operations of one bulk request may refer to each other by `bulkId` (RFC 7644 §3.7.2): a user and
    /// the user's manager, or a group and the groups inside of it, are then created together. Whether it is true is
    /// seen at the first such pair, and remembered.
    pub bulk_references: bool,
    /// Whether passwords may be sent.
    pub change_password: bool,
    /// Whether DELETE of a user really deletes; where it does not, users are deactivated.
    pub delete_users: bool,
    /// Attribute paths that are never sent.
    pub drop_attributes: Vec<String>,
    /// Attribute paths that every user must have.
    pub attributes_required: Vec<String>,
    /// Multi-valued attributes of which one value is sent: the primary one, else the first.
    pub single_valued: Vec<String>,
    /// Characters in the text at an attribute path at the most.
    pub length_max: BTreeMap<String, u32>,
    /// Characters that the text at an attribute path must not hold.
    pub characters_refused: BTreeMap<String, String>,
    /// Requests per time by class: `any`, `read`, `write`, `create`, `update`, `delete`, the last four also
    /// as `user-…` and `group-…`; with `>500` after it, only requests with more bytes than that; each as `25/s`,
    /// `600/m` or `1000/h`.
    pub rates: BTreeMap<String, String>,
    /// Whether one worker at a time may write.
    pub one_writer: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            update: Update::Put,
            deactivate: Way::Update,
            patch_paths: PatchPaths::Path,
            op_case: OpCase::Lower,
            patch_booleans: PatchBooleans::Json,
            extension_attributes: ExtensionAttributes::Urn,
            multi_valued: MultiValued::Merge,
            value_paths: false,
            put_with_id: false,
            id_follows_name: false,
            members_update: Way::Update,
            members_in_create: true,
            members_per_create: 0,
            members_per_patch: 100,
            removals_per_patch: 0,
            member_removal: MemberRemoval::ValuePath,
            member_type: MemberType::Absent,
            members_readable: true,
            delete_leaves_groups: false,
            nested_groups: NestedGroups::Members,
            groups: true,
            group_attributes: Vec::new(),
            group_renames: true,
            page_size: 100,
            paging: Paging::Index,
            listing: true,
            filter: false,
            filter_attributes: Vec::new(),
            lookups: Lookups::Filter,
            content_type: "application/scim+json".to_owned(),
            accept: "application/scim+json, application/json;q=0.9".to_owned(),
            accept_by_method: BTreeMap::new(),
            user_agent: String::new(),
            trailing_slash: false,
            config_path: String::new(),
            etag: false,
            bulk_operations: 0,
            bulk_payload_bytes: 0,
            bulk_references: false,
            change_password: false,
            delete_users: true,
            drop_attributes: Vec::new(),
            attributes_required: Vec::new(),
            single_valued: Vec::new(),
            length_max: BTreeMap::new(),
            characters_refused: BTreeMap::new(),
            rates: BTreeMap::new(),
            one_writer: false,
        }
    }
}

/// What a request does, as rates count it.
const ACTIONS: [&str; 4] = ["write", "create", "update", "delete"];

/// A class of rates, and the size in bytes that its requests exceed.
fn sized(class: &str) -> (&str, Option<&str>) {
    class.split_once('>').map_or((class, None), |(class, size)| (class, Some(size)))
}

impl Profile {
    /// Whether `attribute eq "…"` may be asked.
    pub fn can_filter_by(&self, attribute: &str) -> bool {
        self.filter
            && self.lookups == Lookups::Filter
            && (self.filter_attributes.is_empty()
                || self.filter_attributes.iter().any(|known| known.eq_ignore_ascii_case(attribute)))
    }

    /// How resources are changed that are not members.
    pub const fn update_of_active(&self) -> Update {
        match self.deactivate {
            Way::Patch => Update::Patch,
            Way::Update => self.update,
        }
    }

    /// How members are changed.
    pub const fn update_of_members(&self) -> Update {
        match self.members_update {
            Way::Patch => Update::Patch,
            Way::Update => self.update,
        }
    }

    /// The classes of [`Profile::rates`] that a request counts to. `action` is `read`, `create`, `update` or
    /// `delete`, `bytes` the length of its body.
    pub fn rates_of(&self, kind: ResourceKind, action: &str, bytes: usize) -> Vec<(&str, Rate)> {
        let of = |class: &str| {
            let (class, larger_than) = sized(class);
            let class = class.strip_prefix(kind.as_str()).and_then(|rest| rest.strip_prefix('-')).unwrap_or(class);
            let is_of_kind = class == "any" || class == action || class == "write" && action != "read";
            is_of_kind && larger_than.is_none_or(|size| size.parse().is_ok_and(|size: usize| bytes > size))
        };
        self.rates
            .iter()
            .filter(|(class, _)| of(class))
            .filter_map(|(class, text)| Some((class.as_str(), parse_rate(text)?)))
            .collect()
    }

    /// Whether [`Profile::rates_of`] asks for the length of a body.
    pub fn counts_bytes(&self) -> bool {
        self.rates.keys().any(|class| sized(class).1.is_some())
    }

    /// What cannot be told by the type alone: the key, and what is wrong.
    pub(super) fn flaw(&self) -> Option<(&'static str, String)> {
        let known = |class: &str| {
            let (class, larger_than) = sized(class);
            let bare = class.strip_prefix("user-").or_else(|| class.strip_prefix("group-")).unwrap_or(class);
            let is_size = larger_than.is_none_or(|size| size.parse::<usize>().is_ok());
            is_size && (matches!(class, "any" | "read") || ACTIONS.contains(&bare))
        };
        if let Some(class) = self.rates.keys().find(|class| !known(class)) {
            return Some(("rates", format!("unknown class `{class}`")));
        }
        let broken = self.rates.iter().find(|(_, text)| parse_rate(text).is_none());
        if let Some((class, text)) = broken {
            return Some(("rates", format!("`{text}` for `{class}` is no rate; write `25/s`, `600/m` or `1000/h`")));
        }
        let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
        let method = self.accept_by_method.keys().find(|method| !methods.contains(&method.as_str()))?;
        Some(("accept_by_method", format!("unknown method `{method}`; known are {}", methods.join(", "))))
    }
}
