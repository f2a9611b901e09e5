"""Writes deepmerge.json: what Python's `deepmerge.always_merger` makes of random documents.

    python -m venv venv && venv/bin/pip install deepmerge
    venv/bin/python deepmerge.py > deepmerge.json   # run with -P, or this file hides the package

Each case has parts, merged one after the other into an empty object, and the result. The seed is
fixed: the same version of the package gives the same file.
"""

import copy
import json
import random

from deepmerge import always_merger

CASES = 200
KEYS = ["userName", "name", "emails", "active", "urn:x:2.0:User", "a.b", "é"]
random.seed(7643)


def scalar():
    return random.choice(
        [None, True, False, 0, 1, -7, 2.5, "", "anna", "ü", "1", 10_000_000_000]
    )


def value(depth):
    pick = random.random()
    if depth == 0 or pick < 0.45:
        return scalar()
    if pick < 0.75:
        return document(depth - 1)
    return [value(depth - 1) for _ in range(random.randint(0, 3))]


def document(depth):
    # Few names and many parts, so that they meet often.
    return {key: value(depth) for key in random.sample(KEYS, random.randint(0, 5))}


def case():
    parts = [document(3) for _ in range(random.randint(1, 4))]
    result = {}
    for part in parts:
        always_merger.merge(result, copy.deepcopy(part))
    return {"parts": parts, "result": result}


cases = [case() for _ in range(CASES)]
print("[\n" + ",\n".join(json.dumps(one, ensure_ascii=False) for one in cases) + "\n]")
