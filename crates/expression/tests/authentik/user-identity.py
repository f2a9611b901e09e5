return {"uid": user.uid, "pk": user.pk, "email": user.email, "type": user.type, "externalId": str(user.uid)}
