class _Group:
    id = None
    externalId = None
    displayName = None
    members = None
    meta = None
    schemas = None
    is_superuser = False
group = _Group()
for _key, _value in _scim.items():
    setattr(group, _key, _value)
for _key, _value in _facts.items():
    setattr(group, _key, _value)
group.group_uuid = group.pk
group.attributes = _scim.get("attributes") or {}
group.scim = _scim
