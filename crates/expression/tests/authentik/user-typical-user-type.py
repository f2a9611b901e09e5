kinds = {"Employees": "Employee", "Contractors": "Contractor"}
names = [group.name for group in request.user.ak_groups.all()]
return {"userType": next((kinds[name] for name in names if name in kinds), "Guest")}
