return {"externalId": request.user.username}
