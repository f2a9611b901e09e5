ak_logger.debug("mapping", user=request.user.username)
return {
    "schemas": [
        "urn:ietf:params:scim:schemas:core:2.0:User",
        "urn:ietf:params:scim:schemas:extension:corp:2.0:User",
    ],
    "urn:ietf:params:scim:schemas:extension:corp:2.0:User": {
        "role": list_flatten(request.user.attributes.get("roles", [])),
        "groups": sorted([group.name for group in request.user.groups.all() if group.name.startswith("Tour")]),
        "count": request.user.groups.count(),
    },
}
