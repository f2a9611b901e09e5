settings = request.user.attributes.get("settings", {})
return {"timezone": settings.get("timezone", "Europe/Berlin")}
