names = sorted(group.name for group in user.groups)
return {
    "names": names, "count": len(user.ak_groups.all()), "first": user.ak_groups.first().name, "ids": [group.pk for group in user.groups],
    "regions": {group.name: group.attributes.get("region") for group in user.all_groups()},
    "any": any("Guide" in group.name for group in user.ak_groups), "exists": user.ak_groups.exists(),
}
