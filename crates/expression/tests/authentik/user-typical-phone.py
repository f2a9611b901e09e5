phone = request.user.attributes.get("phone", "")
phone = regex_replace(phone, r"[^0-9+]", "")
phone = regex_replace(phone, r"^00", "+")
return {"phoneNumbers": [{"value": phone, "type": "work"}]} if regex_match(phone, r"^\+[0-9]{6,}$") else {}
