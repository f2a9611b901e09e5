# The mapping that authentik ships.
givenName, familyName = request.user.name, " "
formatted = request.user.name + " "
if " " in request.user.name:
    givenName, _, familyName = request.user.name.partition(" ")
    formatted = request.user.name

avatar = request.user.avatar
photos = None
if avatar is not None and "://" in avatar:
    photos = [{"value": avatar, "type": "photo"}]

locale = request.user.locale()
if locale == "":
    locale = None

emails = []
if request.user.email != "":
    emails = [{
        "value": request.user.email,
        "type": "other",
        "primary": True,
    }]

return {
    "userName": request.user.username,
    "name": {
        "formatted": formatted,
        "givenName": givenName,
        "familyName": familyName,
    },
    "displayName": request.user.name,
    "photos": photos,
    "locale": locale,
    "active": request.user.is_active,
    "emails": emails,
}
