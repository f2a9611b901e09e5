text = """first
  second"""
return {
    "note": text.splitlines(),
    "joined": "a" \
        "b",
}
