return {
    "staff": ak_is_group_member(user, name="Employees"),
    "admin": ak_is_group_member(request.user, name="Admins"),
    "any": ak_is_group_member(user, name__in=["Admins", "Tour Guides"]),
    "folded": ak_is_group_member(user, name__iexact="tour guides"),
    "west": ak_is_group_member(user, attributes__region="west", name__startswith="Tour"),
}
