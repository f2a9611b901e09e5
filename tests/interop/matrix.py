#!/usr/bin/env python3
"""Syncs one small directory into the third-party servers of this folder, all at once, with the real binary.

usage: matrix.py SCIMFLEET [TARGET…]

300 users and 30 groups, one with 250 members, go into each; then people are renamed, attributes, list items and members
go, somebody is deactivated and somebody leaves. After each step the content there equals what the server's capabilities
allow (compare.py reads it, and knows nothing of Scimfleet), and a second run writes nothing. Ends with 1 and the story of
every target that fails.
"""
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
USERS, GROUPS = 300, 30
OBJECTS_PER_TASK = 100
UP_WITHIN_S = 60

# script, base path, environment, more of the [[provider]] table, options of compare.py
TARGETS = {
    "full": ("scim2-server", "/v2", {"SPC": "full"}, "[provider.override]\nbulk_references = true", []),
    "nobulk-small": ("scim2-server", "/v2", {"SPC": "nobulk-small"}, "", []),
    "nopatch-nofilter": ("scim2-server", "/v2", {"SPC": "nopatch-nofilter"}, "", []),
    "tiny-bulk": ("scim2-server", "/v2", {"SPC": "tiny-bulk"}, "", []),
    "scimmy": ("scimmy", "/scim/v2", {}, "[provider.override]\nbulk_references = true", []),
    "scimmy-broken-paging": ("scimmy", "/scim/v2", {"EXPRESS": "5.3.0"}, "", ["--one-by-one"]),
    "django-scim2": ("django-scim2", "/scim/v2", {}, 'profile = "django-scim2"',
                     ["--lacks", "title,displayName,department,manager,phoneNumbers,secondary-emails"]),
}


def user(index):
    mail = f"person{index}@matrix.example"
    document = {
        "schemas": [USER, ENTERPRISE], "externalId": f"u-{index:03}", "userName": f"person{index}",
        "name": {"givenName": f"Gi{index}", "familyName": "Größe"}, "displayName": f"Gi{index} Größe",
        "title": "Engineer", "active": True,
        "emails": [{"value": mail, "type": "work", "primary": True}, {"value": f"home-{mail}", "type": "home"}],
        "phoneNumbers": [{"value": f"+49 30 {index:07}", "type": "work"}],
        ENTERPRISE: {"department": f"D{index % 7}", "costCenter": "CC"},
    }
    if index:
        document[ENTERPRISE]["manager"] = {"value": f"u-{(index - 1) // 8:03}"}
    return document


def group(index):
    size = 250 if index == 0 else 3 + index
    members = [{"value": f"u-{(index * 11 + step) % USERS:03}"} for step in range(size)]
    return {"schemas": [GROUP], "externalId": f"g-{index:02}", "displayName": f"Group {index}", "members": members}


def changes():
    """Renames, vanishing attributes, a vanishing list item, members in and out, somebody turned off."""
    people = [
        {"externalId": "u-003", "userName": "renamed.person", "name": {"familyName": "Renamed"}},
        {"externalId": "u-004", "title": None, "name": {"givenName": "Only"}},
        {"externalId": "u-005", "phoneNumbers": None, ENTERPRISE: {"costCenter": None}},
        {"externalId": "u-006", "emails": [{"value": "person6@matrix.example", "type": "work", "primary": True}]},
        {"externalId": "u-007", ENTERPRISE: {"department": "Elsewhere", "manager": {"value": "u-200"}}},
        {"externalId": "u-008", "active": False},
    ]
    large, small = group(0), group(5)
    large["members"] = large["members"][2:] + [{"value": "u-299"}]
    small["members"] = small["members"][:2]
    groups = [large, small, {**group(7), "members": []}, {**group(9), "displayName": "Group renamed"}]
    return [{"schemas": [USER], **one} for one in people] + groups


class Failed(Exception):
    pass


class Story:
    def __init__(self, binary, name, folder):
        self.binary, self.name, self.folder, self.said = binary, name, folder, []
        self.script, self.path, self.environment, self.more, self.options = TARGETS[name]
        self.token = f"token-of-{name}"
        self.server, self.base = None, None

    def file(self, name, lines):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as out:
            out.writelines(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
        return path

    def start(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = open(os.path.join(self.folder, "server.log"), "w")
        self.server = subprocess.Popen(
            ["bash", os.path.join(HERE, f"{self.script}.sh")], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            # What a server leaves in its temporary folder goes with ours.
            env={**os.environ, **self.environment, "PORT": str(port), "TOKEN": self.token, "TMPDIR": self.folder})
        deadline = time.monotonic() + UP_WITHIN_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if time.monotonic() > deadline or self.server.poll() is not None:
                raise Failed("the server did not come up; run tests/services/install.sh interop")
            time.sleep(0.05)
        self.base = f"http://127.0.0.1:{port}{self.path}"

    def fleet(self, *arguments):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SCIMFLEET_")}
        environment |= {
            "SCIMFLEET_STORE_URL": f"sqlite://{self.folder}/scimfleet.db",
            "SCIMFLEET_SECRETS_KEY_FILE": f"{self.folder}/scimfleet.key",
            "SCIMFLEET_CONSOLE_LISTEN": "127.0.0.1:0",
        }
        done = subprocess.run([self.binary, *arguments, "--output", "json"], capture_output=True, text=True,
                              cwd=self.folder, env=environment, timeout=300)
        if done.returncode:
            raise Failed(f"{' '.join(arguments)} ended {done.returncode}\n{done.stdout[:2000]}\n{done.stderr[:2000]}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def sync(self):
        run = self.fleet("sync", "target", "--wait", "--fail-on", "parked")["runs"][0]
        requests = run["requests"]
        writes = sum(requests.get(method, 0) for method in ("POST", "PUT", "PATCH", "DELETE", "bulk_operations"))
        return run, writes

    def settles(self, step, updated_at_most=None, **expected):
        """One run does it, and what is there is right; the next run writes nothing."""
        run, writes = self.sync()
        counts = {key: value for key, value in run["counts"].items() if value}
        self.said.append(f"{step}: {counts} {run['requests']}")
        for counter, value in expected.items():
            if run["counts"][counter] != value:
                raise Failed(f"{step}: {run['counts'][counter]} {counter} instead of {value}")
        if updated_at_most is not None and run["counts"]["updated"] > updated_at_most:
            raise Failed(f"{step}: {run['counts']['updated']} updated instead of {updated_at_most} at the most")
        if counts.get("failed"):
            raise Failed(f"{step}: some failed, because of {self.errors()}")
        self.compare(step)
        again, writes = self.sync()
        if writes:
            raise Failed(f"after {step} a second run wrote {again['requests']} {again['counts']}")

    def errors(self):
        """Each reason that the objects carry, and how many carry it."""
        with sqlite3.connect(f"{self.folder}/scimfleet.db") as store:
            return store.execute("SELECT last_error, count(*) FROM links WHERE last_error IS NOT NULL GROUP BY 1").fetchall()

    def compare(self, step):
        done = subprocess.run([sys.executable, "-B", os.path.join(HERE, "compare.py"), self.base, self.token,
                               *self.files, *self.options], capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"{step}: the content differs\n{done.stdout}{done.stderr}")
        self.said.append(f"{step}: {done.stdout.strip()}")

    def play(self):
        self.start()
        first = self.file("first.jsonl", [user(n) for n in range(USERS)] + [group(n) for n in range(GROUPS)])
        table = (f'[[provider]]\nname = "target"\nbase_url = "{self.base}"\n'
                 f'auth = {{ kind = "bearer", token = {{ value = "{self.token}" }} }}\n'
                 # The changes take away more in an hour than the guard lets pass unasked.
                 f'guard = {{ at_least = 100 }}\n{self.more}\n')
        self.fleet("import", first)
        self.fleet("apply", self.file("fleet.toml", [table]))
        self.files = [first]
        # The first hundred users are one task, and all managers are among them: with references nobody there waits.
        together = USERS - OBJECTS_PER_TASK if "bulk_references" in self.more else None
        self.settles("first sync", created=USERS + GROUPS, updated_at_most=together)
        changed = self.file("changes.jsonl", changes())
        self.fleet("import", changed)
        self.files.append(changed)
        self.settles("changes", created=0, deleted=0)
        kept = [line for name in self.files for line in open(name, encoding="utf-8") if '"u-009"' not in line[:160]
                or '"u-009"' in line and "members" in line]
        self.fleet("import", self.file("whole.jsonl", kept), "--snapshot")
        self.options = [*self.options, "--gone", "u-009"]
        self.settles("leaver", created=0, deleted=1)

    def run(self):
        began = time.monotonic()
        try:
            self.play()
            self.failure = None
        except (Failed, subprocess.SubprocessError, OSError, ValueError, KeyError) as failure:
            self.failure = str(failure) or repr(failure)
        finally:
            if self.server:
                self.server.kill()
                self.server.wait()
        self.seconds = time.monotonic() - began


def main(arguments):
    binary, names = os.path.abspath(arguments[0]), arguments[1:] or list(TARGETS)
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
        stories = []
        for name in names:
            os.mkdir(os.path.join(folder, name))
            stories.append(Story(binary, name, os.path.join(folder, name)))
        threads = [threading.Thread(target=story.run) for story in stories]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for story in stories:
        print(f"{story.name}: {'FAILED' if story.failure else 'ok'} in {story.seconds:.0f} s")
        print("".join(f"  {line}\n" for line in [*story.said, *([story.failure] if story.failure else [])]), end="")
    return 1 if any(story.failure for story in stories) else 0


sys.exit(main(sys.argv[1:]))
