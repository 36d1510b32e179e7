"""Pods of built manifests, run by Docker as a kubelet would run them.

Each container gets exactly the command, user, file system, capabilities, environment, mounts and
memory that its manifest specifies.
"""

import base64
import json
import secrets
import subprocess
from typing import Any, Self

import requests

from tests.support.compose import docker, run
from tests.support.kubernetes.objects import Object, containers, find, quantity
from tests.support.leftovers import new_name
from tests.support.waiting import wait_until

HELPER = "python:3.14-slim-trixie"
# Fills or updates volumes as root, as a kubelet does: files are behind symbolic links, and folders
# belong to the pod's group.
FILL = """
import json, os, pathlib, sys, time
for name, volume in json.load(sys.stdin).items():
    root = pathlib.Path("/volumes", name)
    os.chown(root, 0, volume["group"])
    root.chmod(volume["mode"])
    for folder in volume["folders"]:
        (root / folder).mkdir(exist_ok=True)
        os.chown(root / folder, 0, volume["group"])
        (root / folder).chmod(volume["mode"])
    new = root / f"..{time.time_ns()}"
    for path, (mode, content) in volume["files"].items():
        new.mkdir(exist_ok=True)
        (new / path).write_bytes(bytes.fromhex(content))
        os.chown(new / path, 0, volume["group"])
        (new / path).chmod(mode)
        if not (root / path).is_symlink():
            (root / path).symlink_to(f"..data/{path}")
    if volume["files"]:
        (root / "..data.new").symlink_to(new.name)
        (root / "..data.new").rename(root / "..data")
"""


class Cluster:
    """A network for pods, in which a Service's name leads to its pods.

    A `with` block creates it, and removes it with all its pods at the end.
    """

    def __init__(self, objects: list[Object]) -> None:
        self.objects = objects
        self.name = new_name()
        self.label = f"slipway.test={self.name}"

    def __enter__(self) -> Self:
        docker("network", "create", "--label", self.label, self.name)
        return self

    def __exit__(self, *_: object) -> None:
        wanted = f"--filter=label={self.label}"
        if found := docker("ps", "--all", "--quiet", wanted).split():
            docker("rm", "--force", "--volumes", *found)
        if found := docker("volume", "ls", "--quiet", wanted).split():
            docker("volume", "rm", *found)
        docker("network", "rm", self.name)

    def pod(self, kind: str, name: str, objects: list[Object] | None = None) -> "Pod":
        """Return a new pod of a Deployment or StatefulSet, with its volumes.

        :param objects: other manifests than the cluster's.
        """
        objects = objects or self.objects
        return Pod(self, find(objects, kind, name), objects)


class Pod:
    """One pod with its volumes. Its containers run only when `start` or `first` starts them.

    A `with` block removes them at its end. Otherwise they are removed with their cluster.
    """

    def __init__(self, cluster: Cluster, owner: Object, objects: list[Object]) -> None:
        self.cluster = cluster
        self.objects = objects
        self.template = owner["spec"]["template"]
        self.spec = self.template["spec"]
        self.name = f"{cluster.name}-{secrets.token_hex(2)}"
        self.specs = {each["name"]: each for each in containers(self.template)}
        self.volumes = {each["name"]: each for each in self.spec["volumes"]}
        self.volumes |= {
            each["metadata"]["name"]: each for each in owner["spec"].get("volumeClaimTemplates", [])
        }
        for name, volume in self.volumes.items():
            docker(
                "volume", "create", "--label", cluster.label, *self._kind(volume), self._id(name)
            )
        self.fill(objects, *self.volumes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        docker("rm", "--force", *map(self.id, self.specs))

    def fill(self, objects: list[Object], *volumes: str) -> None:
        """Fill volumes, or update them while the pod runs, from Secrets and ConfigMaps."""
        content = {name: self._content(objects, name) for name in volumes}
        mounts = [f"--volume={self._id(name)}:/volumes/{name}" for name in volumes]
        command = ["docker", "run", "--rm", "--interactive", "--network=none", *mounts, HELPER]
        run(*command, "python3", "-c", FILL, text=json.dumps(content))

    def first(self, container: str) -> subprocess.CompletedProcess[str]:
        """Run an init container until it exits."""
        command = self.command(container, "--rm")
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def start(self) -> None:
        """Run the init containers in order, then start the other containers."""
        for container in self.spec.get("initContainers", []):
            done = self.first(container["name"])
            assert done.returncode == 0, done.stdout + done.stderr
        for container in self.spec["containers"]:
            run(*self.command(container["name"], "--detach", *self._reachable(container)))

    def id(self, container: str) -> str:
        """Return the name that Docker knows a container by."""
        return f"{self.name}-{container}"

    def exec(self, container: str, *command: str) -> str:
        """Run a command in a container and return what it prints."""
        return docker("exec", self.id(container), *command)

    def state(self, container: str) -> dict[str, Any]:
        """Return the state that `docker inspect` reports for a container."""
        found: dict[str, Any] = json.loads(docker("inspect", self.id(container)))[0]["State"]
        return found

    def url(self, container: str, port: str = "http") -> str:
        """Return the URL at which Docker publishes a container's port."""
        number = str(_port(self.specs[container], port))
        return f"http://{docker('port', self.id(container), number).strip()}"

    def passes(self, container: str, kind: str) -> bool:
        """Run a probe as a kubelet does, and return whether it passes.

        :param kind: `startup`, `readiness` or `liveness`.
        """
        probe = self.specs[container][f"{kind}Probe"]
        timeout = probe["timeoutSeconds"]
        if "httpGet" in probe:
            url = self.url(container, probe["httpGet"]["port"]) + probe["httpGet"]["path"]
            try:
                answer = requests.get(url, timeout=timeout, allow_redirects=False)
            except requests.RequestException:
                return False
            return 200 <= answer.status_code < 400
        if "exec" in probe:
            command = ["docker", "exec", self.id(container), *probe["exec"]["command"]]
        else:
            port = _port(self.specs[container], probe["tcpSocket"]["port"])
            connect = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
            within = f"--network=container:{self.id(container)}"
            command = ["docker", "run", "--rm", within, HELPER, "python3", "-c", connect]
            timeout += 10  # for the start of a container, which a kubelet does not need
        try:
            return (
                subprocess.run(
                    command, capture_output=True, check=False, timeout=timeout
                ).returncode
                == 0
            )
        except subprocess.TimeoutExpired:
            return False

    def wait(self, container: str, kind: str = "readiness") -> None:
        """Return when a probe passes. Fail after the time that the startup probe allows."""
        startup = self.specs[container]["startupProbe"]
        limit = startup["periodSeconds"] * startup["failureThreshold"]
        wait_until(lambda: self.passes(container, kind), limit)

    def _id(self, volume: str) -> str:
        return f"{self.name}-{volume}"

    def _kind(self, volume: Object) -> list[str]:
        if volume.get("emptyDir", {}).get("medium") != "Memory":
            return []
        size = int(quantity(volume["emptyDir"]["sizeLimit"]))
        mode = f"o=size={size},mode=0777,gid={self.spec['securityContext']['fsGroup']}"
        return ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", mode]

    def _content(self, objects: list[Object], name: str) -> dict[str, Any]:
        volume = self.volumes[name]
        content = {"group": self.spec["securityContext"]["fsGroup"], "folders": [], "files": {}}
        if "emptyDir" in volume:
            return content | {"mode": 0o2777}
        if "secret" in volume:
            source = find(objects, "Secret", volume["secret"]["secretName"])
            data = {key: base64.b64decode(value) for key, value in source["data"].items()}
            return content | {"mode": 0o2775, "files": _files(volume["secret"], data)}
        if "configMap" in volume:
            source = find(objects, "ConfigMap", volume["configMap"]["name"])
            data = {key: value.encode() for key, value in source["data"].items()}
            return content | {"mode": 0o2775, "files": _files(volume["configMap"], data)}
        assert volume["spec"]["resources"]["requests"]["storage"]
        mounts = [mount for each in self.specs.values() for mount in each.get("volumeMounts", [])]
        folders = [mount["subPath"] for mount in mounts if mount["name"] == name]
        return content | {"mode": 0o2775, "folders": ["lost+found", *folders]}

    def command(self, name: str, *options: str) -> list[str]:
        """Return the command line that runs a container."""
        container, context = self.specs[name], self.spec["securityContext"]
        limits = container["securityContext"]
        command = [
            "docker",
            "run",
            "--name",
            self.id(name),
            "--label",
            self.cluster.label,
            "--no-healthcheck",  # which Kubernetes ignores
            *options,
        ]
        command += ["--network", self.cluster.name]
        command += ["--user", f"{context['runAsUser']}:{context['runAsGroup']}"]
        command += ["--group-add", str(context["fsGroup"])]
        command += [f"--cap-drop={each}" for each in limits["capabilities"]["drop"]]
        command += ["--read-only"] if limits["readOnlyRootFilesystem"] else []
        if not limits["allowPrivilegeEscalation"]:
            command += ["--security-opt", "no-new-privileges:true"]
        memory = str(int(quantity(container["resources"]["limits"]["memory"])))
        command += ["--memory", memory, "--memory-swap", memory]
        command += [f"--env={key}={value}" for key, value in self._environment(container).items()]
        for option in self.spec.get("dnsConfig", {}).get("options", []):
            command += ["--dns-option", f"{option['name']}:{option['value']}"]
        for mount in container.get("volumeMounts", []):
            command += ["--mount", self._mount(mount)]
        program, *arguments = container.get("command", [""])
        command += ["--entrypoint", program] if program else []
        return [*command, container["image"], *arguments]

    def _environment(self, container: Object) -> dict[str, str]:
        found: dict[str, str] = {}
        for source in container.get("envFrom", []):
            name = source["configMapRef"]["name"]
            found |= find(self.objects, "ConfigMap", name)["data"]
        return found | {each["name"]: each["value"] for each in container.get("env", [])}

    def _mount(self, mount: Object) -> str:
        option = f"type=volume,src={self._id(mount['name'])},dst={mount['mountPath']},volume-nocopy"
        if "subPath" in mount:
            # A ConfigMap's files are behind symbolic links, which a kubelet follows.
            links = "configMap" in self.volumes[mount["name"]]
            option += f",volume-subpath={'..data/' if links else ''}{mount['subPath']}"
        return option + (",readonly" if mount.get("readOnly") else "")

    def _reachable(self, container: Object) -> list[str]:
        labels = self.template["metadata"]["labels"].items()
        services = [each for each in self.objects if each["kind"] == "Service"]
        ports = [port["containerPort"] for port in container["ports"]]
        return [f"--publish=127.0.0.1::{port}" for port in ports] + [
            f"--network-alias={service['metadata']['name']}"
            for service in services
            if service["spec"]["selector"].items() <= labels
        ]


def _files(source: Object, data: dict[str, bytes]) -> dict[str, Any]:
    chosen = source.get("items", [{"key": key, "path": key} for key in data])
    mode = source["defaultMode"]
    return {each["path"]: (mode, data[each["key"]].hex()) for each in chosen}


def _port(container: Object, name: str) -> int:
    return int(next(p["containerPort"] for p in container["ports"] if p["name"] == name))
