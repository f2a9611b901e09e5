"""One person's life through /scim/v2, seen at three service providers. Runs inside tests/cluster.sh; argument 1 is a
folder to work in."""
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ["SCIMFLEET_BIN"]
PREFIX = os.environ["SCIMFLEET_QUEUE_PREFIX"]
CORE = "urn:ietf:params:scim:schemas:core:2.0"
# Far longer than any step takes: it only turns a hang into a failure.
WITHIN_SECONDS = 180
children = []


def check(truth, words):
    if not truth:
        raise SystemExit(f"story: FAILED: {words}")
    print(f"story: {words}", flush=True)


def until(condition, words):
    deadline = time.monotonic() + WITHIN_SECONDS
    last = None
    while True:
        last = condition()
        if last is True:
            return check(True, words)
        if time.monotonic() > deadline:
            explained = subprocess.run([BIN, "parked", "list"], capture_output=True, text=True)
            raise SystemExit(f"story: FAILED: not seen in {WITHIN_SECONDS} s: {words}: {last}\n{explained.stdout}")
        time.sleep(0.05)


def scimfleet(*arguments):
    done = subprocess.run([BIN, *arguments, "--output", "json"], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"story: FAILED: {arguments} ended {done.returncode}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout) if done.stdout.strip() else None


class Scim:
    """A SCIM endpoint, spoken to without any library."""

    def __init__(self, name, base, token):
        self.name, self.base, self.token = name, base, token

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.base + path, method=method,
                                         data=None if body is None else json.dumps(body).encode())
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Content-Type", "application/scim+json")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
                return json.loads(text) if text.strip() else None
        except urllib.error.HTTPError as error:
            # Deleted between the search and the look: that is what the story waits for.
            if method == "GET" and error.code == 404:
                return None
            raise SystemExit(f"story: FAILED: {method} {self.base}{path}: {error.code} {error.read().decode()}")

    def find(self, endpoint, attribute, value):
        query = urllib.parse.urlencode({"filter": f'{attribute} eq "{value}"'})
        found = self.call("GET", f"/{endpoint}?{query}").get("Resources") or []
        return self.call("GET", f"/{endpoint}/{found[0]['id']}") if found else None

    def patch(self, path, *operations):
        return self.call("PATCH", path, {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                                         "Operations": list(operations)})


def interop(script, path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = f"token-of-{script}"
    children.append(subprocess.Popen(["bash", f"{ROOT}/tests/interop/{script}.sh"], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL, env={**os.environ, "PORT": str(port), "TOKEN": token}))

    def listens():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(listens, f"{script} comes up")
    return Scim(script, f"http://127.0.0.1:{port}{path}", token)


def testkit():
    """The project's own provider is the third: django-scim2 never shows whom a group was given."""
    child = subprocess.Popen([f"{os.path.dirname(BIN)}/testkit-provider"], stdout=subprocess.PIPE, text=True)
    children.append(child)
    return Scim("testkit", child.stdout.readline().strip(), child.stdout.readline().strip())


def members_of(group):
    return sorted(str(member["value"]) for member in (group or {}).get("members") or [])


class Life:
    """What is done to one person, and what must be seen everywhere after each step."""

    def __init__(self, directory, providers, name, after):
        self.directory, self.providers, self.name, self.after = directory, providers, name, after
        self.group_name = f"team of {name}"

    def everywhere(self, condition, words):
        self.after()

        def seen():
            missing = [one.name for one in self.providers if not condition(one)]
            return missing or True

        until(seen, f"{self.name}: {words} at {', '.join(one.name for one in self.providers)}")

    def user_at(self, provider):
        return provider.find("Users", "userName", self.name)

    def is_member_at(self, provider):
        user, group = self.user_at(provider), provider.find("Groups", "displayName", self.group_name)
        return bool(user and group and members_of(group) == [str(user["id"])])

    def live(self):
        user = self.directory.call("POST", "/Users", {
            "schemas": [f"{CORE}:User"], "userName": self.name, "externalId": f"e-{self.name}", "active": True,
            "name": {"givenName": "Anna", "familyName": "First"}, "displayName": "Anna First",
            "emails": [{"value": f"{self.name}@acme.example", "primary": True}]})
        path = f"/Users/{user['id']}"
        self.everywhere(lambda one: self.user_at(one) is not None, "created")
        self.directory.patch(path, {"op": "replace", "path": "name.familyName", "value": "Second"})
        self.everywhere(lambda one: (self.user_at(one) or {}).get("name", {}).get("familyName") == "Second", "changed")
        group = self.directory.call("POST", "/Groups", {
            "schemas": [f"{CORE}:Group"], "displayName": self.group_name, "externalId": f"g-{self.name}",
            "members": [{"value": user["id"]}]})
        self.everywhere(self.is_member_at, "put into a group")
        self.directory.patch(f"/Groups/{group['id']}",
                             {"op": "remove", "path": f"members[value eq \"{user['id']}\"]"})
        empty = lambda one: (found := one.find("Groups", "displayName", self.group_name)) and not members_of(found)
        self.everywhere(empty, "taken out")
        self.directory.patch(path, {"op": "Replace", "value": {"active": "False"}})
        self.everywhere(lambda one: (self.user_at(one) or {}).get("active") is False, "deactivated")
        self.directory.call("DELETE", path)
        self.everywhere(lambda one: self.user_at(one) is None, "deleted")


def publish(job):
    done = subprocess.run([f"{ROOT}/tests/interop/amqp.sh", f"{ROOT}/tests/stories/amqp.py", "publish", PREFIX, "jobs",
                           json.dumps(job)], capture_output=True, text=True)
    check(done.returncode == 0, f"pika publishes {job}{done.stderr}")


def completed():
    return {run["id"]: run["provider"] for run in scimfleet("runs", "list")["runs"] if run["state"] == "completed"}


def sync_by_job(providers):
    """A stranger asks for everything; the step counts when its runs are through."""
    before = completed()
    publish({"v": 1, "job": "sync", "all": True})

    def through():
        missing = {one.name for one in providers} - {name for key, name in completed().items() if key not in before}
        return sorted(missing) or True

    until(through, "a run was made for it at each provider")


def main():
    os.chdir(sys.argv[1])
    providers = [interop("scim2-server", "/v2"), interop("scimmy", "/scim/v2"), testkit()]
    with open("fleet.toml", "w") as out:
        for one in providers:
            out.write(f'[[provider]]\nname = "{one.name}"\nbase_url = "{one.base}"\nschedule = "off"\n'
                      f'auth = {{ kind = "bearer", token = {{ value = "{one.token}" }} }}\n'
                      f'guard = {{ share = "100%", cap = 500, at_least = 100 }}\n')
    scimfleet("apply", "fleet.toml")
    token = scimfleet("token", "create", "--scope", "directory", "--name", "hr")["token"]
    directory = Scim("scimfleet", os.environ["SCIMFLEET_CLUSTER_CONSOLE"].rstrip("/") + "/scim/v2", token)
    # Somebody who stays: the last account never goes without a person's word.
    directory.call("POST", "/Users", {"schemas": [f"{CORE}:User"], "userName": "stays", "externalId": "e-stays"})
    Life(directory, providers, "anna", lambda: None).live()
    Life(directory, providers, "bert", lambda: sync_by_job(providers)).live()


try:
    main()
finally:
    for child in children:
        child.kill()
        child.wait()
