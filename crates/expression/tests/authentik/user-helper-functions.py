def first(*values, default=None):
    for value in values:
        if value:
            return value
    return default

join = lambda parts, sep=" ": sep.join(str(part) for part in parts if part)
return {"displayName": join([user.scim["name"]["givenName"], first(None, "", user.scim["name"].get("familyName"))]), "x": first(default=3)}
