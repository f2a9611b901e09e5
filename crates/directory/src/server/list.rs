//! Listing and searching (RFC 7644 §3.4.2, §3.4.3; RFC 9865): one page at a time, whatever the size of the
//! directory. What no index knows is looked at row by row, and only so far.

use std::cmp::Ordering;

use scimfleet_core::scim::Document;
use scimfleet_core::scim::filter::{self, AttrPath, Filter, PatchPath, attribute_of};
use scimfleet_core::scim::message::{ListResponse, ScimType};
use scimfleet_core::scim::resource::fold;
use scimfleet_core::scim::schema::SchemaSet;
use scimfleet_core::{ResourceId, ResourceKind};
use scimfleet_store::{ResourceRow, Selection, SortKey, StoreError};
use serde_json::Value;

use super::answer::{Answer, ScimError};
use super::cursor::Cursor;
use super::operate::Call;
use super::query::Query;
use super::render::{add_groups, show, whole};
use super::select::{Narrowed, mentions, narrow, sort_key};

/// Rows that are looked at together.
const ROWS_PER_READ: i64 = 500;

/// A query about one kind of resource, taken apart.
struct Plan {
    selection: Selection,
    /// What must hold besides.
    residual: Option<Filter>,
    /// An order that the database does not keep.
    order: Option<AttrPath>,
    /// The groups of a user are looked at.
    groups: bool,
}

/// Where a page begins.
#[derive(Clone)]
enum From {
    Offset(i64),
    After(Option<ResourceId>),
}

/// A page of one kind.
struct Page {
    rows: Vec<ResourceRow>,
    /// How many there are in all, if that was counted.
    total: Option<i64>,
    /// After which one the next page begins, in the order of ids; `None`: this is the end.
    more_after: Option<ResourceId>,
}

impl Call {
    /// Lists resources of these kinds, one kind after the other.
    pub(super) async fn list(&self, kinds: &[ResourceKind], query: &Query) -> Result<Answer, ScimError> {
        let plans = kinds.iter().map(|kind| Plan::of(*kind, query)).collect::<Result<Vec<_>, _>>()?;
        let response = match &query.cursor {
            None => self.by_index(&plans, query).await?,
            Some(text) => self.by_cursor(&plans, query, Cursor::read(text, query, kinds)?).await?,
        };
        let counted = response.total_results.is_some();
        let mut body = serde_json::to_value(response).unwrap_or(Value::Null);
        if let (false, Some(body)) = (counted, body.as_object_mut()) {
            // By cursor it may be left out (RFC 9865 §2), and a wrong number is worse than none.
            body.shift_remove("totalResults");
        }
        Ok(Answer::new(200, body))
    }

    async fn by_index(&self, plans: &[Plan], query: &Query) -> Result<ListResponse, ScimError> {
        let (mut skip, mut room) = (query.start_index - 1, query.count);
        let mut response = ListResponse { start_index: Some(query.start_index.unsigned_abs()), ..Default::default() };
        let mut total = 0;
        for plan in plans {
            let page = self.page(plan, &From::Offset(skip), room).await?;
            let count = page.total.unwrap_or_default();
            total += count;
            skip = (skip - count).max(0);
            let found = page.rows.len();
            let rows = self.affordable(page.rows, query).await?;
            // A page of groups that ends early ends the whole page, so that no one is passed over.
            room = if rows.len() < found { 0 } else { room - i64::try_from(rows.len()).unwrap_or(room) };
            response.resources.extend(self.rendered(&rows, query).await?);
        }
        response.total_results = Some(total.unsigned_abs());
        response.items_per_page = Some(response.resources.len() as u64);
        Ok(response)
    }

    async fn by_cursor(&self, plans: &[Plan], query: &Query, cursor: Cursor) -> Result<ListResponse, ScimError> {
        let plan = plans.iter().find(|plan| plan.selection.kind == cursor.kind);
        let Some(plan) = plan else { return Ok(ListResponse::default()) };
        let by_id = plan.is_by_id();
        let from = if by_id { From::After(cursor.after.clone()) } else { From::Offset(cursor.offset) };
        let page = self.page(plan, &from, query.count).await?;
        let found = page.rows.len();
        let rows = self.affordable(page.rows, query).await?;
        let shown = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let last = rows.last().map(|row| row.id.clone());
        let mut next = if by_id {
            let after = if rows.len() < found { last } else { page.more_after };
            after.map(|after| Cursor { after: Some(after), ..cursor.clone() })
        } else {
            let offset = cursor.offset + shown;
            let more = page.total.is_some_and(|total| offset < total) && shown > 0;
            more.then(|| Cursor { offset, ..cursor.clone() })
        };
        if next.is_none() {
            let following = plans.iter().skip_while(|plan| plan.selection.kind != cursor.kind).nth(1);
            next = following.map(|plan| cursor.at(plan.selection.kind));
        }
        let resources = self.rendered(&rows, query).await?;
        Ok(ListResponse {
            items_per_page: Some(resources.len() as u64),
            total_results: page.total.filter(|_| plans.len() == 1).map(i64::unsigned_abs),
            next_cursor: next.filter(|_| query.count > 0).map(|next| next.write()),
            resources,
            ..ListResponse::default()
        })
    }

    async fn rendered(&self, rows: &[ResourceRow], query: &Query) -> Result<Vec<Document>, StoreError> {
        show(&self.state.store, &self.base_url, rows, &query.projection).await
    }

    /// As many groups as do not have too many members together; one at least.
    async fn affordable(&self, mut rows: Vec<ResourceRow>, query: &Query) -> Result<Vec<ResourceRow>, StoreError> {
        let members = rows.first().is_some_and(|row| row.kind == ResourceKind::Group);
        if !members || !query.projection.shows("members") {
            return Ok(rows);
        }
        let max = self.state.limits.page_members_max;
        let ids: Vec<ResourceId> = rows.iter().map(|row| row.id.clone()).collect();
        let counts = self.state.store.count_members(&ids, max + 1).await?;
        let mut sum = 0;
        let fits = ids.iter().take_while(|id| {
            sum += counts.get(id).copied().unwrap_or_default();
            sum <= max
        });
        let fits = fits.count().max(1);
        rows.truncate(fits);
        Ok(rows)
    }

    async fn page(&self, plan: &Plan, from: &From, count: i64) -> Result<Page, ScimError> {
        let store = &self.state.store;
        if plan.residual.is_some() || plan.order.is_some() {
            return match from {
                From::After(after) => self.scan_on(plan, after.clone(), count).await,
                From::Offset(offset) => self.scan_whole(plan, *offset, count).await,
            };
        }
        let total = i64::try_from(store.count_selected(&plan.selection).await?).unwrap_or(i64::MAX);
        let rows = match from {
            _ if count == 0 => Vec::new(),
            From::Offset(offset) => store.select_page(&plan.selection, *offset, count).await?,
            From::After(after) => store.select_after(&plan.selection, after.as_ref(), count).await?,
        };
        let full = i64::try_from(rows.len()).is_ok_and(|found| found == count);
        let more_after = rows.last().filter(|_| full).map(|row| row.id.clone());
        Ok(Page { rows, total: Some(total), more_after })
    }

    /// Looks at rows until the page is full, or long enough: the cursor then says where to go on.
    async fn scan_on(&self, plan: &Plan, after: Option<ResourceId>, count: i64) -> Result<Page, ScimError> {
        let (mut after, mut seen, mut rows) = (after, 0, Vec::new());
        let wanted = usize::try_from(count).unwrap_or_default();
        while seen < self.state.limits.scan_max && wanted > 0 {
            let read = self.state.store.select_after(&plan.selection, after.as_ref(), ROWS_PER_READ).await?;
            seen += read.len();
            let Some(last) = read.last().map(|row| row.id.clone()) else {
                return Ok(Page { rows, total: None, more_after: None });
            };
            after = Some(last);
            for row in self.matching(plan, read).await?.into_iter().map(|(row, _)| row) {
                let id = row.id.clone();
                rows.push(row);
                if rows.len() == wanted {
                    return Ok(Page { rows, total: None, more_after: Some(id) });
                }
            }
        }
        Ok(Page { rows, total: None, more_after: after })
    }

    /// Looks at all rows, since their number is asked for, or an order that only all of them have.
    async fn scan_whole(&self, plan: &Plan, offset: i64, count: i64) -> Result<Page, ScimError> {
        let mut found = Vec::<(SortValue, ResourceId)>::new();
        let (mut after, mut seen) = (None, 0);
        loop {
            let read = self.state.store.select_after(&plan.selection, after.as_ref(), ROWS_PER_READ).await?;
            seen += read.len();
            match read.last() {
                Some(last) => after = Some(last.id.clone()),
                None => break,
            }
            if seen > self.state.limits.scan_max {
                let detail = "too many resources to look at: filter by userName, externalId, id, displayName of \
                     groups, members or meta as well, or page by cursor without `sortBy`";
                return Err(ScimError::bad(ScimType::TooMany, detail));
            }
            found.extend(self.matching(plan, read).await?.into_iter().map(|(row, value)| (value, row.id)));
        }
        if plan.order.is_some() || plan.selection.sort != SortKey::Id || plan.selection.descending {
            found.sort_by(|left, right| left.0.compare(&right.0).then_with(|| left.1.cmp(&right.1)));
            if plan.selection.descending {
                found.reverse();
            }
        }
        let total = i64::try_from(found.len()).unwrap_or(i64::MAX);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let ids: Vec<ResourceId> =
            found.into_iter().skip(start).take(usize::try_from(count).unwrap_or_default()).map(|(_, id)| id).collect();
        let mut rows = self.state.store.resources(&ids).await?;
        rows.retain(|row| !row.deleted);
        rows.sort_by_key(|row| ids.iter().position(|id| *id == row.id));
        Ok(Page { rows, total: Some(total), more_after: None })
    }

    /// The rows that match, each with the value that they are sorted by.
    async fn matching(&self, plan: &Plan, rows: Vec<ResourceRow>) -> Result<Vec<(ResourceRow, SortValue)>, StoreError> {
        let mut shown: Vec<Document> = rows.iter().map(|row| whole(&self.base_url, row)).collect();
        if plan.groups {
            add_groups(&self.state.store, &self.base_url, &rows, &mut shown).await?;
        }
        let (kind, schemas) = (plan.selection.kind, SchemaSet::builtin());
        let holds = |document: &Document| {
            plan.residual.as_ref().is_none_or(|filter| filter::matches(kind, filter, document, schemas))
        };
        let pairs = rows.into_iter().zip(shown).filter(|(_, document)| holds(document));
        Ok(pairs.map(|(row, document)| (row, plan.sort_value(&document))).collect())
    }
}

impl Plan {
    fn of(kind: ResourceKind, query: &Query) -> Result<Self, ScimError> {
        let narrowed = match &query.filter {
            None => Narrowed::everything(),
            Some(text) => narrow(kind, &filter::parse(kind, text, SchemaSet::builtin())?),
        };
        let residual = narrowed.residual;
        if kind == ResourceKind::Group && residual.as_ref().is_some_and(|filter| mentions(filter, "members")) {
            let detail =
                "members can be looked for by `eq` and `ne` of their `value`, joined by `and` to what else is asked";
            return Err(ScimError::bad(ScimType::InvalidFilter, detail));
        }
        let path = query.sort_by.as_deref().map(read_path).transpose()?;
        let sort = path.as_ref().map_or(Some(SortKey::Id), |path| sort_key(kind, path));
        let selection = Selection {
            kind,
            condition: narrowed.condition,
            sort: sort.unwrap_or(SortKey::Id),
            descending: query.descending && path.is_some(),
        };
        let groups = residual.as_ref().is_some_and(|filter| mentions(filter, "groups"));
        // With rows in hand the database's order is made here, too.
        let order = path.filter(|_| sort.is_none() || residual.is_some());
        Ok(Self { selection, residual, order, groups })
    }

    /// In the order of ids, upwards: pages cost the same wherever they begin.
    fn is_by_id(&self) -> bool {
        self.order.is_none() && self.selection.sort == SortKey::Id && !self.selection.descending
    }

    fn sort_value(&self, document: &Document) -> SortValue {
        let Some(path) = &self.order else { return SortValue::Missing };
        let schemas = SchemaSet::builtin();
        let attribute = attribute_of(self.selection.kind, path, schemas);
        let found = filter::values(path, document, schemas);
        // "the value of the primary attribute, or else the first value in the list" (§3.4.2.3).
        let primary = found.iter().find(|value| value.get("primary") == Some(&Value::Bool(true)));
        match primary.or_else(|| found.first()) {
            Some(Value::Object(object)) => SortValue::of(object.get("value"), false),
            value => SortValue::of(value.copied(), attribute.is_some_and(|attribute| attribute.case_exact)),
        }
    }
}

fn read_path(text: &str) -> Result<AttrPath, ScimError> {
    match text.trim().parse::<PatchPath>() {
        Ok(PatchPath::Attr(path)) => Ok(path),
        _ => Err(ScimError::bad(ScimType::InvalidPath, "`sortBy` is not an attribute path")),
    }
}

/// What resources are sorted by; who lacks it comes last.
#[derive(Debug, Clone, PartialEq)]
enum SortValue {
    Number(f64),
    Truth(bool),
    Text(String),
    Missing,
}

impl SortValue {
    fn of(value: Option<&Value>, case_exact: bool) -> Self {
        match value {
            Some(Value::Bool(truth)) => Self::Truth(*truth),
            Some(Value::Number(number)) => number.as_f64().map_or(Self::Missing, Self::Number),
            Some(Value::String(text)) if case_exact => Self::Text(text.clone()),
            Some(Value::String(text)) => Self::Text(fold(text)),
            _ => Self::Missing,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => left.total_cmp(right),
            (Self::Truth(left), Self::Truth(right)) => left.cmp(right),
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (left, right) => left.rank().cmp(&right.rank()),
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Number(_) => 0,
            Self::Truth(_) => 1,
            Self::Text(_) => 2,
            Self::Missing => 3,
        }
    }
}
