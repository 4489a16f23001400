"""compose.yaml, Dockerfile and docs/deploy.md name only what exists.

They cannot be run where the tests run, so everything in them that can be wrong by a name is looked up: commands and
options in the command line itself, variables in the settings, extras and Pythons in pyproject.toml, flags of the
servers in the servers.
"""

from __future__ import annotations

import importlib.util
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
from producer.stack.seaweedfs import find_weed
from producer.stack.valkey import find_valkey_server
from worker.settings import WorkerSettings
from worker.supervisor import KILL_AFTER_DRAIN_S

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
WORKERS = {name: service for name, service in SERVICES.items() if name.startswith("worker-")}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
DEPLOY = (ROOT / "docs" / "deploy.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

OURS = {f"CHATTERQUEUE_{name.upper()}" for name in WorkerSettings.model_fields}
#: Read by boto3, huggingface_hub, the Valkey tools, SeaweedFS, numba, XDG programs and Python.
OTHERS = {
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "HF_HUB_OFFLINE", "REDISCLI_AUTH", "S3_BUCKET", "GOMEMLIMIT",
    "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE",
}  # fmt: skip
#: What `.env` may hold beside them; each is used by compose.yaml.
INTERPOLATED = {"REDIS_PASSWORD", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "REDIS_MAX_MEMORY", "FARM_ADDRESS"}

INNERMOST = re.compile(r"\$\{(\w+)(?::?[-?]([^${}]*))?\}")


def interpolate(text: str, env: dict[str, str]) -> str:
    """Do what compose does with `${NAME:-default}` and `${NAME:?message}`, from the inside out."""
    while (replaced := INNERMOST.sub(lambda found: env.get(found[1]) or found[2] or "", text)) != text:
        text = replaced
    return text.replace("$$", "$")


def environment_of(service, **env):
    values = {"REDIS_PASSWORD": "pw", "S3_ACCESS_KEY_ID": "id", "S3_SECRET_ACCESS_KEY": "secret", **env}
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
    assert settings.redis_url.get_secret_value() == "redis://:pw@valkey:6379/0"
    for service, port in (("valkey", 6379), ("s3", 8333)):
        assert SERVICES[service]["ports"] == [f"${{FARM_ADDRESS:-127.0.0.1}}:{port}:{port}"]
        assert service in WORKERS[name]["depends_on"]
        assert SERVICES[service]["healthcheck"]["test"]


@pytest.mark.parametrize("name", WORKERS)
def test_one_more_machine_joins_by_its_environment_alone(name):
    elsewhere = {
        "CHATTERQUEUE_REDIS_URL": "redis://:pw@10.0.0.5:6379/0",
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
            assert source.startswith("$") or source in COMPOSE["volumes"]
    named = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))

    assert named - OURS == INTERPOLATED | {"MODELS_DIR"}


@pytest.mark.parametrize("extra", sorted({service["build"]["args"]["EXTRA"] for service in WORKERS.values()}))
def test_an_image_is_built_from_requirements_that_are_compiled_from_an_extra(extra):
    compiled = re.search(
        rf"--extra (\w+) -c requirements/dev.txt -o requirements/{extra}.txt", (ROOT / "Makefile").read_text()
    )

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
    shell, option, script = SERVICES["valkey"]["command"]
    words = shlex.split(interpolate(script, {}))

    assert (shell, option, words[:2]) == ("sh", "-c", ["exec", "valkey-server"])
    given = dict(zip(words[2::2], words[3::2], strict=True))
    assert (given["--maxmemory-policy"], given["--appendonly"], given["--appendfsync"]) == (
        "noeviction",
        "yes",
        "everysec",
    )
    assert given["--requirepass"] == "$REDISCLI_AUTH"
    # A bad option makes it end with a fatal error; a port that is no port does so only after all options are read.
    options = [word for word in words[2:] if word not in ("--dir", "/data")]
    said = subprocess.run([find_valkey_server(), *options, "--port", "-1"], capture_output=True, text=True, timeout=30)
    assert re.findall(r"^>>> '(\S+)", said.stderr, re.MULTILINE) == ["port"]


def test_the_deployment_page_names_services_profiles_and_variables_that_exist():
    variables = set(re.findall(r"\b((?:CHATTERQUEUE|AWS|S3|REDIS|FARM)_[A-Z0-9_]+)\b", DEPLOY))
    profiles = {profile for service in SERVICES.values() for profile in service.get("profiles", [])}

    assert variables <= OURS | OTHERS | INTERPOLATED
    assert set(re.findall(r"--profile (\w+)", DEPLOY)) <= profiles
    assert set(re.findall(r"\b(worker-\w+)\b", DEPLOY)) <= set(SERVICES)


@pytest.mark.parametrize("line", re.findall(r"^chatterqueue .*$", DEPLOY, re.MULTILINE))
def test_every_command_of_the_deployment_page_exists(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chapter.txt").write_text("Hello.")

    assert_is_a_command(shlex.split(line, comments=True)[1:])
