"""Checks of the packages that need the files' structure. Each failure is one line on standard error.

lint.py documentation        what rules, dashboard and chart name is documented, and what is documented exists
lint.py rendered FILE...     what every rendering of the chart promises
lint.py queries DASHBOARD    prints the dashboard's queries as recording rules, for promtool
"""

import json
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
MONITORING = ROOT / "packaging/monitoring"
failures = []


def require(condition, message):
    if not condition:
        failures.append(message)


def text(path):
    return (ROOT / path).read_text()


def panels():
    return [p for p in json.loads((MONITORING / "dashboard.json").read_text())["panels"] if p["type"] != "row"]


def alerts():
    groups = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def documentation():
    documented = set(re.findall(r"^\| `(buildkite_connector_\w+)` \|", text("docs/metrics.md"), re.MULTILINE))
    require(documented, "docs/metrics.md: no metrics found")
    for source in ("alerts.yaml", "alerts_test.yaml", "dashboard.json"):
        for name in set(re.findall(r"buildkite_connector_\w+", (MONITORING / source).read_text())):
            metric = re.sub(r"_(bucket|count|sum)$", "", name)
            require(metric in documented, f"{source}: {name} is not in docs/metrics.md")

    operations = text("docs/operations.md")
    tests = yaml.safe_load((MONITORING / "alerts_test.yaml").read_text())["tests"]
    fires = {case["alertname"] for test in tests for case in test.get("alert_rule_test", []) if case["exp_alerts"]}
    for rule in alerts():
        name = rule["alert"]
        require(name in fires, f"alerts_test.yaml: no test in which {name} fires")
        require(f"### {name}\n" in operations, f"docs/operations.md: no section {name}")
        anchor = f"docs/operations.md#{name.lower()}"
        require(rule["annotations"].get("runbook") == anchor, f"alerts.yaml: the runbook of {name} is not {anchor}")
    for name in re.findall(r"^### (Buildkite\w+)$", operations, re.MULTILINE):
        require(name in {rule["alert"] for rule in alerts()}, f"docs/operations.md: there is no alert {name}")

    for panel in panels():
        require(panel.get("description"), f"dashboard.json: the panel {panel['title']} has no description")
        require(panel["title"] in operations, f"docs/operations.md: the panel {panel['title']} is not described")
        require(panel["targets"], f"dashboard.json: the panel {panel['title']} has no query")

    variables = set(re.findall(r"`(BUILDKITE_\w+)`", text("docs/configuration.md")))
    schema = json.loads(text("packaging/helm/values.schema.json"))
    for setting in schema["properties"]["settings"]["properties"]:
        snake = re.sub(r"(?<!^)(?=[A-Z])", "_", setting).upper()
        variable = "BUILDKITE_REST_URL" if setting == "apiUrl" else f"BUILDKITE_CONNECTOR_{snake}"
        require(variable in variables, f"values.schema.json: settings.{setting} is not in docs/configuration.md")
    values = yaml.safe_load(text("packaging/helm/values.yaml"))
    explained = text("docs/kubernetes.md")
    for value in values:
        require(f"`{value}" in explained, f"docs/kubernetes.md: the value {value} is not described")
    for source in ("packaging/helm/templates/_helpers.tpl", "packaging/debian/environment"):
        for variable in set(re.findall(r"BUILDKITE_(?:API|CONNECTOR|ORGANIZATION)_[A-Z_]+[A-Z]", text(source))):
            require(variable in variables, f"{source}: {variable} is not in docs/configuration.md")
    version = re.search(r'^version = "(.*)"', text("Cargo.toml"), re.MULTILINE).group(1)
    described = yaml.safe_load(text("packaging/helm/Chart.yaml"))
    require(described["appVersion"] == version, f"Chart.yaml: appVersion is not {version}, the version of Cargo.toml")


def rendered(paths):
    for path in paths:
        documents = [d for d in yaml.safe_load_all(pathlib.Path(path).read_text()) if d]
        deployments = [d for d in documents if d["kind"] == "Deployment"]
        where = pathlib.Path(path).name
        require(len(deployments) == 1, f"{where}: not exactly one deployment")
        require(not [d for d in documents if d["kind"] in ("Secret", "HorizontalPodAutoscaler")],
                f"{where}: the chart makes a secret or an autoscaler")
        spec = deployments[0]["spec"]
        require(spec["replicas"] in (0, 1), f"{where}: more than one replica")
        require(spec["strategy"] == {"type": "Recreate"}, f"{where}: two processes may run during an upgrade")
        pod = spec["template"]["spec"]
        restricted_pod_security(where, pod)
        for container in pod["containers"]:
            for mount in container.get("volumeMounts", []):
                require("subPath" not in mount, f"{where}: {mount['mountPath']} would not follow its secret")
            environment = {variable["name"]: variable.get("value") for variable in container["env"]}
            tls = "BUILDKITE_CONNECTOR_TLS_CERT" in environment
            insecure = environment.get("BUILDKITE_CONNECTOR_INSECURE_LISTEN") == "true"
            require(tls != insecure, f"{where}: neither TLS nor its acknowledged absence, or both")
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                require(container[probe]["httpGet"]["port"] == "monitoring", f"{where}: {probe} is not for monitors")


def restricted_pod_security(where, pod):
    """The profile `restricted` of Kubernetes' pod security standards, as far as the chart has such fields."""
    require(pod["securityContext"]["runAsNonRoot"] is True, f"{where}: the pod may run as root")
    require(pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", f"{where}: no seccomp profile")
    kinds = {kind for volume in pod.get("volumes", []) for kind in volume if kind != "name"}
    require(kinds <= {"secret", "configMap", "persistentVolumeClaim"}, f"{where}: volumes of kind {kinds}")
    require(not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), f"{where}: the pod shares the host's namespaces")
    for container in pod["containers"]:
        context = container["securityContext"]
        require(context["allowPrivilegeEscalation"] is False, f"{where}: privileges may be escalated")
        require(context["capabilities"] == {"drop": ["ALL"]}, f"{where}: capabilities are kept")
        require(context["readOnlyRootFilesystem"] is True, f"{where}: the root file system is writable")


def queries(path):
    rules = []
    for panel in panels():
        for target in panel["targets"]:
            query = re.sub(r"\$(job|connection)\b", ".*", target["expr"].replace("$__rate_interval", "5m"))
            require("$" not in query, f"{path}: an unknown variable in {query}")
            rules.append({"record": f"panel_{panel['id']}_{target['refId']}", "expr": query})
    print(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))


def main():
    what, *arguments = sys.argv[1:]
    {"documentation": lambda: documentation(), "rendered": lambda: rendered(arguments),
     "queries": lambda: queries(*arguments)}[what]()
    for failure in failures:
        print(f"packaging/lint.py: {failure}", file=sys.stderr)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
