nick = request.user.attributes.get("nick")
if nick is None:
    return None
return {"nickName": nick}
