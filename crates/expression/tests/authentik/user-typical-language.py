locale = request.user.locale(request) or "en"
return {"preferredLanguage": locale.split("-")[0], "locale": locale.replace("-", "_")}
