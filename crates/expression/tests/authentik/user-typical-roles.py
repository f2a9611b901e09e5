return {
    "roles": [{"value": group.name, "primary": False} for group in user.groups.all()],
}
