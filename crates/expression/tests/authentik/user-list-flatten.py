return {"a": list_flatten(user.attributes.get("roles")), "b": list_flatten([]), "c": list_flatten("text")}
