"""The commands `dictionaries add`, `list`, `show` and `remove`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from producer.cli import options, output
from producer.client import Client
from producer.contract.dictionary import Dictionary, Rule
from producer.dictionaries import check_name
from producer.dictionaryfile import read_rules

Name = Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits, `-` and `_`.")]


def group(epilog: str) -> typer.Typer:
    """Return the group of these commands."""
    commands: dict[str, Callable[..., None]] = {"add": add, "list": list_dictionaries, "show": show, "remove": remove}
    app = typer.Typer(help="Say how words are pronounced.", epilog=epilog, no_args_is_help=True)
    for name, command in commands.items():
        app.command(name, epilog=epilog)(command)
    return app


def add(
    name: Name,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Rules as JSON, or two columns (CSV, TSV): what, and how it is said.")
    ],
    json: options.Json = False,
) -> None:
    """Add a dictionary, or a new version of the one of this name."""
    del json
    check_name(name)
    rules = read_rules(file)
    with Client() as client:
        dictionary = client.dictionaries.add(name, rules)
    current = dictionary.current
    line = f"{name}: version {current.version}, {_counted(current.num_rules)}"
    output.print_lines({"name": name, **current.model_dump(mode="json")}, [line])


def list_dictionaries(json: options.Json = False) -> None:
    """List the dictionaries."""
    del json
    with Client() as client:
        dictionaries = client.dictionaries.list()
    table = Table(box=None, pad_edge=False, header_style="")
    for heading in ("name", "version", "rules", "added"):
        table.add_column(heading, no_wrap=True)
    for dictionary in dictionaries:
        current = dictionary.current
        table.add_row(dictionary.name, str(current.version), str(current.num_rules), f"{current.added_at:%Y-%m-%d}")
    output.print_result([dictionary.model_dump(mode="json") for dictionary in dictionaries], table)


def show(name: Name, json: options.Json = False) -> None:
    """Show the rules of a dictionary's current version; with --json as `add` takes them."""
    del json
    with Client() as client:
        dictionary = client.dictionaries.get(name)
        rules = client.dictionaries.rules(dictionary.reference).rules
    table = Table(box=None, pad_edge=False, header_style="")
    for heading in ("from", "to", "how"):
        table.add_column(heading, overflow="fold")
    for rule in rules:
        # As Text, or rich takes `[a-z]` for a colour.
        table.add_row(Text(rule.pattern), Text(rule.replacement), _manner(rule))
    output.print_result(_document(dictionary, rules), table)


def remove(name: Name, json: options.Json = False) -> None:
    """Remove a dictionary. Narrations that were accepted with it are still spoken with its rules."""
    del json
    with Client() as client:
        client.dictionaries.remove(name)
    output.print_lines({"name": name, "is_removed": True}, [f"{name} removed"])


def _document(dictionary: Dictionary, rules: tuple[Rule, ...]) -> dict[str, Any]:
    return {**dictionary.model_dump(mode="json"), "rules": [rule.model_dump(by_alias=True) for rule in rules]}


def _manner(rule: Rule) -> str:
    """Return in words what a rule does otherwise than most do."""
    manners = {
        "regex": rule.is_regex,
        "any case": not rule.case_sensitive,
        "within words": not rule.word_boundary,
    }
    return ", ".join(word for word, is_so in manners.items() if is_so)


def _counted(num_rules: int) -> str:
    return "1 rule" if num_rules == 1 else f"{num_rules} rules"
