# Slack wants a work address
emails = []
if request.user.email:
    emails.append({"value": request.user.email, "type": "work", "primary": True})
for alias in request.user.attributes.get("aliases", []):
    emails.append({"value": alias, "type": "other"})
return {"emails": emails}
