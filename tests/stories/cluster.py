"""The cluster's story, run inside tests/cluster.sh: argument 1 is the directory as JSON Lines.

Two workers share a first sync into two third-party servers; tasks on the broker carry ids only; jobs come from a client
that is not ours; a worker and the scheduler are killed half-way, and nothing is lost or made twice.
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("SCIMFLEET_BIN", f"{ROOT}/target/debug/scimfleet")
PREFIX = os.environ["SCIMFLEET_QUEUE_PREFIX"]
PEOPLE = sys.argv[1]
children = []


def say(words):
    print(f"story: {words}", flush=True)


def check(truth, words):
    if not truth:
        raise SystemExit(f"story: FAILED: {words}")
    say(words)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def interop(script, path):
    port, token = free_port(), f"token-of-{script}"
    env = {**os.environ, "PORT": str(port), "TOKEN": token}
    children.append(subprocess.Popen(["bash", f"{ROOT}/tests/interop/{script}.sh"], env=env,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    until(lambda: connects(port), 60, f"{script} comes up")
    return f"http://127.0.0.1:{port}{path}", token


def testkit(behaviour):
    """The project's own provider, with latency, so that there is a half-way to kill somebody at."""
    with open("behaviour.json", "w") as out:
        json.dump(behaviour, out)
    child = subprocess.Popen([f"{os.path.dirname(BIN)}/testkit-provider", "--behaviour", "behaviour.json"],
                             stdout=subprocess.PIPE, text=True)
    children.append(child)
    return child.stdout.readline().strip(), child.stdout.readline().strip()


def connects(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(condition, seconds, words):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"story: FAILED: in {seconds} s not seen: {words}")
        time.sleep(0.05)


def scimfleet(*arguments, code=0):
    done = subprocess.run([BIN, *arguments, "--output", "json"], capture_output=True, text=True)
    if done.returncode != code:
        raise SystemExit(f"story: FAILED: {arguments} ended {done.returncode}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout) if done.stdout.strip() else None


def compare(base, token):
    done = subprocess.run(["python3", "-B", f"{ROOT}/tests/interop/compare.py", base, token, PEOPLE],
                          capture_output=True, text=True)
    check(done.returncode == 0, f"{base} holds the directory: {done.stdout.strip()}")


def roles():
    with open(os.environ["SCIMFLEET_CLUSTER_STATE"]) as lines:
        return {words[0]: words for words in (line.split() for line in lines)}


def kill(name):
    """SIGKILL, and out of the state file, so that its end is not judged."""
    state = os.environ["SCIMFLEET_CLUSTER_STATE"]
    pid = int(roles()[name][1])
    lines = [line for line in open(state) if line.split()[0] != name]
    with open(state, "w") as out:
        out.writelines(lines)
    os.kill(pid, signal.SIGKILL)


def metrics_of(name):
    return urllib.request.urlopen(f"http://{roles()[name][2]}/metrics", timeout=5).read().decode()


def tasks_done(name):
    text = metrics_of(name)
    return sum(float(line.split()[-1]) for line in text.splitlines()
               if line.startswith("scimfleet_task_seconds_count"))


def every_role_is_measured():
    """Each role serves metrics of the documented names only, and together they serve them all but what never happened."""
    known = set(re.findall(r"^\| `(scimfleet_\w+)`", open(f"{ROOT}/docs/metrics.md").read(), re.M))
    found = set()
    for name, row in roles().items():
        text = metrics_of(name)
        names = {re.sub(r"_(bucket|sum|count)$", "", series)
                 for series in re.findall(r"^(scimfleet_\w+)[{ ]", text, re.M)}
        if not names <= known:
            raise SystemExit(f"story: FAILED: {name} serves {names - known}")
        found |= names
        ready = json.load(urllib.request.urlopen(f"http://{row[2]}/readyz", timeout=5))
        if ready["checks"] != {part: "ok" for part in ("store", "broker", "coordination", "providers")}:
            raise SystemExit(f"story: FAILED: {name} is not well: {ready}")
    rare = {"scimfleet_throttled_total", "scimfleet_drifted_total", "scimfleet_change_latency_seconds"}
    check(known - found <= rare, f"every role is measured and well; not seen: {known - found}")


def provider(name, base, token, more=""):
    return (f'[[provider]]\nname = "{name}"\nbase_url = "{base}"\nschedule = "off"\n'
            f'auth = {{ kind = "bearer", token = {{ value = "{token}" }} }}\n{more}\n')


def apply(*tables):
    with open("fleet.toml", "w") as out:
        out.write("\n".join(tables))
    scimfleet("apply", "fleet.toml")


def amqp(*arguments):
    done = subprocess.run([f"{ROOT}/tests/interop/amqp.sh", f"{ROOT}/tests/stories/amqp.py", *arguments],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"story: FAILED: {arguments}\n{done.stderr}")
    return done.stdout


def tasks_of_groups():
    """How many there may be with 25,000 members to a task: each ends where the next group would be too much."""
    with open(PEOPLE) as lines:
        sizes = [len(json.loads(line).get("members", [])) for line in lines]
    return range(-(-sum(sizes) // 25_000), sum(sizes) // (25_000 - max(sizes)) + 2)


def first_sync(servers):
    spy = subprocess.Popen([f"{ROOT}/tests/interop/amqp.sh", f"{ROOT}/tests/stories/amqp.py", "spy", PREFIX, "strict",
                            "scimmy", "spied.jsonl"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    children.append(spy)
    check(spy.stdout.readline().strip() == "listening", "a spy listens at the broker")
    report = scimfleet("sync", "--all", "--wait")
    for run in report["runs"]:
        check(run["state"] == "completed" and run["counts"]["created"] == 2560, f"{run['provider']}: {run['counts']}")
        tasks = run["tasks"]
        check(tasks["users"] == 25 and tasks["groups"] in tasks_of_groups(), f"{run['provider']}: {tasks}")
    for base, token in servers:
        compare(base, token)
    shares = {name: tasks_done(name) for name in ("worker-1", "worker-2")}
    check(all(share > 0 for share in shares.values()), f"both workers took tasks: {shares}")
    spy.stdin.close()
    spy.wait()
    seen = [json.loads(line) for line in open("spied.jsonl")]
    bodies = [json.loads(one["body"]) for one in seen]
    fields = ["v", "task", "run", "provider", "kind", "lane", "cause", "objects"]
    check(len(bodies) >= 56 and all(list(body) == fields for body in bodies), f"{len(bodies)} tasks have the fields of v1")
    check(all(len(body["objects"]) <= 100 and all(isinstance(one, str) and len(one) == 36 for one in body["objects"])
              for body in bodies), "they carry at most 100 ids and nothing else")
    check(all(one["delivery_mode"] == 2 and one["content_type"] == "application/json"
              and one["message_id"] == json.loads(one["body"])["task"] for one in seen), "they are persistent JSON")


def idle_sync():
    report = scimfleet("sync", "--all", "--wait")
    for run in report["runs"]:
        writes = sum(count for method, count in run["requests"].items() if method != "GET")
        check(writes == 0 and run["counts"]["unchanged"] == 2560, f"{run['provider']}: a second sync writes nothing")


def jobs():
    runs = lambda: [run for run in scimfleet("runs", "list", "--provider", "strict")["runs"]
                    if run["state"] == "completed"]
    before = len(runs())
    amqp("publish", PREFIX, "jobs", '{"v":1,"job":"sync","provider":"strict"}')
    until(lambda: len(runs()) == before + 1, 60, "a job from a stranger opens a run")
    amqp("publish", PREFIX, "jobs", '{"v":1,"job":"dance"}')
    amqp("publish", PREFIX, "jobs", '{"v":1,"job":"sync_object","provider":"strict","object":"nobody"}')
    amqp("publish", PREFIX, "strict.sync", '{"v":9,"task":"from the future"}')
    until(lambda: len(scimfleet("dead", "list")["dead"]) == 3, 30, "what nobody can work on is dead-lettered")
    reasons = amqp("dead", PREFIX).splitlines()
    check(all(any(word in reason for reason in reasons) for word in ("dance", "nobody", "unknown task version 9")),
          f"with their reasons: {reasons}")
    amqp("publish", PREFIX, "jobs", '{"v":1,"job":"sync_object","provider":"strict","object":"g-0054"}')
    until(lambda: len(scimfleet("dead", "list")["dead"]) == 3, 30, "a job for one object is taken")


def killed(servers):
    base, token = testkit({"latency_ms": 30})
    apply(*[provider(name, *server) for name, server in zip(("strict", "scimmy"), servers)],
          provider("slow", base, token, "in_flight = 8"))
    sync = subprocess.Popen([BIN, "sync", "slow", "--wait", "--output", "json"], stdout=subprocess.PIPE, text=True)
    children.append(sync)
    list_users = lambda: json.load(urllib.request.urlopen(urllib.request.Request(
        f"{base}/Users?count=1", headers={"Authorization": f"Bearer {token}"})))["totalResults"]
    until(lambda: list_users() > 300, 60, "the slow provider is half-way")
    kill("worker-1")
    say(f"a worker was killed at {list_users()} users")
    until(lambda: list_users() > 900, 120, "the other one goes on")
    env = {**os.environ, "SCIMFLEET_METRICS_LISTEN": f"127.0.0.1:{free_port()}"}
    children.append(subprocess.Popen([BIN, "scheduler"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    kill("scheduler")
    say("the scheduler was killed, another stands by")
    report = json.loads(sync.communicate(timeout=240)[0])
    run = report["runs"][0]
    check(run["state"] == "completed", f"the run was completed all the same: {run['counts']}")
    compare(base, token)


def main():
    os.chdir(os.path.dirname(PEOPLE))
    servers = [interop("scim2-server", "/v2"), interop("scimmy", "/scim/v2")]
    scimfleet("import", PEOPLE)
    apply(*[provider(name, *server) for name, server in zip(("strict", "scimmy"), servers)])
    first_sync(servers)
    idle_sync()
    until(lambda: "scimfleet_dirty_objects" in metrics_of("scheduler"), 60, "the scheduler measures")
    every_role_is_measured()
    jobs()
    killed(servers)


try:
    main()
finally:
    for child in children:
        child.kill()
        child.wait()
