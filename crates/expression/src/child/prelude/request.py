class _Request:
    user = None
    obj = None
    http_request = None
    context = {}
request = _Request()
