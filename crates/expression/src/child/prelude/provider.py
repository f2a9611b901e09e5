class _Provider:
    pass
provider = _Provider()
provider.name = _provider["name"]
provider.base_url = _provider["base_url"]
provider.url = _provider["base_url"]
