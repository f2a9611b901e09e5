kind = user.attributes.get("kind")
return {"userType": "staff" if kind == "employee" else "guest" if kind else None, "active": user.is_active and not user.attributes.get("locked", False)}
