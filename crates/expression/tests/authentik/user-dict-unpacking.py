base = {"title": user.title, "userType": "x"}
extra = {"userType": user.attributes["kind"]} if "kind" in user.attributes else {}
return {**base, **extra, **{f"custom_{key}": value for key, value in user.attributes.items() if isinstance(value, str) and key != "phone"}}
