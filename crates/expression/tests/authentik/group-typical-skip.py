if group.attributes.get("team") == "red":
    raise SkipObject()
return {"displayName": group.attributes.get("alias", group.name).upper()}
