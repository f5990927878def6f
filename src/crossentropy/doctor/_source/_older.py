"""What older Pythons allowed, in which many public programs are still written, as Python 3 has it.

print "epoch", epoch          # print("epoch", epoch): what is before it stays in its line and column
except IOError, error:        # except IOError as error:
labels.cuda(async=True)       # labels.cuda(async_=True)
"""

from __future__ import annotations

import tokenize
from collections.abc import Iterator
from io import StringIO

_STARTS = (tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENCODING)
_ENDS = (tokenize.NEWLINE, tokenize.COMMENT, tokenize.ENDMARKER)
_VALUES = (tokenize.NAME, tokenize.STRING, tokenize.NUMBER, getattr(tokenize, "FSTRING_START", tokenize.STRING))


def modern(text: str) -> str:
    """A program that Python 3 does not parse, with these rewritten and tabs as wide as they were."""
    lines = text.expandtabs().splitlines(keepends=True)
    try:
        tokens = list(tokenize.generate_tokens(StringIO("".join(lines)).readline))
    except (tokenize.TokenError, SyntaxError):
        return text
    for (row, column), length, new in sorted(_changes(tokens), reverse=True):
        line = lines[row - 1]
        lines[row - 1] = line[:column] + new + line[column + length :]
    return "".join(lines)


def _changes(tokens: list[tokenize.TokenInfo]) -> Iterator[tuple[tuple[int, int], int, str]]:
    """Where a text is changed, how many characters are left out there, and what is written in their place."""
    for i, token in enumerate(tokens[:-1]):
        if token.string == "print" and _is_statement(tokens, i):
            end = next(j for j in range(i, len(tokens)) if tokens[j].type in _ENDS or tokens[j].string == ";")
            yield token.end, 1, "("
            yield tokens[end - 1].end, 0, ")"
        elif token.string == "async" and tokens[i + 1].string == "=":
            yield token.end, 0, "_"
        elif token.string == "except":
            name = next((j for j in range(i, len(tokens) - 2) if tokens[j].string in (",", ":", "(")), i)
            if tokens[name].string == "," and tokens[name + 2].string == ":":
                yield tokens[name].start, 1, " as"


def _is_statement(tokens: list[tokenize.TokenInfo], i: int) -> bool:
    before, after = tokens[i - 1], tokens[i + 1]
    begins = i == 0 or before.type in _STARTS or before.string in (":", ";")
    apart = after.start[1] > tokens[i].end[1]
    return begins and (after.type in _VALUES or after.string in ("-", "[", "{", "not")) and apart
