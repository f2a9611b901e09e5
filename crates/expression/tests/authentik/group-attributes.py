team = group.attributes.get("team")
if not team:
    raise SkipObject
return {"displayName": f"{team.capitalize()} {group.displayName}", "externalId": group.externalId or group.pk, "aliases": [alias for alias in group.attributes["aliases"] if alias != "all"], "uid": group.uid, "urn": group.scim["displayName"], "members": group.members}
