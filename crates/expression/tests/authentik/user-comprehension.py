return {
    "roles": [{"value": group.name, "display": group.name.upper()} for group in user.ak_groups.all() if group.name != "Employees"],
    "entitlements": [{"value": role} for roles in [["a"], ["b", "c"]] for role in roles],
}
