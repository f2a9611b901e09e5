# Members are added by the synchronisation itself.
return {
    "displayName": group.name,
    "externalId": group.uid,
}
