//! The sample directory goes into the provider whole, and nothing in it breaks the RFC.

use std::collections::HashMap;

use scimfleet_core::scim::resource::ENTERPRISE_URN;

use super::*;
use crate::directory::SampleDirectory;

/// Exchanges an `externalId` for the provider's id.
fn translate(reference: &mut Value, ids: &HashMap<String, String>) {
    *reference = ids[reference.as_str().unwrap()].clone().into();
}

#[tokio::test]
async fn the_sample_directory_keeps_to_the_rfc() {
    let provider = plain();
    let mut ids = HashMap::new();
    for mut resource in SampleDirectory::demo().resources() {
        let external_id = resource["externalId"].as_str().unwrap().to_owned();
        resource.as_object_mut().unwrap().shift_remove("attributes");
        if let Some(manager) = resource.get_mut(ENTERPRISE_URN).and_then(|enterprise| enterprise.get_mut("manager")) {
            translate(&mut manager["value"], &ids);
        }
        for member in resource.get_mut("members").and_then(Value::as_array_mut).into_iter().flatten() {
            translate(&mut member["value"], &ids);
        }
        let endpoint = if resource.get("userName").is_some() { "/Users" } else { "/Groups" };
        let made = call(&provider, "POST", endpoint, Some(resource)).await;
        assert_eq!(made.status, 201, "{}", made.text);
        ids.insert(external_id, made.id());
    }
    assert_eq!((provider.users_count(), provider.groups_count()), (1_250, 40));
    assert_eq!(provider.violations(), []);
    assert_eq!(provider.duplicates(ResourceKind::User), Vec::<String>::new());
}
