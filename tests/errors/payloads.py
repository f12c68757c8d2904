"""Texts that somebody might write into a spec to make code of them, or that do it by accident."""

from __future__ import annotations

#: A name that stands in what is meant to be code; no program of ours has it.
MARK = "leaked_marker"
_RUN = f"{MARK}()"

#: What ends a string, a docstring or a comment, and puts code behind it.
_BREAKERS = [
    '"',
    "'",
    '""',
    "''",
    '"""',
    "'''",
    '""""',
    f'"""\nimport {MARK}\n"""',
    f"'''\nimport {MARK}\n'''",
    f'"""; {_RUN}; """',
    f'" + {_RUN} + "',
    f"' + {_RUN} + '",
    f'"); {_RUN}; ("',
    f'", {_RUN}, "',
    f'": {_RUN}, "',
    f'"] + [{_RUN}] + ["',
    f'"}}, {_RUN}, {{"',
    f'" if {_RUN} else "',
    f'"\n{_RUN}\n"',
    f'\\"; {_RUN}; \\"',
    f'\\\\"; {_RUN} #',
    f'\\"\\"\\" {_RUN}',
    f'"""{MARK}',
    f'{MARK}"""',
    f'{MARK}"',
    f"{MARK}'",
    '"' * 50,
    "'" * 51,
    f'""\\" {_RUN} "\\""',
    f'r""" {_RUN} """',
    f"# {_RUN}",
    f"#\n{_RUN}",
    f"a #\r{_RUN}",
    f"<!-- {MARK} --> */ {MARK} \\end{{document}}",
]

#: Every character that some reader takes for the end of a line, or that drives a terminal. YAML
#: has escapes for all of them.
_ALL_CONTROLS = [chr(code) for code in (*range(32), *range(127, 160))]
_CONTROLS = [
    *(
        f"a{character}{_RUN}"
        for character in "\0\t\n\v\f\r\x1a\x1b\x1c\x1d\x1e\x1f\x7f\x80\x85\x9b"
    ),
    "".join(_ALL_CONTROLS),
    _RUN.join(_ALL_CONTROLS),
    *("a".join(_ALL_CONTROLS[start::8]) for start in range(8)),
]
_LINES = [
    f"a\u2028{_RUN}",
    f"a\u2029{_RUN}",
    f"\r\n{MARK} = 1\r\n",
    f"\n\n\n{_RUN}",
    f"\n    {_RUN}",
    f"a\n\t{_RUN}",
    "\n",
    "\t",
    " ",
    "   a",
    "a   ",
]

#: Backslashes, which escape, join lines, or are what is left of a pair that was cut in two.
_BACKSLASHES = [
    *("\\" * count for count in (1, 2, 3, 4, 51, 98, 99, 100, 197)),
    f"{MARK} \\",
    f"\\\n{_RUN}",
    "\\N{BULLET} \\x41 \\u0041 \\777 \\q",
    "\\x",
    "\\u12",
    "\\N{",
    "C:\\Users\\new\\table",
    *("a" * before + "\\" * 2 + "b" * 30 for before in range(82, 100)),
    *("a" * before + "\\Users" for before in range(91, 99)),
]

#: Formats of Python and of templates.
_FORMATS = [
    f"{{{MARK}}}",
    f"{{{_RUN}}}",
    "{",
    "}",
    "{}",
    "{0}",
    "{9}",
    "{x}",
    "{name}",
    "{classes}",
    "{inputs}",
    "{module}",
    "{x!r:>{width}}",
    "{0.__class__.__mro__}",
    "%s %d %(x)s %",
    f"${{{MARK}}}",
    f"{{{{ {MARK} }}}}",
    "{{ 7 * 7 }} {{ self }}",
    f"{{% for x in {MARK} %}}",
    f"{{# {MARK} #}}",
    "{{ header.__class__ }}",
]

#: Comments that Python or an editor gives a meaning to.
_COOKIES = [
    "coding: utf-7",
    "-*- coding: utf-7 -*-",
    "coding=utf-16",
    "vim: set fileencoding=rot13 :",
    "!/bin/sh",
    "# type: ignore",
    "noqa",
    f"coding: utf-7 +AAo-{_RUN}",
]

#: Code for the places where a text could come to stand.
_CODE = [
    _RUN,
    f"({_RUN})",
    f"[{_RUN}]",
    f"lambda: {_RUN}",
    f"0, {_RUN}",
    f"1 if {_RUN} else 2",
    f"{MARK}.system",
    f"{MARK} or 1",
    f"__import__('{MARK}')",
    f"import {MARK}",
    f"from {MARK} import *",
    f"raise {MARK}",
    f"assert {_RUN}",
    f"del {MARK}",
    f"global {MARK}",
    f"return {_RUN}",
    "yield 1",
    "pass; pass",
    f"while True: {MARK}",
    f"@{MARK}\ndef f(): pass",
    f"Base, metaclass={MARK}",
    f"X:\n    raise {MARK}\n    #",
    f"B:\n    def f(self):\n        '''#{MARK}",
    f"X({MARK}): pass\nclass Y",
    f"f(x={_RUN}): pass\ndef g",
    f"a={_RUN}, b",
    f"x: {_RUN} = 1",
    f"*{MARK}",
    f"**{MARK}",
    f"(a := {_RUN})",
    f"a; {_RUN}",
    f"not {MARK}",
    f"await {_RUN}",
    "1 / 0",
    "9 ** 9 ** 9",
    "...",
    "__class__",
    "a == b",
    "hard-swish",
    "a b",
    "A b c",
    "a, b(",
    "a, b)",
    "(a, [b",
    ", , ,",
    "a = b",
    "math.inf",
    "x = x",
    "-1",
    "3",
    "1e3",
    "0x10",
    "NaN",
    "null",
    "true",
    "~",
]

#: Names of Python and of the programs.
_NAMES = [
    "class", "def", "lambda", "none", "None", "True", "match", "case", "async", "print", "exec",
    "self", "super", "x", "inputs", "nn", "torch", "F", "jax", "jnp", "nnx", "keras", "layers",
    "np", "math", "name", "seed", "rngs", "model", "forward", "input_shape", "create_model",
    "initialize", "load_weights", "train", "weights", "data", "Dropout", "make_divisible", "i",
    "conv", "relu", "same", "input", "logits", "classes", "filters", "unit", "KerasTensor",
    "__init__", "__call__", "__all__", "kernelSize", "_", "a_b", "text_0", "Text 0", "A text",
]  # fmt: skip

#: Characters that hide, reorder, or look like others; those that Python's names are folded by.
_UNICODE = [
    "\u3164",
    "a\u3164 = 1",
    "\u2800\u2800",
    "\u115f\u1160",
    "\u17b4\u17b5",
    "\u00ad",
    "so\u00adft",
    "a\ufe0f\U000e0101b",
    "\u200b\u200c\u200d\u2060",
    "\u200f\u202eabc\u202c",
    "\u2066a\u2069\u2067",
    f"a\u202e{_RUN}",
    "\u034f",
    "\U000e0041\U000e0042",
    "\ufeffa",
    "a\ufeff",
    "\ufffe\uffff",
    "\ue000",
    "\ud800",
    "a\udfffb",
    "\ud83d\ude00",
    "\uff5f\uff02\uff02\uff02",
    "\uff02\uff02\uff02 " + _RUN,
    "\u2018\u2019\u201c\u201d",
    "\uff49\uff4d\uff50\uff4f\uff52\uff54",
    "\ufb01lters",
    "\ufb01",
    "\u017felf",
    "\u1d4c\u1d49\u1da0",
    "\u212aernel",
    "тест ☃ 🐍 全角",
    "сlass",
    "e\u0301\u0327\u0327",
    "a" + "\u0301" * 200,
    "\u0660\u0661",
    "\u00b2",
    "\u2160",
    "\u037e",
    "\u2044\uff0f",
]

#: What drives a terminal.
_TERMINAL = [
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "\x1b[2J\x1b[H",
    "a\x08\x08b",
    "\x1b]8;;http://a\x1b\\b\x1b]8;;\x1b\\",
]

#: Paths that lead elsewhere.
_PATHS = [
    "../../up",
    "/tmp/there",
    "a/b",
    "..",
    ".",
    "~/x",
    "C:\\x",
    "a\\b",
    "con",
    "-o",
    "--force",
    "file:///etc/passwd",
    "x.yaml",
    "../x.yaml",
    ".yaml",
    "a\x00.yaml",
]

_LONG = [
    "word " * 400,
    "w" * 3000,
    "x, " * 700,
    "(" * 200,
    f'{"a" * 90}" {_RUN}',
    f"{'a ' * 45}\\\\ {_RUN}",
    "'\"" * 300,
]

PAYLOADS: tuple[str, ...] = tuple(
    dict.fromkeys(
        [
            *_BREAKERS,
            *_CONTROLS,
            *_LINES,
            *_BACKSLASHES,
            *_FORMATS,
            *_COOKIES,
            *_CODE,
            *_NAMES,
            *_UNICODE,
            *_TERMINAL,
            *_PATHS,
            *_LONG,
        ]
    )
)
