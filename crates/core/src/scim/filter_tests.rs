use serde_json::json;

use super::*;

fn check_one(text: &str, expected: bool) {
    let document = json!({
        "id": "7", "externalId": "E-7", "userName": "Ann", "active": true, "title": "", "attributes": {"kind": "staff"},
        "name": {"givenName": "Ann"}, "meta": {"lastModified": "2026-01-01T12:00:00Z"}, "loginCount": 5,
        "emails": [{"value": "ann@a.example", "type": "work"}, {"value": "x@home.example", "type": "home"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "R&D", "manager": {"value": "9"}},
        "urn:example:free:1.0:Thing": {"colour": "red"},
    });
    let schemas = SchemaSet::builtin();
    let filter = parse(ResourceKind::User, text, schemas).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(matches(ResourceKind::User, &filter, document.as_object().unwrap(), schemas), expected, "{text}");
}

#[test]
fn operators_follow_rfc_7644_table_3() {
    for (filter, expected) in [
        (r#"userName eq "ann""#, true),
        (r#"USERNAME EQ "ANN""#, true),
        (r#"userName eq "anna""#, false),
        (r#"userName ne "bob""#, true),
        (r#"userName ne "ANN""#, false),
        (r#"externalId eq "E-7""#, true),
        (r#"externalId eq "e-7""#, false),
        (r#"userName co "N""#, true),
        (r#"userName sw "a""#, true),
        (r#"userName ew "nn""#, true),
        (r#"userName gt "ab""#, true),
        (r#"userName le "ann""#, true),
        ("loginCount ge 5", true),
        ("loginCount lt 5", false),
        ("active eq true", true),
        (r#"active eq "True""#, true),
        ("active eq false", false),
        ("title pr", false),
        ("userName pr", true),
        (r#"nickName ne "x""#, true),
        ("nickName eq null", true),
        ("nickName ne null", false),
        ("userName ne null", true),
    ] {
        check_one(filter, expected);
    }
}

#[test]
fn paths_lead_into_lists_objects_and_extensions() {
    for (filter, expected) in [
        (r#"name.givenName eq "ann""#, true),
        (r#"emails eq "ann@a.example""#, true),
        (r#"emails co "home""#, true),
        (r#"emails.type eq "home""#, true),
        (r#"emails[type eq "work" and value ew "a.example"]"#, true),
        (r#"emails[type eq "home" and value ew "a.example"]"#, false),
        (r#"emails[not (type eq "work")]"#, true),
        (r#"attributes.kind eq "staff""#, true),
        (r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "r&d""#, true),
        (r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "9""#, true),
        (r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User pr"#, true),
        (r#"urn:example:free:1.0:Thing:colour eq "red""#, true),
        (r#"urn:ietf:params:scim:schemas:core:2.0:User:userName eq "ann""#, true),
        (r#"urn:ietf:params:scim:schemas:extension:other:2.0:User:department pr"#, false),
    ] {
        check_one(filter, expected);
    }
}

#[test]
fn logic_and_time() {
    for (filter, expected) in [
        (r#"not (userName eq "ann")"#, false),
        (r#"userName eq "bob" or active eq true"#, true),
        (r#"userName eq "bob" and active eq true"#, false),
        (r#"userName eq "ann" and (title pr or emails pr)"#, true),
        (r#"meta.lastModified gt "2025-12-31T23:59:59Z""#, true),
        (r#"meta.lastModified eq "2026-01-01T13:00:00+01:00""#, true),
        (r#"meta.lastModified lt "2026-01-01T12:00:00.001Z""#, true),
    ] {
        check_one(filter, expected);
    }
}

#[test]
fn what_has_no_order_is_not_ordered() {
    for text in ["active gt false", r#"x509Certificates.value lt "a""#] {
        let refused = parse(ResourceKind::User, text, SchemaSet::builtin());
        assert!(matches!(refused, Err(InvalidFilter::Unordered(_))), "{text}");
    }
    assert!(matches!(
        parse(ResourceKind::User, "userName eq", SchemaSet::builtin()),
        Err(InvalidFilter::Unreadable(_))
    ));
}
