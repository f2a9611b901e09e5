payload = {}
for index, (key, value) in enumerate(sorted(user.attributes.items())):
    if not isinstance(value, str):
        continue
    payload.setdefault("values", []).append(f"{index}:{key}")
    if len(payload["values"]) >= 2:
        break
else:
    payload["all"] = True
count = 0
while count < 3:
    count += 1
payload["count"] = count
return payload
