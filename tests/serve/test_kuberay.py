"""The manifest for Kubernetes: as KubeRay's schema wants it, and in step with the service that it starts.

What is checked here is the part of the schema that the manifest uses, written down from KubeRay's CRD (ray.io/v1), and
what it does not know is refused. RAPPORT_KUBERAY_CRD may name the operator's own ray.io_rayclusters.yaml, 17,000 lines,
which is then used whole.
"""

import copy
import os
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from kernels import __version__
from serve.config import AppConfig
from serve.edge.door import API_PREFIX, LIVE, READY

MANIFEST = Path(__file__).parents[2] / "docs" / "kuberay.yaml"


def known(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    """An object with these fields and no other."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def listed(item: Any) -> dict[str, Any]:
    return {"type": "array", "items": item}


TEXT, NUMBER, YES = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
AMOUNTS = {"type": "object", "additionalProperties": {"type": ["integer", "string"]}}
PROBE = known(
    httpGet=known(("port",), path=TEXT, port={"type": ["integer", "string"]}),
    **dict.fromkeys(("periodSeconds", "timeoutSeconds", "failureThreshold", "initialDelaySeconds"), NUMBER),
)
CONTAINER = known(
    ("name",),
    **dict.fromkeys(("name", "image"), TEXT),
    **dict.fromkeys(("command", "args"), listed(TEXT)),
    env=listed(known(("name",), name=TEXT, value=TEXT)),
    envFrom=listed(known(secretRef=known(name=TEXT))),
    ports=listed(known(("containerPort",), name=TEXT, containerPort=NUMBER)),
    **dict.fromkeys(("startupProbe", "readinessProbe", "livenessProbe"), PROBE),
    resources=known(requests=AMOUNTS, limits=AMOUNTS),
    volumeMounts=listed(known(("name", "mountPath"), name=TEXT, mountPath=TEXT)),
)
VOLUME = known(("name",), name=TEXT, persistentVolumeClaim=known(("claimName",), claimName=TEXT))
POD = known(("containers",), terminationGracePeriodSeconds=NUMBER, containers=listed(CONTAINER), volumes=listed(VOLUME))
TEMPLATE = known(metadata=known(labels=TEXTS, annotations=TEXTS), spec=POD)
GROUP = known(
    ("groupName", "maxReplicas", "minReplicas", "template"),
    groupName=TEXT,
    **dict.fromkeys(("replicas", "minReplicas", "maxReplicas"), NUMBER),
    rayStartParams=TEXTS,
    template=TEMPLATE,
)
CLUSTER = known(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayCluster"},
    metadata=known(("name",), name=TEXT, annotations=TEXTS),
    spec=known(
        ("headGroupSpec",),
        rayVersion=TEXT,
        authOptions=known(mode={"enum": ["disabled", "token"]}, secretName=TEXT, enableK8sTokenAuth=YES),
        headGroupSpec=known(("template",), rayStartParams=TEXTS, template=TEMPLATE),
        workerGroupSpecs=listed(GROUP),
    ),
)


def strict(schema: Any) -> Any:
    """A schema of Kubernetes as one of JSON: what it does not know would be dropped there, and is refused here."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(value) for key, value in schema.items()}
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    return schema


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    return {document["kind"]: document for document in yaml.safe_load_all(MANIFEST.read_text("utf-8"))}


def faults(schema: Any, document: Any) -> list[str]:
    return [error.json_path for error in jsonschema.Draft7Validator(schema).iter_errors(document)]


def head_of(documents: dict[str, Any]) -> Any:
    return documents["RayCluster"]["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]


def test_the_cluster_is_as_its_schema_wants_it(documents: dict[str, Any]) -> None:
    assert faults(CLUSTER, documents["RayCluster"]) == []


@pytest.mark.parametrize(
    ("spoil", "place"),
    [
        (lambda spec: spec.pop("headGroupSpec"), "$.spec"),
        (lambda spec: spec["headGroupSpec"].update(replica=1), "$.spec.headGroupSpec"),
        (lambda spec: spec["headGroupSpec"]["rayStartParams"].update({"num-cpus": 4}), "num-cpus"),
        (lambda spec: spec["workerGroupSpecs"][0].pop("maxReplicas"), "$.spec.workerGroupSpecs[0]"),
        (lambda spec: spec["authOptions"].update(mode="on"), "$.spec.authOptions.mode"),
    ],
)
def test_what_the_operator_would_refuse_or_drop_is_found(
    documents: dict[str, Any], spoil: Callable[[Any], None], place: str
) -> None:
    spoilt = copy.deepcopy(documents["RayCluster"])
    spoil(spoilt["spec"])
    (found,) = faults(CLUSTER, spoilt)
    assert place in found


def test_the_cluster_is_as_the_operators_own_schema_wants_it(documents: dict[str, Any]) -> None:
    named = os.environ.get("RAPPORT_KUBERAY_CRD")
    if named is None:
        pytest.skip("RAPPORT_KUBERAY_CRD names no ray.io_rayclusters.yaml")
    versions = yaml.safe_load(Path(named).read_text("utf-8"))["spec"]["versions"]
    (found,) = (one["schema"]["openAPIV3Schema"] for one in versions if one["name"] == "v1")
    schema = strict(found)
    schema["properties"]["metadata"] = {"type": "object"}  # which Kubernetes knows by itself
    assert faults(schema, documents["RayCluster"]) == []


def test_the_service_that_it_starts_takes_its_settings(
    documents: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    head = head_of(documents)
    given = {entry["name"]: entry["value"] for entry in head["env"]} | documents["Secret"]["stringData"]
    assert head["envFrom"] == [{"secretRef": {"name": documents["Secret"]["metadata"]["name"]}}]
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    (said,) = re.findall(r"rapport serve --config (\w+) --data-dir (\S+)", head["args"][0])
    config = AppConfig.load(said[0], data_dir=said[1])
    assert (config.api.replicas, config.api.on_head_node, config.access.hosts) == (4, False, ("rapport.EXAMPLE.ORG",))
    assert config.database_url == "postgresql://rapport:PASSWORD@POSTGRESQL/rapport"
    assert config.access.known_keys(is_private=config.is_private).required
    assert {port["name"]: port["containerPort"] for port in head["ports"]}["http"] == config.port
    pod = documents["RayCluster"]["spec"]["headGroupSpec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > config.drain_seconds + 10


def test_probes_and_traffic_go_where_the_service_answers(documents: dict[str, Any]) -> None:
    head, service = head_of(documents), documents["Service"]["spec"]
    paths = [head[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")]
    assert paths == [API_PREFIX + READY, API_PREFIX + READY, API_PREFIX + LIVE]
    assert service["selector"]["ray.io/cluster"] == documents["RayCluster"]["metadata"]["name"]
    assert service["ports"][0]["targetPort"] in {port["name"] for port in head["ports"]}


def test_every_node_has_the_same_versions_and_the_same_folder(documents: dict[str, Any]) -> None:
    spec = documents["RayCluster"]["spec"]
    assert spec["rayVersion"] == version("ray")
    pods = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    containers = [pod["template"]["spec"]["containers"][0] for pod in pods]
    assert {container["image"].partition(":")[2] for container in containers} == {__version__}
    claims = [volume["persistentVolumeClaim"]["claimName"] for p in pods for volume in p["template"]["spec"]["volumes"]]
    assert set(claims) == {documents["PersistentVolumeClaim"]["metadata"]["name"]}
    assert {mount["mountPath"] for container in containers for mount in container["volumeMounts"]} == {"/shared"}
    assert documents["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteMany"]
