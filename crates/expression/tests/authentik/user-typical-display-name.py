parts = request.user.name.split(" ")
return {"displayName": f"{parts[-1].upper()}, {' '.join(parts[:-1])}"}
