# authentik's own way to split a name, from its default mapping.
givenName, familyName = request.user.name, " "
formatted = request.user.name + " "
if " " in request.user.name:
    givenName, _, familyName = request.user.name.partition(" ")
    formatted = request.user.name
return {"name": {"formatted": formatted, "givenName": givenName, "familyName": familyName}}
