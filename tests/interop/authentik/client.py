"""The models of the published client package, without its 900 other modules: importing the package as it is takes many seconds."""

import importlib.util
import sys
import types
from pathlib import Path

spec = importlib.util.find_spec("authentik_client")
root = Path(spec.origin).parent
for name, folder in (("authentik_client", root), ("authentik_client.models", root / "models")):
    package = types.ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package

from authentik_client.models.application import Application  # noqa: E402
from authentik_client.models.group import Group  # noqa: E402
from authentik_client.models.paginated_application_list import PaginatedApplicationList  # noqa: E402
from authentik_client.models.paginated_group_list import PaginatedGroupList  # noqa: E402
from authentik_client.models.paginated_policy_binding_list import PaginatedPolicyBindingList  # noqa: E402
from authentik_client.models.paginated_schedule_list import PaginatedScheduleList  # noqa: E402
from authentik_client.models.paginated_scim_mapping_list import PaginatedSCIMMappingList  # noqa: E402
from authentik_client.models.paginated_scim_provider_group_list import PaginatedSCIMProviderGroupList  # noqa: E402
from authentik_client.models.paginated_scim_provider_list import PaginatedSCIMProviderList  # noqa: E402
from authentik_client.models.paginated_scim_provider_user_list import PaginatedSCIMProviderUserList  # noqa: E402
from authentik_client.models.paginated_user_list import PaginatedUserList  # noqa: E402
from authentik_client.models.partial_group import PartialGroup  # noqa: E402
from authentik_client.models.partial_user import PartialUser  # noqa: E402
from authentik_client.models.policy import Policy  # noqa: E402
from authentik_client.models.policy_binding import PolicyBinding  # noqa: E402
from authentik_client.models.schedule import Schedule  # noqa: E402
from authentik_client.models.scim_mapping import SCIMMapping  # noqa: E402
from authentik_client.models.scim_provider import SCIMProvider  # noqa: E402
from authentik_client.models.scim_provider_group import SCIMProviderGroup  # noqa: E402
from authentik_client.models.scim_provider_user import SCIMProviderUser  # noqa: E402
from authentik_client.models.user import User  # noqa: E402

# The list that each endpoint answers with: what is served is deserialised by it first.
LISTS = {
    "core/users": PaginatedUserList,
    "core/groups": PaginatedGroupList,
    "core/applications": PaginatedApplicationList,
    "providers/scim": PaginatedSCIMProviderList,
    "providers/scim_users": PaginatedSCIMProviderUserList,
    "providers/scim_groups": PaginatedSCIMProviderGroupList,
    "propertymappings/provider/scim": PaginatedSCIMMappingList,
    "policies/bindings": PaginatedPolicyBindingList,
    "tasks/schedules": PaginatedScheduleList,
}
