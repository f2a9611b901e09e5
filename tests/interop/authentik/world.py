"""The directory of the stand-in: people, groups, providers and mappings, made of the client's models, the same ones every time."""

import hashlib
import os
import uuid
from datetime import datetime, timedelta, timezone

from client import (
    Application, Group, PartialGroup, PartialUser, Policy, PolicyBinding, Schedule, SCIMMapping, SCIMProvider, User,
)

USERS = int(os.environ.get("USERS", "3000"))
GROUPS = int(os.environ.get("GROUPS", "120"))
TOP_GROUPS = 10
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
TYPES = {3: "external", 4: "service_account", 5: "internal_service_account"}
GIVEN = ["Anna", "Bo", "Chloë", "Dmitri", "Ewa", "Farid", "Grace", "Hiro", "Ines", "Jonas"]
FAMILY = ["Berg", "de la Cruz", "Ek", "Fischer", "Ng", "O'Neil", "Pérez", "Quist", "Roy", "Silva"]


def stable(*parts):
    return uuid.uuid5(uuid.NAMESPACE_URL, "/".join(str(part) for part in parts))


def kind_of(pk):
    return TYPES.get(pk % 100, "internal")


def attributes_of(pk):
    found = {"settings": {"locale": "de"}} if pk % 4 == 0 else {}
    if pk % 3 == 0:
        found["title"] = f"Engineer {pk % 7}"
    if pk % 5 == 0:
        found["department"] = f"Department {pk % 11}"
    if pk % 20 == 11:
        found["phones"] = [f"+49 30 {pk:06}"]
    return found


def former_attributes_of(pk):
    """What was there when authentik wrote last and is gone now: its comparison never notices a removal."""
    found = {}
    if pk % 50 == 7 and pk % 3:
        found["title"] = "Left behind"
    if pk % 100 == 11:
        found["phones"] = [f"+49 30 {pk:06}", "+49 30 999999"]
    return found


def group_of(pk):
    """Everybody is in one of the inner groups; the outer ones have but a few members of their own."""
    return TOP_GROUPS + pk % (GROUPS - TOP_GROUPS)


class World:
    def __init__(self):
        self.users = {pk: self.user(pk) for pk in range(1, USERS + 1)}
        self.members = {index: [] for index in range(GROUPS)}
        for pk in self.users:
            self.members[group_of(pk)].append(pk)
            if pk % 97 == 0:
                self.members[pk % TOP_GROUPS].append(pk)
        self.groups = {index: self.group(index) for index in range(GROUPS)}
        for index, group in self.groups.items():
            for pk in self.members[index]:
                self.users[pk].groups.append(group.pk)
        self.mappings = [self.mapping(*one) for one in MAPPINGS]
        self.providers = {one["pk"]: self.provider(**one) for one in PROVIDERS}
        self.applications = [self.application(one) for one in self.providers.values()]
        self.bindings = self.policy_bindings()
        self.schedules = [self.schedule(one) for one in self.providers.values()]
        self.links = {"providers/scim_users": [], "providers/scim_groups": []}

    def user(self, pk):
        given, family = GIVEN[pk % 10], FAMILY[pk // 10 % 10]
        return User(
            pk=pk, username=f"user{pk:05}", name="Prince" if pk % 40 == 9 else f"{given} {family}",
            is_active=pk % 60 != 17, last_login=None, date_joined=START, is_superuser=pk == 1, groups=[], groups_obj=None,
            roles=[], roles_obj=None, email="" if pk % 30 == 13 else f"user{pk:05}@corp.example",
            avatar=f"https://corp.example/{pk}.png" if pk % 9 == 0 else "data:image/svg+xml;base64,PHN2Zy8+",
            attributes=attributes_of(pk), uid=hashlib.sha256(f"user-{pk}".encode()).hexdigest(), path="users",
            type=kind_of(pk), uuid=stable("user", pk), password_change_date=START,
            last_updated=START + timedelta(minutes=pk),
        )

    def pk_of_group(self, index):
        return stable("group", index)

    def group(self, index):
        inner = index >= TOP_GROUPS
        # A group may have several parents since 2025.12; a few of ours do.
        parents = {index % TOP_GROUPS, (index + 1) % TOP_GROUPS if index % 15 == 0 else index % TOP_GROUPS} if inner else set()
        children = [] if inner else [
            self.pk_of_group(one) for one in range(TOP_GROUPS, GROUPS)
            if one % TOP_GROUPS == index or one % 15 == 0 and (one + 1) % TOP_GROUPS == index
        ]
        return Group(
            pk=self.pk_of_group(index), num_pk=index, name=f"Team {index:03}" if inner else f"Division {index}",
            is_superuser=False, parents=[self.pk_of_group(one) for one in sorted(parents)], parents_obj=None,
            users=self.members[index], users_obj=None, attributes={"cost_center": f"C{index}"}, roles=[], roles_obj=[],
            inherited_roles_obj=None, children=children, children_obj=None,
        )

    def mapping(self, name, managed, expression):
        return SCIMMapping(
            pk=stable("mapping", name), managed=managed, name=name, expression=expression,
            component="ak-property-mapping-scim-form", verbose_name="SCIM Provider Mapping",
            verbose_name_plural="SCIM Provider Mappings", meta_model_name="authentik_providers_scim.scimmapping",
        )

    def provider(self, pk, name, users, groups, filters=(), **more):
        by_name = {one.name: one.pk for one in self.mappings}
        return SCIMProvider(**{
            "pk": pk, "name": name, "property_mappings": [by_name[one] for one in users],
            "property_mappings_group": [by_name[one] for one in groups], "component": "ak-provider-scim-form",
            "assigned_backchannel_application_slug": f"app-{pk}", "assigned_backchannel_application_name": name,
            "verbose_name": "SCIM Provider", "verbose_name_plural": "SCIM Providers",
            "meta_model_name": "authentik_providers_scim.scimprovider", "verify_certificates": True, "auth_mode": "token",
            "auth_oauth": None, "auth_oauth_params": {}, "auth_oauth_token_last_updated": None,
            "auth_oauth_token_expires": None, "auth_oauth_url_callback": None, "auth_oauth_url_start": None,
            "compatibility_mode": "default", "service_provider_config_cache_timeout": "hours=1",
            "exclude_users_service_account": True, "sync_page_size": 100, "sync_page_timeout": "minutes=30",
            "discovery_enabled": True, "group_filters": [self.pk_of_group(one) for one in filters], "dry_run": False, **more,
        })

    def application(self, provider):
        pk = stable("application", provider.pk)
        return Application(
            pk=pk, pbm_uuid=pk, name=provider.name, slug=f"app-{provider.pk}", provider=None, provider_obj=None,
            backchannel_providers=[provider.pk], backchannel_providers_obj=[], launch_url=None, meta_icon_url=None,
            meta_icon_themed_urls=None, policy_engine_mode="any",
        )

    def policy_bindings(self):
        policy = Policy(
            pk=stable("policy", 1), name="office hours", component="ak-policy-expression-form", bound_to=1,
            verbose_name="Expression Policy", verbose_name_plural="Expression Policies",
            meta_model_name="authentik_policies_expression.expressionpolicy",
        )
        division, other = self.groups[7], self.users[2]
        return [] if USERS < 2 else [
            self.binding(2, 0, group=division.pk, group_obj=PartialGroup(**partial(division, PartialGroup))),
            self.binding(3, 0, policy=policy.pk, policy_obj=policy),
            self.binding(3, 1, user=other.pk, user_obj=PartialUser(**partial(other, PartialUser)), negate=True),
            self.binding(3, 2, group=division.pk, group_obj=PartialGroup(**partial(division, PartialGroup)), enabled=False),
        ]

    def binding(self, provider, order, **more):
        return PolicyBinding(**{
            "pk": stable("binding", provider, order), "policy_obj": None, "group_obj": None, "user_obj": None,
            "target": stable("application", provider), "negate": False, "enabled": True, "order": order, "timeout": 30,
            "failure_result": False, "expires": None, "expiring": False, **more,
        })

    def schedule(self, provider):
        return Schedule(
            id=stable("schedule", provider.pk), identifier=None, uid=f"scim-sync-{provider.pk}",
            actor_name="authentik.providers.scim.tasks.scim_sync", rel_obj_app_label="authentik_providers_scim",
            rel_obj_model="scimprovider", rel_obj_id=str(provider.pk), crontab=f"{10 + provider.pk} */4 * * *",
            paused=provider.pk == 3, next_run=START, description=None, last_task_status=None,
        )

    def touch(self, user, **changes):
        """A change as somebody makes it in authentik: it moves `last_updated`."""
        for name, value in changes.items():
            setattr(user, name, value)
        user.last_updated = datetime.now(timezone.utc)

    def remove_user(self, pk):
        user = self.users.pop(pk)
        for group in self.groups.values():
            if pk in group.users:
                group.users.remove(pk)
        return user

    def ancestors(self, pks):
        """These groups and every group above them."""
        found, queue = set(), list(pks)
        by_pk = {group.pk: group for group in self.groups.values()}
        while queue:
            pk = queue.pop()
            if pk not in found:
                found.add(pk)
                queue.extend(by_pk[pk].parents)
        return found

    def collection(self, endpoint):
        if endpoint in self.links:
            return self.links[endpoint]
        return {
            "core/users": list(self.users.values()), "core/groups": list(self.groups.values()),
            "core/applications": self.applications, "providers/scim": list(self.providers.values()),
            "propertymappings/provider/scim": self.mappings, "policies/bindings": self.bindings,
            "tasks/schedules": self.schedules,
        }[endpoint]


def partial(model, kind):
    """The fields that a partial model has of the whole one."""
    return {name: getattr(model, name) for name in kind.model_fields}


DEFAULT_USER = """# Some applications want both names
name = request.user.name
given, _, family = name.partition(" ")
avatar = request.user.avatar
locale = request.user.locale()
return {
    "userName": request.user.username,
    "name": {
        "formatted": name,
        "givenName": given,
        "familyName": family if family else " ",
    },
    "displayName": name,
    "photos": [{"value": avatar, "type": "photo"}] if "://" in avatar else None,
    "locale": locale if locale != "" else None,
    "active": request.user.is_active,
    "emails": [{"value": request.user.email, "type": "other", "primary": True}] if request.user.email != "" else [],
}
"""

TITLES = """result = {}
if "title" in user.attributes:
    result["title"] = user.attributes["title"]
if user.attributes.get("department"):
    result["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"] = {
        "department": user.attributes["department"],
    }
phones = [{"value": phone, "type": "work"} for phone in user.attributes.get("phones", [])]
if phones:
    result["phoneNumbers"] = phones
return result
"""

CANNOT_RUN = """name = user.username
# who is on call comes from somewhere else
calls = requests.get("https://oncall.corp.example/" + name)
return {"title": calls.json()["title"]}
"""

MAPPINGS = [
    ("authentik default SCIM Mapping: User", "goauthentik.io/providers/scim/user", DEFAULT_USER),
    ("authentik default SCIM Mapping: Group", "goauthentik.io/providers/scim/group", 'return {\n    "displayName": group.name,\n}\n'),
    ("custom: title, department, phones", None, TITLES),
    ("custom: 'on call'", None, CANNOT_RUN),
]
USER, GROUP = MAPPINGS[0][0], MAPPINGS[1][0]
PROVIDERS = [
    {"pk": 1, "name": "Acme SCIM", "users": [USER, MAPPINGS[2][0]], "groups": [GROUP], "url": os.environ.get("URL_1", "http://127.0.0.1:9/v2")},
    {"pk": 2, "name": "Scimmy, (corp)", "users": [USER, MAPPINGS[2][0]], "groups": [GROUP], "filters": range(10, 40),
     "url": os.environ.get("URL_2", "http://127.0.0.1:9/scim/v2"), "sync_page_size": 50},
    {"pk": 3, "name": "Slack", "users": [USER, MAPPINGS[3][0]], "groups": [GROUP], "url": "https://api.slack.example/scim/v2",
     "compatibility_mode": "slack", "verify_certificates": False, "exclude_users_service_account": False, "dry_run": True},
]
PROVIDERS = PROVIDERS[:int(os.environ.get("PROVIDERS", "3"))]
