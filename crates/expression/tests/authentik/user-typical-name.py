first, _, last = request.user.name.partition(" ")
return {
    "name": {
        "givenName": first,
        "familyName": last or first,
        "formatted": f"{first} {last}".strip(),
        "honorificPrefix": None,
    },
}
