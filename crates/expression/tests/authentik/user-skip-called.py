try:
    if user.title.startswith("Tour"):
        raise SkipObject("guides are kept by hand")
except Exception:
    return {"swallowed": True}
