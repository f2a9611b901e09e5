active = request.user.is_active
if request.user.attributes.get("blocked", False) or not request.user.ak_groups.exists():
    active = False
return {"active": active}
