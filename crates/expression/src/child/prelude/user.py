class _User:
    id = None
    externalId = None
    userName = None
    displayName = None
    nickName = None
    profileUrl = None
    title = None
    userType = None
    preferredLanguage = None
    timezone = None
    active = None
    emails = None
    phoneNumbers = None
    ims = None
    photos = None
    addresses = None
    entitlements = None
    roles = None
    x509Certificates = None
    password = None
    meta = None
    schemas = None
    employeeNumber = None
    costCenter = None
    organization = None
    division = None
    department = None
    manager = None
    is_superuser = False
    def locale(self, request=None):
        return self.scim.get("locale")
    def all_groups(self):
        return self.groups
    def group_attributes(self, request=None):
        return _group_attributes(self)
user = _User()
for _key, _value in _scim.get("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", {}).items():
    setattr(user, _key, _value)
for _key, _value in _scim.items():
    if _key != "locale" and _key != "groups":
        setattr(user, _key, _value)
for _key, _value in _facts.items():
    setattr(user, _key, _value)
user.attributes = _scim.get("attributes") or {}
user.scim = _scim
