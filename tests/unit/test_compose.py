"""compose.yaml, Dockerfile and docs/deploy.md name only what exists.

They cannot be run where the tests run, so everything in them that can be wrong by a name is looked up: commands and
options in the command line itself, variables in the settings, extras and Pythons in pyproject.toml, flags of the
servers in the servers.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import tomllib
from fnmatch import fnmatch

import pytest
import typer.main
import yaml
from packaging.specifiers import SpecifierSet
from processes import ROOT

from producer.cli.application import app
from producer.contract.settings import Settings
from producer.page.settings import PageSettings
from producer.stack.seaweedfs import find_weed
from producer.stack.valkey import find_valkey_server
from worker.settings import WorkerSettings
from worker.supervisor import KILL_AFTER_DRAIN_S

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
WORKERS = {name: service for name, service in SERVICES.items() if name.startswith("worker-")}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
DEPLOY = (ROOT / "docs" / "deploy.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

OURS = {
    *(f"CHATTERQUEUE_{name.upper()}" for name in WorkerSettings.model_fields),
    *(f"CHATTERQUEUE_PAGE_{name.upper()}" for name in PageSettings.model_fields),
}
#: Read by boto3, huggingface_hub, the Valkey tools, SeaweedFS, numba, XDG programs, Python and start.sh.
OTHERS = {
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CA_BUNDLE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE",
    "REDISCLI_AUTH", "S3_BUCKET", "GOMEMLIMIT", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "PATH", "PYTHONUNBUFFERED",
    "PYTHONDONTWRITEBYTECODE", "PRODUCER_PASSWORD", "WORKER_PASSWORD", "READER_PASSWORD", "OPERATOR_PASSWORD",
    "REDIS_PREFIX",
}  # fmt: skip
#: What `.env` may hold beside them; each is used by compose.yaml.
INTERPOLATED = {
    "PRODUCER_PASSWORD", "WORKER_PASSWORD", "READER_PASSWORD", "OPERATOR_PASSWORD", "S3_ACCESS_KEY_ID",
    "S3_SECRET_ACCESS_KEY", "REDIS_MAX_MEMORY", "REDIS_CONTAINER_MEMORY", "S3_MEMORY", "WORKER_MEMORY", "FARM_ADDRESS",
    "CPU_PROCESSES", "PAGE_REDIS_URL", "PAGE_S3_ACCESS_KEY_ID", "PAGE_S3_SECRET_ACCESS_KEY", "PAGE_MEMORY",
}  # fmt: skip

INNERMOST = re.compile(r"\$\{(\w+)(?::?[-?]([^${}]*))?\}")


def interpolate(text: str, env: dict[str, str]) -> str:
    """Do what compose does with `${NAME:-default}` and `${NAME:?message}`, from the inside out."""
    while (replaced := INNERMOST.sub(lambda found: env.get(found[1]) or found[2] or "", text)) != text:
        text = replaced
    return text.replace("$$", "$")


def environment_of(service, **env):
    values = {
        "PRODUCER_PASSWORD": "pp",
        "WORKER_PASSWORD": "pw",
        "READER_PASSWORD": "pr",
        "OPERATOR_PASSWORD": "po",
        **env,
    }
    return {name: interpolate(str(value), values) for name, value in service.get("environment", {}).items()}


def seconds(duration: str) -> float:
    number, unit = re.fullmatch(r"(\d+)([sm])", duration).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


def docker_variables() -> dict[str, str]:
    block = re.findall(r"^ENV ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)
    return dict(pair.split("=", 1) for text in block for pair in shlex.split(text.replace("\\\n", " ")))


def docker_lines(word: str) -> list[str]:
    return re.findall(rf"^{word} (.*)$", DOCKERFILE, re.MULTILINE)


def assert_is_a_command(arguments: list[str]) -> None:
    command = typer.main.get_command(app)
    with command.make_context("chatterqueue", list(arguments)) as context:
        name, subcommand, rest = command.resolve_command(context, list(arguments))
        subcommand.make_context(name, rest, parent=context).close()


@pytest.mark.parametrize("name", WORKERS)
def test_a_workers_command_is_one_that_the_command_line_takes(name):
    assert_is_a_command(WORKERS[name]["command"])


@pytest.mark.parametrize("arguments", [["worker", "--rule", "gpu"], ["worker", "--role", "tpu"], ["walker"]])
def test_a_wrong_command_would_be_found(arguments):
    with pytest.raises(Exception, match=r"(?i)no such|invalid value|not one of"):
        assert_is_a_command(arguments)


def test_the_images_own_command_is_one_too():
    entry, command = (yaml.safe_load(docker_lines(word)[-1]) for word in ("ENTRYPOINT", "CMD"))

    assert entry == [next(iter(PROJECT["scripts"]))]
    assert_is_a_command(command)


@pytest.mark.parametrize("name", SERVICES)
def test_every_variable_of_a_service_is_one_that_something_reads(name):
    assert set(SERVICES[name].get("environment", {})) <= OURS | OTHERS


@pytest.mark.parametrize("name", WORKERS)
def test_a_workers_environment_leads_to_the_services_at_their_ports(name, monkeypatch):
    for variable, value in {**docker_variables(), **environment_of(WORKERS[name])}.items():
        monkeypatch.setenv(variable, value)
    settings = WorkerSettings.load()

    assert settings.redis_address() == "redis://valkey:6379/0"
    assert settings.s3_address() == "http://s3:8333/narrations"
    assert settings.redis_url.get_secret_value() == "redis://worker:pw@valkey:6379/0"
    assert (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]) == ("worker", "pw")
    for service, port in (("valkey", 6379), ("s3", 8333)):
        assert SERVICES[service]["ports"] == [f"${{FARM_ADDRESS:-127.0.0.1}}:{port}:{port}"]
        assert service in WORKERS[name]["depends_on"]
        assert SERVICES[service]["healthcheck"]["test"]


def test_the_page_only_reads_and_leads_browsers_to_where_the_audio_is(monkeypatch):
    service = SERVICES["page"]
    environment = environment_of(service, CHATTERQUEUE_PAGE_TOKEN="a-token-of-some-length")
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    settings = Settings.load()
    token = PageSettings.load().token

    assert_is_a_command(service["command"])
    assert service["command"][-1] == "8090"
    assert service["ports"] == ["${FARM_ADDRESS:-127.0.0.1}:8090:8090"]
    assert "127.0.0.1:8090" in service["healthcheck"]["test"][-1]
    assert settings.redis_url.get_secret_value() == "redis://reader:pr@valkey:6379/0"
    assert (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]) == ("reader", "pr")
    assert settings.s3_public_endpoint_url == "http://127.0.0.1:8333"
    assert environment_of(service, FARM_ADDRESS="10.0.0.5")["CHATTERQUEUE_S3_PUBLIC_ENDPOINT_URL"] == (
        "http://10.0.0.5:8333"
    )
    assert token is not None
    assert token.get_secret_value() == "a-token-of-some-length"
    assert service["image"] == SERVICES["worker-cpu"]["image"]
    assert "--extra page" in next(line for line in MAKEFILE.splitlines() if "requirements/cpu.txt" in line)


@pytest.mark.parametrize("name", WORKERS)
def test_one_more_machine_joins_by_its_environment_alone(name):
    elsewhere = {
        "CHATTERQUEUE_REDIS_URL": "redis://worker:pw@10.0.0.5:6379/0",
        "CHATTERQUEUE_S3_ENDPOINT_URL": "http://10.0.0.5:8333",
    }

    assert elsewhere.items() <= environment_of(WORKERS[name], **elsewhere).items()


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_has_no_more_rights_than_it_needs_and_time_to_drain(name):
    service = WORKERS[name]

    assert service["user"].split(":")[0] not in {"", "0", "root"}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in service
    assert "ports" not in service
    assert "container_name" not in service, "it could not be scaled"
    longest_drain_s = WorkerSettings.model_fields["drain_s"].default + KILL_AFTER_DRAIN_S
    assert seconds(service["stop_grace_period"]) > longest_drain_s


@pytest.mark.parametrize("name", WORKERS)
def test_what_a_worker_writes_goes_to_its_temporary_file_system(name):
    environment = {**docker_variables(), **environment_of(WORKERS[name])}
    writable = [mount.split(":")[0] for mount in WORKERS[name]["tmpfs"]]

    assert writable == ["/tmp"]
    for variable in ("CHATTERQUEUE_CACHE_DIR", "CHATTERQUEUE_HEARTBEAT_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        assert environment[variable].startswith("/tmp/")


def test_the_gpu_worker_reserves_gpus_and_finds_its_model_where_it_is_mounted():
    service = SERVICES["worker-gpu"]
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    (volume,) = service["volumes"]

    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert volume.endswith(f":{environment_of(service)['CHATTERQUEUE_MODEL_DIR']}:ro")


def test_health_is_the_engines_heartbeat():
    assert all(
        service["healthcheck"]["test"] == ["CMD", "python", "-m", "worker.health"] for service in WORKERS.values()
    )
    assert 'CMD ["python", "-m", "worker.health"]' in DOCKERFILE
    assert importlib.util.find_spec("worker.health") is not None


def test_every_network_volume_and_variable_that_compose_names_is_there():
    for service in SERVICES.values():
        assert set(service["networks"]) <= set(COMPOSE["networks"])
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            is_there = source.startswith("./") and (ROOT / source).is_dir()
            assert source.startswith("$") or source in COMPOSE["volumes"] or is_there
        assert {config["source"] for config in service.get("configs", [])} <= set(COMPOSE["configs"])
    named = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))

    assert named - OURS == INTERPOLATED | {"MODELS_DIR"}


@pytest.mark.parametrize("extra", sorted({service["build"]["args"]["EXTRA"] for service in WORKERS.values()}))
def test_an_image_is_built_from_requirements_that_are_compiled_from_an_extra(extra):
    compiled = re.search(rf"--extra (\w+) -c requirements/dev.txt -o requirements/{extra}.txt", MAKEFILE)

    assert compiled is not None
    assert compiled[1] in PROJECT["optional-dependencies"]
    assert (ROOT / "requirements" / f"{extra}.txt").is_file()
    assert "ARG EXTRA" in DOCKERFILE


def test_what_the_image_copies_is_there_and_not_ignored():
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    kept = [line[1:] for line in ignored if line.startswith("!")]
    sources = [source for line in docker_lines("COPY") if "--from" not in line for source in line.split()[:-1]]

    assert ignored[0] == "*"
    for source in sources:
        assert (ROOT / source).exists()
        assert any(fnmatch(source.rstrip("/"), pattern) for pattern in kept)
    assert len(sources) == 6


def test_the_image_has_a_python_that_we_support_and_no_root():
    (version,) = re.findall(r"^ARG PYTHON=([\d.]+)$", DOCKERFILE, re.MULTILINE)

    assert version in SpecifierSet(PROJECT["requires-python"])
    assert docker_lines("USER") == ["10001:10001"]
    assert all(service["user"] == "10001:10001" for service in WORKERS.values())


def test_every_variable_of_the_image_is_one_that_something_reads():
    build_only = {"UV_LINK_MODE", "UV_NO_CACHE", "UV_COMPILE_BYTECODE", "UV_PYTHON_DOWNLOADS"}

    assert set(docker_variables()) <= OURS | OTHERS | build_only


def test_the_s3_server_knows_its_flags():
    said = subprocess.run([find_weed(), "mini", "-h"], capture_output=True, text=True)
    known = set(re.findall(r"^  -([\w.]+)", said.stdout + said.stderr, re.MULTILINE))
    command, *flags = shlex.split(SERVICES["s3"]["command"])

    assert command == "mini"
    assert {flag.lstrip("-").split("=")[0] for flag in flags} <= known
    assert {"-disableHttp", "-master.telemetry=false", "-s3.port=8333", "-master.resumeState=false"} <= set(flags)


def test_valkey_knows_its_options_and_refuses_rather_than_forgets():
    """Its users are tried on a real one: tests/integration/test_least_privilege.py."""
    shell, script, *options = [interpolate(word, {}) for word in SERVICES["valkey"]["command"]]
    folder = ROOT / "deploy" / "valkey"
    given = dict(
        line.split(None, 1) for line in (folder / "valkey.conf").read_text().splitlines() if line and line[0] != "#"
    )

    assert (shell, script) == ("sh", "/etc/valkey/start.sh")
    assert SERVICES["valkey"]["volumes"] == ["queue:/data", "./deploy/valkey:/etc/valkey:ro"]
    assert (folder / "start.sh").is_file()
    assert (given["maxmemory-policy"], given["appendonly"], given["appendfsync"]) == ("noeviction", "yes", "everysec")
    # A bad option makes it end with a fatal error; a port that is no port does so only after all options are read.
    options = [word for word in options if word not in ("--dir", "/data")]
    command = [find_valkey_server(), folder / "valkey.conf", *options, "--port", "-1"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert re.findall(r"^>>> '(\S+)", said.stderr, re.MULTILINE) == ["port"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_held_within_bounds(name):
    service = SERVICES[name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] <= 1_024
    assert re.fullmatch(r"\d+g", interpolate(service["mem_limit"], {}))
    assert "privileged" not in service
    assert not any("docker.sock" in volume for volume in service.get("volumes", []))
    for mount in service.get("tmpfs", []):
        assert {"nosuid", "nodev"} <= set(mount.split(":")[1].split(","))


def test_every_role_of_the_s3_server_has_its_own_secret_and_no_more_than_its_folders():
    identities = json.loads(interpolate(COMPOSE["configs"]["s3-identities"]["content"], {"OPERATOR_PASSWORD": "po"}))
    actions = {identity["name"]: identity["actions"] for identity in identities["identities"]}
    keys = [identity["credentials"][0]["accessKey"] for identity in identities["identities"]]

    assert keys == ["operator", "producer", "worker", "reader"]
    assert actions["operator"] == ["Admin"]
    for role, writable in (
        ("producer", {"narrations", "batches", "voices", "covers", "dictionaries", ".probe"}),
        ("worker", {"narrations", "segments", "batches", ".probe"}),
        ("reader", set()),
    ):
        assert {action for action in actions[role] if action.startswith("Write")} == {
            f"Write:narrations/{folder}/*" for folder in writable
        }
        assert not {"Admin", "Write:narrations", "Write"} & set(actions[role])


def test_tls_is_laid_over_services_that_exist():
    class Loader(yaml.SafeLoader):
        """Knows compose's own tag."""

    Loader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))
    over = yaml.load((ROOT / "deploy" / "compose.tls.yaml").read_text(), Loader)["services"]

    assert set(over) <= set(SERVICES)
    assert {name for name in over if name.startswith("worker-")} == set(WORKERS)
    environment = environment_of(over["worker-cpu"])
    settings = WorkerSettings.load(
        redis_url=environment["CHATTERQUEUE_REDIS_URL"], s3_endpoint_url=environment["CHATTERQUEUE_S3_ENDPOINT_URL"]
    )
    assert settings.redis_address() == "rediss://valkey:6379/0"
    page = environment_of(over["page"])
    assert page["CHATTERQUEUE_REDIS_URL"].startswith("rediss://reader:pr@valkey:6379/0?ssl_ca_certs=")
    assert page["CHATTERQUEUE_S3_PUBLIC_ENDPOINT_URL"] == "https://127.0.0.1:8334"
    assert "TLS_DIR:-/etc/valkey/tls" in (ROOT / "deploy" / "valkey" / "start.sh").read_text()
    plain, tls = (shlex.split(service["command"]) for service in (SERVICES["s3"], over["s3"]))
    assert set(plain) < set(tls)
    assert {flag.partition("=")[0] for flag in set(tls) - set(plain)} == {
        "-s3.port.https", "-s3.cert.file", "-s3.key.file",
    }  # fmt: skip


def test_the_deployment_page_names_services_profiles_and_variables_that_exist():
    variables = set(
        re.findall(r"\b((?:CHATTERQUEUE|AWS|S3|REDIS|FARM|PRODUCER|WORKER|READER|PAGE|OPERATOR)_[A-Z0-9_]+)\b", DEPLOY)
    )
    profiles = {profile for service in SERVICES.values() for profile in service.get("profiles", [])}

    assert variables <= OURS | OTHERS | INTERPOLATED
    assert set(re.findall(r"--profile (\w+)", DEPLOY)) <= profiles
    assert set(re.findall(r"\b(worker-\w+)\b", DEPLOY)) <= set(SERVICES)


@pytest.mark.parametrize("line", re.findall(r"^chatterqueue .*$", DEPLOY, re.MULTILINE))
def test_every_command_of_the_deployment_page_exists(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chapter.txt").write_text("Hello.")

    assert_is_a_command(shlex.split(line, comments=True)[1:])
