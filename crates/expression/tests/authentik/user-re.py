import re

digits = re.sub(r"[^0-9+]", "", user.attributes["phone"])
match = re.match(r"^0049(?P<rest>[0-9]+)$", digits)
return {"phoneNumbers": [{"type": "work", "value": "+49" + match.group("rest") if match else digits}]}
