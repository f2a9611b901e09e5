if request.user.type in ["service_account", "internal_service_account"]:
    raise SkipObject
return {"userType": "Employee"}
