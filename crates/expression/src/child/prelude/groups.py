class _Group:
    is_superuser = False
class _GroupSet:
    def __init__(self, groups):
        self._all = groups
    def __iter__(self):
        return iter(self._all)
    def __len__(self):
        return len(self._all)
    def __getitem__(self, index):
        return self._all[index]
    def __contains__(self, group):
        return group in self._all
    def all(self):
        return self._all
    def first(self):
        return self._all[0] if self._all else None
    def exists(self):
        return bool(self._all)
    def count(self):
        return len(self._all)
def _group(facts):
    group = _Group()
    for key, value in facts.items():
        setattr(group, key, value)
    group.group_uuid = group.pk
    group.displayName = group.name
    return group
def _merged(base, update):
    if isinstance(base, dict) and isinstance(update, dict):
        merged = dict(base)
        for key, value in update.items():
            merged[key] = _merged(merged[key], value) if key in merged else value
        return merged
    if isinstance(base, list) and isinstance(update, list):
        return base + update
    return update
def _group_attributes(user):
    merged = {}
    for group in sorted(user.groups, key=lambda each: each.name):
        merged = _merged(merged, group.attributes)
    return _merged(merged, user.attributes)
