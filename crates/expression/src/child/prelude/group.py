class _Group:
    is_superuser = False
group = _Group()
for _key, _value in _seen.items():
    setattr(group, _key, _value)
