"""What authentik does to an application in a full sync, as far as its outcome goes: the same payloads, written with Python's own evaluation of the
mappings, and the answers kept in its links. It is the reference that a take-over is measured by."""

import http.client
import json
import textwrap
from types import SimpleNamespace
from urllib.parse import urlsplit

from client import PartialGroup, PartialUser, SCIMProviderGroup, SCIMProviderUser
from world import former_attributes_of, partial, stable

USER_URN = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_URN = "urn:ietf:params:scim:schemas:core:2.0:Group"
MEMBERS_PER_PATCH = 100


class Target:
    """One connection to an application, one request at a time, as authentik has it."""

    def __init__(self, url, token):
        self.url = urlsplit(url)
        self.connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=30)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}

    def send(self, method, path, body):
        self.connection.request(method, self.url.path + path, json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]!r}")
        return json.loads(text) if text else {}


def seen_user(world, user, former):
    attributes = {**user.attributes, **(former_attributes_of(user.pk) if former else {})}
    by_pk = {group.pk: group for group in world.groups.values()}
    groups = [by_pk[pk] for pk in user.groups]
    return SimpleNamespace(
        username=user.username, name=user.name, email=user.email, is_active=user.is_active, uid=user.uid, avatar=user.avatar,
        attributes=attributes, type=user.type, locale=lambda: attributes.get("settings", {}).get("locale", ""),
        ak_groups=SimpleNamespace(all=lambda: groups), groups=SimpleNamespace(all=lambda: groups),
    )


def evaluate(expression, **names):
    """Python itself runs the body of the function that a mapping is."""
    source = f"def mapping({', '.join(names)}):\n{textwrap.indent(expression, '    ')}"
    scope = {}
    exec(source, scope)
    return scope["mapping"](**names) or {}


def merged(into, part):
    for key, value in part.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merged(into[key], value)
        elif isinstance(value, list) and isinstance(into.get(key), list):
            into[key] = into[key] + value
        else:
            into[key] = value
    return into


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return value


def payload(world, pks, **names):
    chosen = sorted((one for one in world.mappings if one.pk in pks), key=lambda one: one.name)
    result = {}
    for one in chosen:
        merged(result, evaluate(one.expression, **names))
    return without_nulls(result)


def user_payload(world, provider, user, former=True):
    seen = seen_user(world, user, former)
    data = payload(world, provider.property_mappings, request=SimpleNamespace(user=seen), user=seen, provider=provider)
    extensions = [key for key in data if key.startswith("urn:")]
    return {"schemas": [USER_URN, *extensions], "externalId": user.uid, **data}


def group_payload(world, provider, group):
    data = payload(world, provider.property_mappings_group, group=group, provider=provider)
    return {"schemas": [GROUP_URN], "externalId": str(group.pk), **data}


def users_in_scope(world, provider):
    bound = [one.group for one in world.bindings if one.target == stable("application", provider.pk) and one.group and one.enabled]
    for user in world.users.values():
        if provider.exclude_users_service_account and user.type.value.endswith("service_account"):
            continue
        if not bound or world.ancestors(user.groups) & set(bound):
            yield user


def sync(world, provider, url, token):
    provider.url = url
    target, accounts = Target(url, token), {}
    for user in users_in_scope(world, provider):
        answer = target.send("POST", "/Users", user_payload(world, provider, user))
        accounts[user.pk] = answer["id"]
        world.links["providers/scim_users"].append(SCIMProviderUser(
            id=stable("user-link", provider.pk, user.pk), scim_id=answer["id"], user=user.pk,
            user_obj=PartialUser(**partial(user, PartialUser)), provider=provider.pk, attributes=answer,
        ))
    groups = [one for one in world.groups.values() if not provider.group_filters or one.pk in provider.group_filters]
    for group in groups:
        answer = target.send("POST", "/Groups", group_payload(world, provider, group))
        members = [{"value": accounts[pk]} for pk in group.users if pk in accounts]
        for start in range(0, len(members), MEMBERS_PER_PATCH):
            chunk = members[start:start + MEMBERS_PER_PATCH]
            target.send("PATCH", f"/Groups/{answer['id']}", {
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": [{"op": "add", "path": "members", "value": chunk}],
            })
        world.links["providers/scim_groups"].append(SCIMProviderGroup(
            id=stable("group-link", provider.pk, group.pk), scim_id=answer["id"], group=group.pk,
            group_obj=PartialGroup(**partial(group, PartialGroup)), provider=provider.pk, attributes=answer,
        ))
    return {"users": len(accounts), "groups": len(groups)}
