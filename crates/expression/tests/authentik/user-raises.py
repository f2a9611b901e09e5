return {"x": user.attributes["no such key"]}
