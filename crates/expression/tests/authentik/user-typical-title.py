title = request.user.attributes.get("title")
if not title:
    title = "Employee" if request.user.attributes.get("kind") == "employee" else "External"
return {"title": title}
