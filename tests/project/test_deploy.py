"""The files of deploy/: what they name exists, they agree with each other, and with the program."""

import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.commands import PROGRAM
from tests.support.house import RunningHouse
from tests.support.paths import ROOT
from tests.support.routes import ROUTES
from vigie.cli.command_table import COMMANDS
from vigie.config.settings import Settings
from vigie.config.sources import every_setting, load_settings
from vigie.identity.keys.key_encryption import key_encryption_by

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8"))
CADDYFILE = (DEPLOY / "compose" / "Caddyfile").read_text(encoding="utf-8")
UNIT = (DEPLOY / "vigie.service").read_text(encoding="utf-8")
DEPLOYMENT = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
CLUSTER = {
    document["kind"]: document
    for document in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8"))
}
POD = CLUSTER["Deployment"]["spec"]["template"]["spec"]
CONTAINER = POD["containers"][0]
SERVERS = [COMPOSE["services"][name] for name in ("vigie-1", "vigie-2")]

# What Compose puts into its own file, and is no setting.
OF_COMPOSE = {"VIGIE_HOST"}

MAIN_PORT = Settings().server.port
PATHS = {route.path for route in ROUTES}


def image_variables() -> dict[str, str]:
    """What the image sets for the program."""
    (block,) = re.findall(r"^ENV (PATH(?:.*\\\n)+.*)$", DOCKERFILE, re.MULTILINE)
    return dict(re.findall(r"(VIGIE_\w+)=(\S+)", block))


def compose_variables() -> dict[str, str]:
    """What the servers of the compose file are given, with a name and passwords filled in."""
    given = SERVERS[0]["environment"].items()
    return image_variables() | {
        name: re.sub(r"\$\{[^}]+\}", "vigie.example", value) for name, value in given if name != "PGPASSWORD"
    }


def cluster_variables() -> dict[str, str]:
    given: dict[str, str] = CLUSTER["ConfigMap"]["data"]
    return image_variables() | given


def loaded(variables: dict[str, str]) -> Settings:
    """The settings that a server gets."""
    return load_settings(file=None, environ=variables)


def port_of(listen: str) -> int:
    return int(listen.rpartition(":")[2])


# Settings


def test_every_variable_that_is_named_is_a_setting() -> None:
    texts = [file.read_text(encoding="utf-8") for file in DEPLOY.rglob("*") if file.is_file()]
    texts.append(DEPLOYMENT)
    known = {variable for setting in every_setting() for variable in setting.variables}

    named = {name for text in texts for name in re.findall(r"\bVIGIE_[A-Z_]+\b", text)}

    # As a warning in the manifest: what the cluster would put into the pod.
    assert named - known - OF_COMPOSE == {"VIGIE_SERVICE_HOST"}


@pytest.mark.parametrize("variables", [image_variables(), compose_variables(), cluster_variables()])
def test_the_program_takes_the_variables_it_is_given(variables: dict[str, str]) -> None:
    settings = loaded(variables)

    assert settings.server.host == "0.0.0.0"
    assert settings.server.port == MAIN_PORT


@pytest.mark.parametrize("variables", [compose_variables(), cluster_variables()])
def test_servers_that_are_several_count_together_and_show_metrics_apart(variables: dict[str, str]) -> None:
    settings = loaded(variables)

    assert settings.quotas.address is not None
    assert settings.metrics.address is not None
    assert settings.database.is_shared
    assert settings.keys.secret_file


def test_the_servers_of_the_compose_file_are_alike() -> None:
    assert SERVERS[0] == SERVERS[1]


def test_every_command_and_option_that_is_named_exists() -> None:
    commands = {each.name for each in COMMANDS}
    (unit_command,) = re.findall(r"^ExecStart=/opt/vigie/bin/vigie (\w+) --config \S+$", UNIT, re.MULTILINE)

    assert 'ENTRYPOINT ["vigie"]\nCMD ["serve"]' in DOCKERFILE
    assert {unit_command, *CONTAINER["args"], "serve"} <= commands


# Ports and paths


def test_the_ports_are_those_that_the_program_listens_at() -> None:
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    policy = [port["port"] for rule in CLUSTER["NetworkPolicy"]["spec"]["ingress"] for port in rule["ports"]]
    metrics_port = port_of(CLUSTER["ConfigMap"]["data"]["VIGIE_METRICS_LISTEN"])
    (exposed,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)
    scraped = CLUSTER["Deployment"]["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"]

    assert int(exposed) == MAIN_PORT
    assert ports == {"http": MAIN_PORT, "metrics": metrics_port}
    assert policy == [MAIN_PORT, metrics_port]
    assert int(scraped) == metrics_port
    assert CLUSTER["Service"]["spec"]["ports"][0]["targetPort"] == "http"


def test_the_network_policy_lets_out_to_the_stores_that_are_named() -> None:
    let_out = {port["port"] for rule in CLUSTER["NetworkPolicy"]["spec"]["egress"] for port in rule["ports"]}
    place = loaded(cluster_variables()).quotas.address

    assert place is not None
    assert let_out == {53, place.port, 5432}


def test_caddy_leads_to_the_servers_and_keeps_connections_for_less_than_they_do() -> None:
    (upstreams,) = re.findall(r"reverse_proxy (.+) \{", CADDYFILE)
    (kept_seconds,) = re.findall(r"keepalive (\d+)s", CADDYFILE)

    assert upstreams.split() == [
        f"{name}:{MAIN_PORT}" for name in COMPOSE["services"] if name.startswith("vigie-")
    ]
    assert int(kept_seconds) < 60
    assert "header_up -Forwarded" in CADDYFILE


def test_only_the_network_of_the_proxy_is_believed() -> None:
    (subnet,) = (each["subnet"] for each in COMPOSE["networks"]["front"]["ipam"]["config"])

    assert loaded(compose_variables()).server.trusted_proxies == (subnet,)
    assert COMPOSE["services"]["caddy"]["networks"] == ["front"]


def test_every_path_that_is_probed_is_served() -> None:
    probed = {
        CONTAINER[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    (by_caddy,) = re.findall(r"health_uri (\S+)", CADDYFILE)

    assert probed | {by_caddy} <= PATHS


def test_the_health_check_of_the_image_tells_a_server_that_answers_from_one_that_does_not(
    running_house: RunningHouse,
) -> None:
    (code,) = re.findall(r'CMD \["python", "-c", "(.+)"\]', DOCKERFILE)
    place = f"127.0.0.1:{MAIN_PORT}"
    assert place in code

    def exit_code(code: str) -> int:
        return subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, timeout=20).returncode

    assert exit_code(code.replace(f"http://{place}", running_house.url)) == 0
    assert exit_code(code.replace(f"http://{place}/healthz", f"{running_house.url}/nowhere")) != 0
    assert exit_code(code.replace(place, "127.0.0.1:1")) != 0


# The image


def test_the_image_installs_what_is_locked_with_the_version_of_uv_that_make_has() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (version,) = re.findall(r"^UV_VERSION := (\S+)$", makefile, re.MULTILINE)
    syncs = re.findall(r"^RUN uv sync (.+)$", DOCKERFILE, re.MULTILINE)

    assert re.findall(r"uv==(\S+)", DOCKERFILE) == [version]
    assert syncs
    assert all({"--frozen", "--no-dev", "--all-extras"} <= set(sync.split()) for sync in syncs)


def test_what_the_image_copies_is_there_and_let_through() -> None:
    ignored, *rules = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()[1:]
    let_through = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
        for source in line.split()
    }

    assert ignored == "*"
    assert copied == let_through
    assert all((ROOT / source).exists() for source in copied)
    assert not any(fnmatch(".vigie", rule) for rule in let_through)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {project["readme"], *project["license-files"], "pyproject.toml", "uv.lock", "src"} <= copied


def test_the_image_has_a_python_that_the_program_is_said_to_run_with() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    said = set(re.findall(r"Programming Language :: Python :: (3\.\d+)", pyproject))

    assert set(re.findall(r"^FROM python:(3\.\d+)-", DOCKERFILE, re.MULTILINE)) <= said


# Who it runs as, and what it may


def test_nothing_runs_as_root_or_writes_where_it_need_not() -> None:
    (user,) = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)

    assert POD["securityContext"]["runAsUser"] == int(user) > 0
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    counting = COMPOSE["services"]["valkey"]
    assert counting["user"] == f"{user}:{user}"
    assert all(service["read_only"] and service["cap_drop"] == ["ALL"] for service in (*SERVERS, counting))
    assert re.search(r"^User=vigie$", UNIT, re.MULTILINE)
    assert "ProtectSystem=strict" in UNIT


def test_a_stop_waits_longer_than_the_server_does() -> None:
    drain_seconds = Settings().server.drain_seconds
    (unit_seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    pause_seconds = int(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])

    assert int(unit_seconds) > drain_seconds
    assert all(int(server["stop_grace_period"].rstrip("s")) > drain_seconds for server in SERVERS)
    assert POD["terminationGracePeriodSeconds"] > drain_seconds + pause_seconds


def test_the_unit_allows_as_many_files_as_the_server_asks_for() -> None:
    (allowed,) = re.findall(r"^LimitNOFILE=(\d+)$", UNIT, re.MULTILINE)

    assert int(allowed) >= Settings().server.connections_max + 100 + 500


def test_the_cluster_s_secrets_come_without_values() -> None:
    secret: dict[str, Any] = CLUSTER["Secret"]["stringData"]

    assert set(secret.values()) == {""}
    mounted = {item["key"] for volume in POD["volumes"] for item in volume.get("secret", {}).get("items", [])}
    assert mounted | {"postgres-password"} == set(secret)
    for variable in ("VIGIE_KEYS_SECRET_FILE", "VIGIE_QUOTAS_PASSWORD_FILE"):
        path = Path(CLUSTER["ConfigMap"]["data"][variable])
        assert str(path.parent) == CONTAINER["volumeMounts"][0]["mountPath"]
        assert path.name in mounted


def test_the_secrets_are_given_to_the_servers_as_they_take_them(tmp_path: Path) -> None:
    modes = [volume["secret"]["defaultMode"] for volume in POD["volumes"] if "secret" in volume]
    in_documents = re.findall(r"chmod (\d+) secrets/\*", DEPLOYMENT)
    file = tmp_path / "keys-secret"
    file.write_text("x" * 64, encoding="utf-8")

    for mode in (*modes, *(int(text, 8) for text in in_documents)):
        file.chmod(mode)
        key_encryption_by(file)

    assert modes
    assert in_documents


def test_one_pod_is_always_left() -> None:
    replicas = CLUSTER["Deployment"]["spec"]["replicas"]

    assert 0 < CLUSTER["PodDisruptionBudget"]["spec"]["minAvailable"] < replicas


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not here")
    unit = tmp_path / "vigie.service"
    unit.write_text(UNIT.replace("/opt/vigie/bin/vigie", str(PROGRAM)), encoding="utf-8")

    verified = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, timeout=60)

    assert (verified.returncode, verified.stderr) == (0, "")
