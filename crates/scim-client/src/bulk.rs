//! Many writes in one request (RFC 7644 §3.7), taken apart again into one outcome for each. What the
//! answer does not mention has an unknown outcome, never a success.

use reqwest::Method;
use scimfleet_core::scim::ResourceKind;
use scimfleet_core::scim::message::{BulkMethod, BulkOperation, BulkRequest, BulkResponse, BulkResult};
use serde_json::Value;

use crate::answer::Answer;
use crate::body::error_message;
use crate::client::{RequestContext, ScimClient, secrets_in};
use crate::error::{Asked, ScimError};
use crate::transport::{Reply, Request, malformed};

impl ScimClient {
    /// POST to `/Bulk`. The outcomes stand in the order of `operations`. An error of the whole says the
    /// same of each operation. Keeping to the provider's limits is the caller's.
    pub async fn bulk(
        &self,
        operations: Vec<BulkOperation>,
        context: &RequestContext,
    ) -> Result<Vec<Result<Answer, ScimError>>, ScimError> {
        let bulk = BulkRequest { fail_on_errors: None, operations };
        let mut request = Request::new(Method::POST, "/Bulk".to_owned(), context.traceparent.as_deref());
        self.attach(&mut request, &bulk)?;
        let data = bulk.operations.iter().filter_map(|operation| operation.data.as_ref()?.as_object());
        let secrets: Vec<&str> = data.flat_map(secrets_in).collect();
        request.secrets.clone_from(&secrets);
        let asked = self.transport.asked(&request.method, &request.path);
        let reply = self.transport.send(request).await?;
        let response = BulkResponse::try_from(reply.value.unwrap_or(Value::Null))
            .map_err(|error| malformed(&asked, reply.status, format!("no bulk response ({})", error.reason)))?;
        let mut results: Vec<Option<BulkResult>> = response.operations.into_iter().map(Some).collect();
        let is_aligned = results.len() == bulk.operations.len();
        let outcome = |(index, operation): (usize, &BulkOperation)| {
            let result = take_result(operation, index, is_aligned, &mut results);
            self.outcome(operation, result, &secrets)
        };
        Ok(bulk.operations.iter().enumerate().map(outcome).collect())
    }

    fn outcome(
        &self,
        operation: &BulkOperation,
        result: Option<BulkResult>,
        secrets: &[&str],
    ) -> Result<Answer, ScimError> {
        let method = operation.method.as_str();
        let asked = Asked { provider: self.provider().clone(), method, path: operation.path.clone() };
        let Some(BulkResult { status: Some(status), version, location, response, .. }) = result else {
            return Err(malformed(&asked, 200, "no outcome of this operation in the bulk response"));
        };
        match status {
            200..=299 => {
                let reply = Reply { status, etag: version, location, value: response };
                Ok(Answer::of(kind_of(&operation.path), reply))
            }
            400..=599 => {
                let message = error_message(response.unwrap_or(Value::Null));
                Err(self.transport.refused(&asked, status, None, message, secrets))
            }
            _ => Err(malformed(&asked, status, "no outcome of this operation in the bulk response")),
        }
    }
}

fn kind_of(path: &str) -> ResourceKind {
    if path.starts_with(ResourceKind::Group.endpoint()) { ResourceKind::Group } else { ResourceKind::User }
}

/// Finds the result of `operation`: by its `bulkId`, by the resource's location, or by its place when as
/// many results came as operations went. Each result is used once.
fn take_result(
    operation: &BulkOperation,
    index: usize,
    is_aligned: bool,
    results: &mut [Option<BulkResult>],
) -> Option<BulkResult> {
    let fits = |result: &BulkResult| result.method.is_none_or(|method| method == operation.method);
    let by_bulk_id = |result: &BulkResult| operation.bulk_id.is_some() && result.bulk_id == operation.bulk_id;
    let by_location = |result: &BulkResult| {
        operation.method != BulkMethod::Post
            && result.location.as_ref().is_some_and(|location| location.ends_with(&operation.path))
    };
    let find = |wanted: &dyn Fn(&BulkResult) -> bool| {
        results.iter().position(|result| result.as_ref().is_some_and(|result| fits(result) && wanted(result)))
    };
    let at_its_place = || {
        // Another operation's name on it would say that the order is not ours.
        let result = results.get(index)?.as_ref()?;
        let is_foreign =
            result.bulk_id.is_some() || (result.location.is_some() && operation.method != BulkMethod::Post);
        (is_aligned && fits(result) && !is_foreign).then_some(index)
    };
    let found = find(&by_bulk_id).or_else(|| find(&by_location)).or_else(at_its_place)?;
    results.get_mut(found)?.take()
}
