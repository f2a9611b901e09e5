def list_flatten(value):
    if isinstance(value, list):
        return value[0] if value else None
    return value
def slugify(value):
    import unicodedata
    value = unicodedata.normalize("NFKD", str(value)).encode("ascii", "ignore").decode("ascii").lower()
    slug = ""
    for each in value:
        if each.isalnum() or each == "_":
            slug += each
        elif (each == "-" or each.isspace()) and slug[-1:] != "-":
            slug += "-"
    return slug.strip("-_")
