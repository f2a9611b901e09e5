address = request.user.attributes.get("address", {})
return {
    "addresses": [
        {
            "type": "work",
            "primary": True,
            "country": address.get("country", "DE"),
            "locality": address.get("city", "Berlin"),
        }
    ]
}
