"""Serves the made-up directory as authentik's API serves one: endpoints, parameters and paging of the published client, whose models make every answer
and read it back before it is sent. `/control` is ours: it lets authentik sync, changes people, and breaks answers.
PORT, TOKEN; USERS and GROUPS for other sizes."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from datetime import datetime
from uuid import UUID

from client import LISTS
from sync import sync
from world import World

TOKEN = os.environ.get("TOKEN", "token-of-authentik")
PAGE_SIZE_MAX = 100
WORLD = World()
LOCK = threading.Lock()
# What breaks: (endpoint, page) to one of `status 500`, `empty`, `lost page`, `short page`; one answer each unless told otherwise.
FAULTS = {}
SERVED = {}


def matches(endpoint, one, query):
    def given(name):
        return query.get(name, [None])[0]

    if given("last_updated__gt") and not one.last_updated > datetime.fromisoformat(given("last_updated__gt").replace("Z", "+00:00")):
        return False
    if given("provider__id") and one.provider != int(given("provider__id")):
        return False
    if given("target") and one.target != UUID(given("target")):
        return False
    if given("rel_obj_id") and one.rel_obj_id != given("rel_obj_id"):
        return False
    return not (given("rel_obj_content_type__model") and one.rel_obj_model != given("rel_obj_content_type__model"))


def listed(endpoint, query):
    model = LISTS[endpoint]
    found = [one for one in WORLD.collection(endpoint) if matches(endpoint, one, query)]
    page, size = int(query.get("page", ["1"])[0]), min(int(query.get("page_size", ["20"])[0]), PAGE_SIZE_MAX)
    pages = max(1, -(-len(found) // size))
    if page > pages:
        return 404, {"detail": "Invalid page."}
    fault = FAULTS.get((endpoint, page))
    if fault and not fault.get("always"):
        del FAULTS[(endpoint, page)]
    fault = fault["what"] if fault else None
    if fault == "status 500":
        return 500, {"detail": "internal"}
    start = (page - 1) * size
    count, results = len(found), found[start:start + size]
    if fault == "empty":
        count, results, pages = 0, [], 1
    elif fault == "lost page":
        results = []
    elif fault == "short page":
        results = results[:-1]
    answer = {
        "pagination": {
            "next": page + 1 if page < pages else 0, "previous": page - 1, "count": count, "current": page, "total_pages": pages,
            "start_index": min(start + 1, count), "end_index": start + len(results),
        },
        "results": [one.model_dump(mode="json", by_alias=True) for one in results],
        "autocomplete": {},
    }
    text = json.dumps(answer)
    if model.from_json(text) is None:
        raise ValueError(f"{endpoint}: not what the client reads")
    return 200, text


def control(name, body):
    if name == "sync":
        return sync(WORLD, WORLD.providers[body["provider"]], body["url"], body["token"])
    if name == "fault":
        FAULTS[(body["endpoint"], body.get("page", 1))] = body
    elif name == "mend":
        FAULTS.clear()
    elif name == "change":
        WORLD.touch(WORLD.users[body.pop("pk")], **body)
    elif name == "remove":
        WORLD.remove_user(body["pk"])
    elif name == "served":
        return SERVED
    else:
        return None
    return {"done": name}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Two small writes and a delayed acknowledgement cost 40 ms an answer otherwise.
    disable_nagle_algorithm = True

    def do_GET(self):
        url = urlsplit(self.path)
        endpoint = url.path.removeprefix("/api/v3/").strip("/")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(403, {"detail": "Token invalid/expired"})
        if endpoint not in LISTS:
            return self.answer(404, {"detail": "Not found."})
        with LOCK:
            SERVED[endpoint] = SERVED.get(endpoint, 0) + 1
            try:
                status, body = listed(endpoint, parse_qs(url.query))
            except Exception as error:  # the test must see what the client could not read
                status, body = 500, {"detail": f"the stand-in is broken: {error}"}
        return self.answer(status, body)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        with LOCK:
            try:
                done = control(self.path.removeprefix("/control/"), body)
            except Exception as error:
                return self.answer(500, {"detail": str(error)})
        return self.answer(200 if done is not None else 404, done or {})

    def answer(self, status, body):
        text = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "18105"))), Handler).serve_forever()
