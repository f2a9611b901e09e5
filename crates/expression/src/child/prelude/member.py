def _group_passes(group, lookup, wanted):
    field, _, how = lookup.partition("__")
    if field == "attributes":
        return how in group.attributes and group.attributes[how] == wanted
    value = getattr(group, field)
    if how == "" or how == "exact":
        return value == wanted
    if how == "in":
        return value in wanted
    value = str(value or "")
    if how[:1] == "i":
        how, value, wanted = how[1:], value.lower(), str(wanted).lower()
    if how == "exact":
        return value == wanted
    if how == "contains":
        return wanted in value
    if how == "startswith":
        return value.startswith(wanted)
    if how == "endswith":
        return value.endswith(wanted)
    raise ValueError(f"ak_is_group_member does not know the lookup `{lookup}`")
def ak_is_group_member(user, **lookups):
    for group in user.groups:
        if all([_group_passes(group, lookup, wanted) for lookup, wanted in lookups.items()]):
            return True
    return False
