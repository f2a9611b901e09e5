domain = "example.org"
return {"userName": f"{user.username.split('@')[0].lower()}@{domain}", "title": f"{user.title!r:>14}|{3.14159:.2f}|{7:03d}"}
