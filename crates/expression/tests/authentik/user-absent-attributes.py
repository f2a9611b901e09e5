return {
    "none": [user.nickName, user.profileUrl, user.userType, user.roles, user.timezone, user.password],
    "had": [user.title, user.userName, user.active, user.department, user.employeeNumber],
    "attr": getattr(user, "nonsense", "default"),
    "has": hasattr(user, "title"),
    "scim": "password" in user.scim,
}
