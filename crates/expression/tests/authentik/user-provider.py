if "acme" not in provider.name:
    raise SkipObject()
return {"profileUrl": f"{provider.base_url}/me"}
