"""When there is no page, and what is said then."""

from __future__ import annotations

import socket

import pytest

from producer import extras
from producer.cli import main, up
from producer.contract.exitcode import ExitCode


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")


def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(extras.PACKAGES, "page", ("no-such-server",))

    assert main(["page"]) == ExitCode.CONFIGURATION
    said = capsys.readouterr()
    assert said.out == ""
    assert "the extra `page` is not installed (no-such-server): pip install '.[page]'" in said.err
    assert "Traceback" not in said.err


def test_up_goes_on_without_a_page(monkeypatch, capsys):
    monkeypatch.setitem(extras.PACKAGES, "page", ("no-such-server",))
    with up._page(is_wanted=True) as page:
        assert page is None
    assert "no page: the extra `page` is not installed" in capsys.readouterr().err
    with up._page(is_wanted=False) as page:
        assert page is None
    assert capsys.readouterr().err == ""


def test_up_takes_another_port_when_somebody_has_ours(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(up, "DEFAULT_PORT", taken.getsockname()[1])
        with up._page(is_wanted=True) as page:
            assert page is not None
            assert f":{taken.getsockname()[1]}/" not in page.address


REFUSALS = {
    "--host 0.0.0.0": (8, "CHATTERQUEUE_PAGE_TOKEN: is needed"),
    "--host 192.0.2.1": (8, "CHATTERQUEUE_PAGE_TOKEN: is needed"),
    "--port 70000": (2, "--port"),
    "--host localhost --port {taken}": (8, "Address already in use"),
}


@pytest.mark.parametrize("arguments", REFUSALS)
def test_an_address_that_cannot_be_is_refused(arguments, capsys):
    code, words = REFUSALS[arguments]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["page", *arguments.format(taken=taken.getsockname()[1]).split()]) == code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(("name", "value"), [("TOKEN", "short-token"), ("HOSTS", "a host/with a slash")])
def test_a_setting_that_cannot_be_used_is_named_without_its_value(name, value, monkeypatch, capsys):
    monkeypatch.setenv(f"CHATTERQUEUE_PAGE_{name}", value)

    assert main(["page"]) == ExitCode.CONFIGURATION
    said = capsys.readouterr().err
    assert f"CHATTERQUEUE_PAGE_{name}: " in said
    assert value not in said
