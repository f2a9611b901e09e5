class _User:
    is_superuser = False
    def locale(self, request=None):
        return self._locale or ""
    def all_groups(self):
        return list(self.groups)
    def group_attributes(self, request=None):
        return _group_attributes(self)
user = _User()
for _key, _value in _seen.items():
    setattr(user, _key, _value)
