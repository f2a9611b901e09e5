return {
    "displayName": group.name,
}
