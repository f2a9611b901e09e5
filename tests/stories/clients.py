"""PyPI scim2-client drives the directory's own endpoint. Arguments: base URL, token.

Every answer is validated by that client against its models; what differs from RFC 7643 or 7644 raises.
"""
import sys

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_models import EnterpriseUser, Error, Group, PatchOp, PatchOperation, SearchRequest, User

BASE, TOKEN = sys.argv[1:]
FullUser = User[EnterpriseUser]


def check(truth, words):
    if not truth:
        raise SystemExit(f"FAILED: {words}")
    print(words)


def main():
    scim = SyncSCIMClient(httpx2.Client(base_url=BASE, headers={"Authorization": f"Bearer {TOKEN}"}))
    scim.discover()
    check({"User", "Group"} <= {one.name for one in scim.resource_types}, "it discovers users and groups")
    FullGroup = Group

    anna = scim.create(FullUser(user_name="anna", external_id="e-1", display_name="Anna"))
    check(anna.id and anna.active is True and anna.meta.version, "it creates a user")
    people = [scim.create(FullUser(user_name=f"person-{number}")) for number in range(5)]
    anna.display_name = "Anna A."
    anna = scim.replace(anna)
    check(anna.display_name == "Anna A.", "it replaces a user")

    group = scim.create(FullGroup(display_name="Staff"))
    add = PatchOp[FullGroup](operations=[PatchOperation(op="add", path="members", value=[{"value": anna.id}])])
    scim.modify(FullGroup, group.id, add)
    group = scim.query(FullGroup, group.id)
    check([str(member.value) for member in group.members] == [anna.id], "it puts somebody into a group")
    check([one.display for one in scim.query(FullUser, anna.id).groups] == ["Staff"], "a user shows the groups")
    remove = PatchOp[FullGroup](operations=[PatchOperation(op="remove", path=f'members[value eq "{anna.id}"]')])
    scim.modify(FullGroup, group.id, remove)
    check(not scim.query(FullGroup, group.id).members, "and takes her out")

    found = scim.query(FullUser, query_parameters=SearchRequest(filter='userName sw "person-"', start_index=2, count=2))
    check(found.total_results == 5 and len(found.resources) == 2, "it filters and pages")
    found = scim.search(search_request=SearchRequest(filter='externalId eq "e-1"'))
    check([one.id for one in found.resources] == [anna.id], "it searches from the root")
    off = PatchOp[FullUser](operations=[PatchOperation(op="replace", path="active", value=False)])
    scim.modify(FullUser, anna.id, off)
    check(scim.query(FullUser, anna.id).active is False, "it deactivates")
    twice = scim.create(FullUser(user_name="ANNA"), raise_scim_errors=False)
    check(isinstance(twice, Error) and twice.status == 409, "a name that is taken is refused")
    for one in [anna, *people]:
        scim.delete(FullUser, one.id)
    scim.delete(FullGroup, group.id)
    check(scim.query(FullUser).total_results == 0, "it deletes")


main()
