attributes = request.user.group_attributes(request)
return {
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
        "division": attributes.get("region"),
        "costCenter": ",".join(sorted(set(attributes.get("roles", [])))),
    }
}
