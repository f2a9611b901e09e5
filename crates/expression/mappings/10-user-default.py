# What the resource has is passed through; what it lacks is made from its display name.
scim = user.scim

# Every writable attribute of RFC 7643 §4.1. `userName`, `active` and `externalId` always have a value.
payload = {"userName": user.username}
for key in (
    "displayName",
    "nickName",
    "profileUrl",
    "title",
    "userType",
    "preferredLanguage",
    "locale",
    "timezone",
    "phoneNumbers",
    "ims",
    "addresses",
    "entitlements",
    "roles",
    "x509Certificates",
):
    value = scim.get(key)
    if value is not None:
        payload[key] = value

given, _, family = user.name.partition(" ")
name = {"formatted": user.name, "givenName": given, "familyName": family or " "}
for key, value in (scim.get("name") or {}).items():
    if value:
        name[key] = value
payload["name"] = name
payload.setdefault("displayName", user.name)

payload["active"] = user.is_active
payload["externalId"] = user.uid

emails = scim.get("emails")
if not emails and user.email:
    emails = [{"value": user.email, "type": "other", "primary": True}]
payload["emails"] = emails or []

photos = [photo for photo in scim.get("photos") or [] if "://" in str(photo.get("value"))]
if photos:
    payload["photos"] = photos

# Every writable attribute of RFC 7643 §4.3; the manager's name is the provider's to know.
enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
given = scim.get(enterprise) or {}
extension = {}
for key in ("employeeNumber", "costCenter", "organization", "division", "department", "manager"):
    value = given.get(key)
    if key == "manager" and isinstance(value, dict):
        value = {part: value[part] for part in ("value", "$ref") if value.get(part)}
    if value:
        extension[key] = value
if extension:
    payload[enterprise] = extension

return payload
