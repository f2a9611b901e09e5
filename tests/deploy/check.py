"""Reads every file of deploy/ as the program would that it is for, and says what would go wrong there.

Exit 1 with every fault. The words of metrics are compared with docs/metrics.md, those of settings with
docs/configuration.md; both are held to the code by tests of their own.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
VERSION = "1.33"
faults = []


def fault(where, words):
    faults.append(f"{where}: {words}")


def documents(path):
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def known_metrics():
    """Name to labels, from the table of docs/metrics.md; histograms by the names of their series, too."""
    metrics = {}
    for line in (ROOT / "docs/metrics.md").read_text().splitlines():
        row = re.match(r"\| `(scimfleet_\w+)` \| (\w+) \| ([^|]*)\|", line)
        if row:
            labels = set(re.findall(r"`(\w+)`", row[3]))
            metrics[row[1]] = labels
            if row[2] == "histogram":
                for series in ("_bucket", "_sum", "_count"):
                    metrics[row[1] + series] = labels | ({"le"} if series == "_bucket" else set())
    return metrics


METRICS = known_metrics()


def check_expression(where, text):
    names = set(re.findall(r"\bscimfleet_\w+", text))
    if not names:
        fault(where, "names no metric")
    labels = set().union(*(METRICS.get(name, set()) for name in names))
    for name in names - METRICS.keys():
        fault(where, f"there is no metric `{name}`")
    used = re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", text)
    for group in re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", text):
        used += [label.strip() for label in group.split(",")]
    for label in used:
        if label not in labels:
            fault(where, f"no metric in `{text}` has a label `{label}`")


def promtool(*arguments):
    try:
        ran = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        fault("promtool", "is missing; run tests/services/install.sh promtool")
        return
    if ran.returncode:
        fault(f"promtool {arguments[0]} {arguments[1]}", ran.stdout + ran.stderr)


def check_rules():
    path = ROOT / "deploy/prometheus/rules.yml"
    rules = [rule for group in documents(path)[0]["groups"] for rule in group["rules"]]
    for rule in rules:
        check_expression(rule["alert"], rule["expr"])
        texts = " ".join(rule["annotations"].values())
        if not {"summary", "description"} <= rule["annotations"].keys() or rule["labels"].get("severity") not in ("warning", "critical"):
            fault(rule["alert"], "lacks a summary, a description or a severity")
        for name in re.findall(r"\bscimfleet_\w+", texts):
            if name not in METRICS:
                fault(rule["alert"], f"its text names `{name}`, which is no metric")
        for label in re.findall(r"\$labels\.(\w+)", texts):
            if label not in rule["expr"]:
                fault(rule["alert"], f"its text shows the label `{label}`, which the expression does not keep")
    promtool("check", "rules", str(path))
    cases = [path.with_name(name) for name in ("rules-test.yml", "rules-test-days.yml")]
    tested = {case["alertname"] for file in cases for test in documents(file)[0]["tests"] for case in test["alert_rule_test"]}
    for untested in {rule["alert"] for rule in rules} - tested - {"ScimfleetLeaversSlow"}:
        fault(untested, "has no case in the tests of rules")
    promtool("test", "rules", *map(str, cases))
    promtool("check", "config", "--syntax-only", str(ROOT / "deploy/prometheus/prometheus.yml"))


def check_dashboard():
    path = ROOT / "deploy/grafana/scimfleet.json"
    board = json.loads(path.read_text())
    where = path.name
    if not {"uid", "title", "schemaVersion", "panels", "templating", "time"} <= board.keys():
        fault(where, "lacks what Grafana needs of a dashboard")
    variables = {one["name"] for one in board["templating"]["list"]} | {"__rate_interval", "__all"}
    expressions, taken, ids = [], set(), set()
    for panel in board["panels"]:
        title = f"{where} `{panel['title']}`"
        if panel["id"] in ids or not panel.get("description"):
            fault(title, "has no description, or its id stands twice")
        ids.add(panel["id"])
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        if cells & taken or at["x"] + at["w"] > 24:
            fault(title, "lies on another panel or outside of the grid")
        taken |= cells
        for target in panel["targets"]:
            check_expression(title, target["expr"])
            for name in re.findall(r"\$\{?(\w+)", json.dumps(target)):
                if name not in variables:
                    fault(title, f"there is no variable `{name}`")
            expressions.append(target["expr"].replace("$__rate_interval", "5m").replace("$provider", ".*"))
    for name in re.findall(r"scimfleet_\w+", json.dumps(board["templating"])):
        if name not in METRICS:
            fault(where, f"a variable asks for `{name}`, which is no metric")
    with tempfile.TemporaryDirectory() as folder:
        rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions)]
        file = pathlib.Path(folder) / "dashboard.yml"
        file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
        promtool("check", "rules", str(file))


def known_variables():
    names = set(re.findall(r"`(SCIMFLEET_\w+)`", (ROOT / "docs/configuration.md").read_text()))
    return names


def check_variables(where, names):
    for name in set(names) - known_variables():
        if name.startswith("SCIMFLEET_"):
            fault(where, f"docs/configuration.md knows no `{name}`")


def check_pod(where, kind, spec):
    """Non-root, read-only, nothing extra; drains; is probed."""
    want = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if any(spec["securityContext"].get(key) != value for key, value in want.items()):
        fault(where, "does not demand a user that is not root, or the default seccomp profile")
    if spec.get("terminationGracePeriodSeconds", 0) < 30:
        fault(where, "grants less than 30 s to drain")
    if spec.get("automountServiceAccountToken") is not False or spec.get("enableServiceLinks") is not False:
        fault(where, "is given a token or the addresses of other services")
    for container in spec["containers"]:
        inner = container["securityContext"]
        if (inner.get("readOnlyRootFilesystem"), inner.get("allowPrivilegeEscalation"), inner["capabilities"]["drop"]) != (True, False, ["ALL"]):
            fault(where, f"container {container['name']} may write its root or gain privileges")
        if not {"requests", "limits"} <= container["resources"].keys():
            fault(where, "has no requests or limits")
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        if mounts != {volume["name"] for volume in spec["volumes"]}:
            fault(where, "mounts what is no volume, or has one that is not mounted")
        if kind == "Deployment":
            ports = {port["name"] for port in container["ports"]}
            for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz"), ("startupProbe", "/healthz")):
                found = container.get(probe, {}).get("httpGet", {})
                if found.get("path") != path or found.get("port") not in ports:
                    fault(where, f"has no {probe} at {path}")


def check_kubernetes():
    base = documents(KUBERNETES / "base/kustomization.yaml")[0]
    files = {path.name for path in (KUBERNETES / "base").glob("*.yaml")} - {"kustomization.yaml"}
    if files != set(base["resources"]):
        fault("base/kustomization.yaml", f"lists {sorted(base['resources'])}, while the folder holds {sorted(files)}")
    objects = [one for name in sorted(files) for one in documents(KUBERNETES / "base" / name)]
    by = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    if len(by) != len(objects):
        fault("base", "two objects share kind and name")
    for (kind, name), one in by.items():
        try:
            kubernetes_validate.validate(one, VERSION, strict=True)
        except Exception as error:
            fault(f"{kind} {name}", f"{error}")
    pods = {}
    for (kind, name), one in by.items():
        if kind in ("Deployment", "Job"):
            template = one["spec"]["template"]
            pods[name] = template["metadata"]["labels"]
            check_pod(f"{kind} {name}", kind, template["spec"])
            for container in template["spec"]["containers"]:
                for source in container["envFrom"]:
                    reference = source.get("configMapRef") or source["secretRef"]
                    if "configMapRef" in source and ("ConfigMap", reference["name"]) not in by:
                        fault(name, f"there is no ConfigMap {reference['name']}")
                if container["image"] not in {image["name"] for image in base["images"]}:
                    fault(name, "its image is not set by the kustomization")
            if template["spec"]["serviceAccountName"] not in {inner for one_kind, inner in by if one_kind == "ServiceAccount"}:
                fault(name, "its service account is not there")
    for (kind, name), one in by.items():
        spec = one.get("spec", {})
        if kind == "Deployment":
            selector, wanted = spec["selector"]["matchLabels"], [pods[name]]
        elif kind == "PodDisruptionBudget" or kind == "Service":
            selector = spec["selector"]["matchLabels"] if kind == "PodDisruptionBudget" else spec["selector"]
            wanted = [pods.get(name, {})]
        elif kind == "NetworkPolicy":
            selector, wanted = spec["podSelector"]["matchLabels"], list(pods.values())
        else:
            continue
        if not any(selector.items() <= labels.items() for labels in wanted):
            fault(f"{kind} {name}", f"selects no pod by {selector}")
    for role in ("scheduler", "worker", "console"):
        for kind in ("Deployment", "PodDisruptionBudget"):
            if (kind, f"scimfleet-{role}") not in by:
                fault("base", f"has no {kind} for the {role}")
        arguments = by[("Deployment", f"scimfleet-{role}")]["spec"]["template"]["spec"]["containers"][0]["args"]
        if arguments != [role]:
            fault(role, f"runs {arguments}")
    check_variables("ConfigMap", by[("ConfigMap", "scimfleet")]["data"])
    readme = (KUBERNETES / "README.md").read_text()
    check_variables("deploy/kubernetes/README.md", re.findall(r"SCIMFLEET_[A-Z_]*[A-Z]", readme))
    for component in (KUBERNETES / "components").iterdir():
        for name in documents(component / "kustomization.yaml")[0]["resources"]:
            for one in documents(component / name):
                if not {"apiVersion", "kind", "metadata", "spec"} <= one.keys():
                    fault(f"{component.name}/{name}", "is no Kubernetes object")
                if one["kind"] == "ScaledObject":
                    check_scaling(one["spec"], by)
                if one["kind"] == "PodMonitor" and not any(one["spec"]["selector"]["matchLabels"].items() <= labels.items() for labels in pods.values()):
                    fault("PodMonitor", "selects no pod")


def check_scaling(spec, by):
    if ("Deployment", spec["scaleTargetRef"]["name"]) not in by:
        fault("ScaledObject", "its target is not there")
    pattern = re.compile(spec["triggers"][0]["metadata"]["queueName"])
    for queue, counts in (("scimfleet.acme.leavers", True), ("scimfleet.a-b.sync", True), ("scimfleet.jobs", False), ("scimfleet.dead", False)):
        if bool(pattern.search(queue)) != counts:
            fault("ScaledObject", f"its pattern is wrong about the queue {queue}")


def check_compose():
    compose = documents(ROOT / "docker-compose.yml")[0]
    services = compose["services"]
    for name, service in services.items():
        for needed in service.get("depends_on", {}):
            if needed not in services:
                fault(f"compose {name}", f"depends on `{needed}`, which is not there")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./") and not (ROOT / source).exists():
                fault(f"compose {name}", f"mounts {source}, which is not there")
            elif not source.startswith("./") and source not in compose["volumes"]:
                fault(f"compose {name}", f"mounts the volume {source}, which is not declared")
        check_variables(f"compose {name}", service.get("environment", {}))
    for role in ("scheduler", "worker", "console", "migrate"):
        service = services[role]
        if service["command"] != [role] or service["read_only"] is not True or service["user"] != "10001:10001" or service["cap_drop"] != ["ALL"]:
            fault(f"compose {role}", "runs something else, as root, or may write its root")
        if role != "migrate" and not service["stop_grace_period"] == "30s":
            fault(f"compose {role}", "is not granted 30 s to drain")
    for name in ("prometheus", "grafana"):
        if services[name].get("profiles") != ["monitoring"]:
            fault(f"compose {name}", "is not behind the profile `monitoring`")


def check_broker():
    policies = json.loads((ROOT / "deploy/rabbitmq/definitions.json").read_text())["policies"]
    for queue, limit in (("scimfleet.acme.sync", 50), ("scimfleet.dead", 1000000), ("scimfleet.jobs", 50)):
        found = [one["definition"]["delivery-limit"] for one in policies if re.search(one["pattern"], queue)]
        if found != [limit]:
            fault("definitions.json", f"gives {queue} the limits {found}, not {limit}")


def check_image():
    text = (ROOT / "deploy/Dockerfile").read_text()
    if not re.search(r"^USER 10001", text, re.M) or "FROM debian:bookworm-slim" not in text or "STOPSIGNAL SIGTERM" not in text:
        fault("Dockerfile", "runs as root, is not small, or does not drain")


for check in (check_rules, check_dashboard, check_kubernetes, check_compose, check_broker, check_image):
    check()
if faults:
    sys.exit("\n".join(faults))
print(f"deploy: {len(METRICS)} series known, everything fits")
