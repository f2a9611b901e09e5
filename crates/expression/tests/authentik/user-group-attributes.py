attributes = user.group_attributes()
return {"roles": attributes["roles"], "region": attributes.get("region"), "nested": attributes["nested"], "kind": attributes["kind"]}
