return {"nickName": slugify(request.user.name), "profileUrl": "https://people.example/" + slugify(request.user.username)}
