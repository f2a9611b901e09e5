return {"nickName": slugify(f"  Café -- {user.name}!_ "), "plain": slugify(user.title)}
