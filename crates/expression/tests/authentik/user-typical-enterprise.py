return {
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
        "department": request.user.attributes.get("department", ""),
        "employeeNumber": str(request.user.attributes.get("employeeNumber", request.user.uid)),
        "organization": "Corp",
    },
}
