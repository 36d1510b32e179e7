"""A fake kubectl for tests without a cluster. It knows only the commands that smoke.sh runs.

It runs `exec` in a Docker container, and builds and validates manifests. It answers all other
commands like a healthy cluster. The environment variable FAKE has its settings, as JSON.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

FAKE = json.loads(os.environ["FAKE"])
STATE = Path(FAKE["folder"], "state.json")
LOG = Path(FAKE["folder"], "log")
# A TCP forwarder behind the names of the Services. It starts when smoke.sh adds the label that lets
# the client through the NetworkPolicies.
FORWARD = """
import asyncio, sys
async def pump(source, target):
    while data := await source.read(65536):
        target.write(data)
    target.close()
async def serve(reader, writer):
    there = await asyncio.open_connection("slipway", 8000)
    await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))
async def main():
    await (await asyncio.start_server(serve, port=80)).serve_forever()
asyncio.run(main())
"""
# Behind the database's name: a hole in the policies.
LISTEN = "import socket, time; s = socket.create_server(('', 3306)); time.sleep(600)"
SLEEP = "import time; time.sleep(600)"


def docker(*arguments: str) -> str:
    """Run docker and return what it prints."""
    return subprocess.run(
        ["docker", *arguments], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def build(folder: Path, namespace: str) -> None:
    """Build a kustomization with the real kubectl, and start a container with its DNS names."""
    where = f"/project/{folder.relative_to(FAKE['project'])}"
    mount = f"--volume={FAKE['project']}:/project:ro"
    built = docker("run", "--rm", mount, FAKE["tools"], "kubectl", "kustomize", where)
    assert f"  namespace: {namespace}\n" in built
    assert f"image: {FAKE['image']}\n" in built
    names = [f"slipway.{namespace}.svc", f"slipway-db.{namespace}.svc"]
    aliases = [f"--network-alias={name}" for name in names]
    network = ["--network", FAKE["network"], "--label", FAKE["label"]]
    command = ["python3", "-c", LISTEN if FAKE["fault"] == "hole to the database" else SLEEP]
    docker("run", "--detach", "--name", FAKE["names"], *network, *aliases, FAKE["python"], *command)


def check(manifests: str) -> None:
    """Validate manifests as an API server would."""
    # Grammars of IRIs, which no manifest has. To build them takes more than a second.
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
    import kubernetes_validate  # noqa: PLC0415 the import is slow
    import yaml  # noqa: PLC0415

    for each in yaml.safe_load_all(manifests):
        kubernetes_validate.validate(each, "1.37", strict=True)


def address(container: str) -> str:
    """Return a container's IP address."""
    wanted = "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return docker("inspect", wanted, container).strip()


def execute(pod: str, command: list[str]) -> int:
    """Run a command in the container that stands for a pod.

    Docker has no policies, so the command gets an address where nothing listens instead of that of
    the pod `open`, if the pod's policies block it.
    """
    if FAKE["fault"] == "no exec":
        sys.exit("error: unable to upgrade connection")
    service = "deployment/slipway"
    blocked = {
        "bare": {""},
        "only incoming": {""},
        "hole to other pods": {"closed"},
        "broken network": {"client", "closed", service},
    }.get(FAKE["fault"], {"closed", service})
    if pod in blocked:
        command = [FAKE["names"] if word == address(FAKE["app"]) else word for word in command]
    container = {"client": FAKE["client"], "closed": FAKE["names"], service: FAKE["app"]}[pod]
    return subprocess.call(["docker", "exec", container, *command])


def replace(state: dict[str, list[str]], pods: list[str]) -> str:
    """Replace pods with new ones, which have new names."""
    for pod in pods:
        state["pods"].remove(pod)
        state["pods"].append(f"slipway-{len(state['gone'])}")
        state["gone"].append(pod)
    return ""


def answer(namespace: str, words: list[str], state: dict[str, list[str]]) -> str:  # noqa: C901, PLR0911, PLR0912
    """Run a command, and return what kubectl would print."""
    match words:
        case ["exec", pod, *rest]:
            sys.exit(execute(pod, rest[rest.index("--") + 1 :]))
        case ["apply", "--kustomize", folder]:
            build(Path(folder).resolve(), namespace)
        case ["apply", "--filename", file]:
            check(sys.stdin.read() if file == "-" else Path(file).read_text())
        case ["label", "namespace", _, "network.slipway/edge=true", *_]:
            docker("exec", "--detach", FAKE["names"], "python3", "-c", FORWARD)
        case ["get", "pod", "open" | "closed" as pod, *_]:
            there = pod == "open" or FAKE["fault"] == "bare"
            return address(FAKE["app"] if there else FAKE["names"])
        case ["get", "pods", *_, "jsonpath={.items[0].status.podIP}"]:
            return address(FAKE["names"])
        case ["get", "pods", *_, "jsonpath={.items[*].metadata.name}"]:
            return " ".join(state["pods"])
        case ["get", "horizontalpodautoscaler", "slipway", "--output", _]:
            return "3"
        case ["get", "--raw", "/apis/metrics.k8s.io/v1beta1"] if FAKE["fault"] == "bare":
            sys.exit(1)
        case ["rollout", "status", "statefulset/slipway-db", *_] if FAKE["fault"] == "no database":
            sys.exit("error: timed out waiting for the condition")
        case ["rollout", "restart", "deployment/slipway"]:
            return replace(state, [*state["pods"]])
        case ["delete", "pod", pod, "--grace-period", "0", "--force"]:
            return replace(state, [pod])
        case ["logs", _, "--container", "migrate"]:
            return "Context impl MySQLImpl.\n"
        case ["create", "--raw", path, "--filename", "-"]:
            eviction = json.load(sys.stdin)
            assert eviction["metadata"]["name"] in state["pods"]
            assert path.endswith(f"/{namespace}/pods/{eviction['metadata']['name']}/eviction")
            if state["evicted"]:
                sys.exit("Cannot evict pod as it would violate the pod's disruption budget.")
            state["evicted"].append(eviction["metadata"]["name"])
        case ["version" | "create" | "delete" | "get" | "label" | "logs" | "rollout" | "wait", *_]:
            pass
        case _:
            sys.exit(f"unknown command: {words}")
    return ""


def main() -> None:
    """Answer one call, and append it to the log."""
    words = sys.argv[1:]
    with LOG.open("a") as log:
        log.write(" ".join(words[:6]).replace("\n", " ")[:200] + "\n")
    namespace = ""
    if words[0] == "--namespace":
        namespace, words = words[1], words[2:]
    before = STATE.read_text()
    state = json.loads(before)
    print(answer(namespace, words, state), end="")
    # Another call can run at the same time. The atomic replacement lets it read a whole state, and
    # without a change of our own we must not overwrite its change.
    if (after := json.dumps(state)) != before:
        new = STATE.with_suffix(".new")
        new.write_text(after)
        new.replace(STATE)


main()
