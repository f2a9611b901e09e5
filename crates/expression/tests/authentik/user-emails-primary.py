work = next((mail["value"] for mail in user.emails or [] if mail.get("type") == "work"), None)
return {"emails": [{"value": work or user.email, "type": "work", "primary": True}]}
