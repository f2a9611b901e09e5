first, *rest = user.username.split("@")
if (size := len(rest)) == 1:
    return {"local": first, "domain": rest[0], "size": size, "set": sorted({1, 2, 2}), "tuple": (1, "a")}
