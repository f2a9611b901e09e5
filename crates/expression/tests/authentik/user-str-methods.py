name = user.name
return {
    "a": name.upper(), "b": name.lower().replace(" ", "."), "c": name.title().swapcase(), "d": name[:4].zfill(6),
    "e": "-".join(reversed(name.split())), "f": name.removeprefix("Babs ").ljust(8, "_"), "g": name.find("J"),
    "h": name.encode("utf-8").hex(), "i": name.casefold().capitalize(), "j": name.rpartition(" ")[-1].strip("n"), "k": name.isalpha(),
    "l": "{} <{mail}>".format(name, mail=user.email),
}
