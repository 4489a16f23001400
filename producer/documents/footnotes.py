"""Footnotes of Markdown, which CommonMark does not have: found so that they can be left out. Knows no chapters."""

from __future__ import annotations

import re
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

_DEFINITION: Final = re.compile(r"\[\^[^\]\s]{1,100}\]:")
#: Columns by which the later paragraphs of a note are indented at least.
_INDENT_COLUMNS: Final = 2
_REFERENCE: Final = re.compile(r"\[\^[^\]\s]{1,100}\]")


def add_footnotes(parser: MarkdownIt) -> None:
    """Teach a parser to pass over `[^1]` and over what `[^1]:` begins."""
    # `alt`: what a note may break off.
    options: RuleOptionsType = {"alt": ["paragraph", "reference"]}
    parser.block.ruler.before("reference", "footnote_definition", _pass_definition, options)
    parser.inline.ruler.before("link", "footnote_reference", _pass_reference)


def _pass_definition(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    if state.is_code_block(start_line):
        return False
    begin = state.bMarks[start_line] + state.tShift[start_line]
    if not _DEFINITION.match(state.src, begin, state.eMarks[start_line]):
        return False
    if not silent:
        state.line = _end_of(state, start_line, end_line)
    return True


def _end_of(state: StateBlock, start_line: int, end_line: int) -> int:
    """Return the line after a note: it goes on until a blank line, and in indented paragraphs after that."""
    end = start_line + 1
    is_after_blank = False
    for line in range(start_line + 1, end_line):
        if state.isEmpty(line):
            is_after_blank = True
            continue
        is_indented = state.sCount[line] - state.blkIndent >= _INDENT_COLUMNS
        if _begins_note(state, line) or (is_after_blank and not is_indented):
            break
        end = line + 1
    return end


def _begins_note(state: StateBlock, line: int) -> bool:
    begin = state.bMarks[line] + state.tShift[line]
    return _DEFINITION.match(state.src, begin, state.eMarks[line]) is not None


def _pass_reference(state: StateInline, silent: bool) -> bool:
    del silent
    found = _REFERENCE.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    state.pos = found.end()
    return True
