#!/usr/bin/env python3
"""Reads a SCIM server back and compares it with directory files; knows nothing of Scimfleet.

usage: compare.py BASE_URL TOKEN FILE.jsonl... [--gone EXTERNAL_ID]... [--no-manager] [--lacks NAME,NAME] [--one-by-one]

--lacks: attributes that the server does not keep. --one-by-one: everybody is asked for by filter, for a server whose
listings cannot be trusted.

The files are applied in their order: absent keeps, null clears, objects merge, `members` replaces. A user who is
inactive and was never active has no account. Exit 1 with every difference when the server holds something else.
"""
import json
import sys
import urllib.parse
import urllib.request

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def overlay(old, new):
    for key, value in new.items():
        if value is None:
            old.pop(key, None)
        elif isinstance(value, dict):
            old[key] = overlay(old[key] if isinstance(old.get(key), dict) else {}, value)
        else:
            old[key] = value
    return old


def expected(files, gone):
    users, groups = {}, {}
    for name in files:
        for line in open(name, encoding="utf-8"):
            resource = json.loads(line)
            kind = groups if "Group" in json.dumps(resource.get("schemas", [])) else users
            known = kind.setdefault(resource["externalId"], {})
            overlay(known, resource)
            if kind is users:
                known["_seen_active"] = known.get("_seen_active", False) or known.get("active", True)
    for identity in gone:
        users.pop(identity, None)
        groups.pop(identity, None)
    return {key: user for key, user in users.items() if user["_seen_active"]}, groups


def ask(base, token, query):
    request = urllib.request.Request(f"{base}/{query}", headers={"Authorization": f"Bearer {token}"})
    return json.load(urllib.request.urlopen(request, timeout=60))


def one_by_one(base, token, endpoint, identities):
    found = {}
    for identity in identities:
        query = urllib.parse.urlencode({"filter": f'externalId eq "{identity}"'})
        for resource in ask(base, token, f"{endpoint}?{query}").get("Resources", []):
            found[str(resource["id"])] = resource
    return found


def listing(base, token, endpoint):
    found, start = {}, 1
    while True:
        page = ask(base, token, f"{endpoint}?startIndex={start}&count=100")
        resources = page.get("Resources", [])
        before = len(found)
        found.update({str(resource["id"]): resource for resource in resources})
        if not resources or len(found) == before or len(found) >= page["totalResults"]:
            return found
        start += len(resources)


def plain(value):
    return value if value not in ("", [], {}) else None


def differences_of_user(want, have, ids, with_manager, lacks):
    def pick(document, *path):
        for step in path:
            document = (document or {}).get(step)
        return plain(document)

    for path in (("userName",), ("displayName",), ("title",), ("name", "givenName"), ("name", "familyName"),
                 (ENTERPRISE, "department")):
        if path[-1] not in lacks and pick(want, *path) != pick(have, *path):
            yield f"{'.'.join(path)}: {pick(have, *path)!r} instead of {pick(want, *path)!r}"
    if want.get("active", True) != have.get("active", True):
        yield f"active: {have.get('active')!r}"
    phones = [sorted(phone["value"] for phone in document.get("phoneNumbers") or []) for document in (want, have)]
    if "phoneNumbers" not in lacks and phones[0] != phones[1]:
        yield f"phoneNumbers: {phones[1]} instead of {phones[0]}"
    mails = [sorted(mail["value"] for mail in document.get("emails") or []) for document in (want, have)]
    if "secondary-emails" in lacks:
        mails = [[mail["value"] for mail in document.get("emails") or [] if mail.get("primary")] for document in (want, have)]
    if "emails" not in lacks and mails[0] != mails[1]:
        yield f"emails: {mails[1]} instead of {mails[0]}"
    wanted_manager = pick(want, ENTERPRISE, "manager", "value")
    # Whose manager has left still names that one in the directory; what the server then holds proves nothing.
    if with_manager and (wanted_manager is None or wanted_manager in ids):
        manager = ids.get(wanted_manager)
        if manager != pick(have, ENTERPRISE, "manager", "value"):
            yield f"manager: {pick(have, ENTERPRISE, 'manager', 'value')!r} instead of {manager!r}"


def main(arguments):
    gone = [arguments[i + 1] for i, word in enumerate(arguments) if word == "--gone"]
    lacks = {name for i, word in enumerate(arguments) if word == "--lacks" for name in arguments[i + 1].split(",")}
    skip = {i + 1 for i, word in enumerate(arguments) if word in ("--gone", "--lacks")}
    plain_words = [word for i, word in enumerate(arguments) if not word.startswith("--") and i not in skip]
    base, token, *files = plain_words
    users, groups = expected(files, gone)
    with_manager = "--no-manager" not in arguments and "manager" not in lacks
    if "--one-by-one" in arguments:
        there = {"user": one_by_one(base, token, "Users", [*users, *gone]),
                 "group": one_by_one(base, token, "Groups", [*groups, *gone])}
    else:
        there = {"user": listing(base, token, "Users"), "group": listing(base, token, "Groups")}
    wrong = []
    by_identity = {}
    for kind, wanted in (("user", users), ("group", groups)):
        for remote_id, resource in there[kind].items():
            identity = resource.get("externalId")
            if identity in by_identity:
                wrong.append(f"{kind} {identity} exists twice")
            by_identity[identity] = (remote_id, resource)
            if identity not in wanted:
                wrong.append(f"{kind} {identity} ({remote_id}) should not be there")
    ids = {identity: remote_id for identity, (remote_id, _) in by_identity.items()}
    for identity, want in users.items():
        if identity not in by_identity:
            wrong.append(f"user {identity} is missing")
            continue
        for text in differences_of_user(want, by_identity[identity][1], ids, with_manager, lacks):
            wrong.append(f"user {identity}: {text}")
    for identity, want in groups.items():
        if identity not in by_identity:
            wrong.append(f"group {identity} is missing")
            continue
        have = by_identity[identity][1]
        if have.get("displayName") != want["displayName"]:
            wrong.append(f"group {identity}: displayName {have.get('displayName')!r}")
        want_members = {ids[member["value"]] for member in want.get("members", []) if member["value"] in ids}
        have_members = {str(member["value"]) for member in have.get("members") or []}
        if want_members != have_members:
            wrong.append(f"group {identity}: lacks {len(want_members - have_members)} members, "
                         f"has {len(have_members - want_members)} too many")
    print(f"{len(users)} users, {len(groups)} groups, {len(wrong)} differences")
    print("\n".join(wrong[:50]))
    return 1 if wrong else 0


sys.exit(main(sys.argv[1:]))
