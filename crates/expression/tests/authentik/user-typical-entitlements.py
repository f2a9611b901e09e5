entitlements = []
if ak_is_group_member(request.user, name="Tour Guides"):
    entitlements.append({"value": "guide-license"})
if ak_is_group_member(request.user, name="Admins"):
    entitlements.append({"value": "admin-license"})
return {"entitlements": entitlements}
