a = 1
return {
    "x": slugify(user.title),
    "y": regex_match(None, "a"),
}
