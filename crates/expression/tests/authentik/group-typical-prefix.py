return {
    "displayName": f"app-{slugify(group.name)}",
    "externalId": str(group.pk),
}
