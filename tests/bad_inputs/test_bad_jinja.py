"""Jinja: escapes, bombs in time, output and memory, what is undefined, what does not parse. Refused with file and line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from house import FILES, House, write

from sqlinfer import api
from sqlinfer.compiler.template.render import RenderFlags, render_inline
from sqlinfer.errors import RenderError, SqlinferError
from sqlinfer.jobs.options import RunOptions
from sqlinfer.project import Project, load
from sqlinfer.testing.patience import patience


@pytest.fixture(scope="module")
def project(morning: House) -> Project:
    return api.load(RunOptions(project_dir=morning.root))


ESCAPES = [
    "{{ ''.__class__ }}", "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ ()|attr('__class__') }}",
    "{{ ''['__class__'] }}", "{{ ref.__globals__ }}", "{{ ref.__code__ }}", "{{ config.__init__.__globals__ }}",
    "{{ var.__class__ }}", "{{ env_var.__init__ }}", "{{ cycler.__init__.__globals__.os }}", "{{ joiner.__init__ }}",
    "{{ namespace.__init__.__globals__ }}", "{{ lipsum }}", "{{ self.__init__ }}", "{{ self._TemplateReference__context }}",
    "{{ '{0.__class__}'.format('') }}", "{{ '{x.__class__}'.format_map({'x': 1}) }}", "{{ '%s' | format(''.__class__) }}",
    "{{ [''] | selectattr('__class__') | list }}", 
    "{{ (''|attr('format')).__self__ }}", "{{ ''.format.__self__ }}",
    "{% set x = ''.__class__ %}{{ x }}", "{% for k in ref.__globals__ %}{{ k }}{% endfor %}",
    "{{ modules.datetime.datetime.__init__ }}", "{{ modules.os }}", "{{ modules.datetime.sys }}", "{{ __import__('os') }}",
    "{{ open('/etc/passwd').read() }}", "{{ eval('1') }}", "{{ exec('1') }}", "{{ getattr(ref, '__globals__') }}",
    "{{ globals() }}", "{{ builtins }}", "{{ request.application }}", "{{ get_flashed_messages.__globals__ }}",
    "{{ (lambda: 1)() }}", "{{ execute.__class__ }}", "{{ this.__class__ }}", "{{ target.__dict__ }}", "{{ ref('scores').__class__ }}",
    "{{ exceptions.__dict__ }}", "{{ (1).__class__.__base__ }}", "{{ [].append.__self__ }}", "{{ caller() }}",
    "{% include '../../profiles.yml' %}", "{% include '/etc/passwd' %}", "{% import 'os' as os %}", "{% extends '/etc/passwd' %}",
    "{% from 'x' import y %}", "{% include ['a', 'b'] ignore missing %}{{ nothing }}",
]  # fmt: skip
BOMBS = [
    ("a string", "{{ 'a' * 200000000 }}"),
    ("a list", "{{ [1] * 200000000 }}"),
    ("a string twice", "{% set a = 'a' * 1000000 %}{{ a * 1000000 }}"),
    ("a number", "{{ 9 ** (9 ** 9) }}"),
    ("a shifted number", "{% set x = 2 ** 15000 %}{{ x * x * x * x }}"),
    ("a padded string", "{{ 'a'.center(2000000000) }}"),
    ("a padded string by filter", "{{ 'a' | center(2000000000) }}"),
    ("a filled string", "{{ 'a'.zfill(2000000000) }}"),
    ("a justified string", "{{ 'a'.ljust(2000000000) }}"),
    ("a format width", "{{ '%0999999999d' % 1 }}"),
    ("a format width by filter", "{{ '%0999999999d' | format(1) }}"),
    ("a format width in braces", "{{ '{:>999999999}'.format(1) }}"),
    ("a format width from an argument", "{{ '%*d' % (999999999, 1) }}"),
    ("a replacement", "{{ ('a' * 100000).replace('a', 'b' * 100000) }}"),
    ("a replacement by filter", "{{ ('a' * 100000) | replace('a', 'b' * 100000) }}"),
    ("a join", "{{ ('b' * 100000).join(['a'] * 100000) }}"),
    ("a join by filter", "{{ (['a'] * 100000) | join('b' * 100000) }}"),
    ("an indent", "{{ ('a\n' * 100000) | indent(100000) }}"),
    ("tabs", "{{ ('\t' * 100000).expandtabs(100000) }}"),
    ("a word wrap", "{{ ('a ' * 1000) | wordwrap(1, wrapstring='b' * 1000000) }}"),
    ("a range", "{% for i in range(999999999) %}{% endfor %}"),
    ("a range as a list", "{{ range(99999) | list * 9999 }}"),
    ("nested loops", "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"),
    ("nested loops that write", "{% for i in range(9999) %}{% for j in range(9999) %}aaaaaaaaaa{% endfor %}{% endfor %}"),
    ("a list that grows while it is read", "{% set l = [1] %}{% for i in l %}{% do l.append(1) %}{% endfor %}"),
    ("a list that doubles", "{% set l = [1] %}{% for i in range(60) %}{% do l.extend(l) %}{% endfor %}"),
    ("a string that doubles", "{% set n = namespace(s='a') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}"),
    ("a string that doubles by ~", "{% set n = namespace(s='a') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}"),
    ("a list in itself", "{% set l = [1] %}{% do l.append(l) %}{{ l }}{% for i in range(40) %}{% do l.append(l) %}{% endfor %}{{ l | tojson }}"),
    ("a giant made of itself", "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l }}"),
    ("a recursive macro", "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}"),
    ("two macros", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}"),
    ("macros that branch", "{% macro a(n) %}{% if n %}{{ a(n - 1) }}{{ a(n - 1) }}{% endif %}{% endmacro %}{{ a(60) }}"),
    ("a recursive loop", "{% for i in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}"),
    ("deep nesting", "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}"),
    ("deep blocks", "{% if 1 %}" * 5_000 + "{% endif %}" * 5_000),
    ("a batch", "{{ [1] | batch(999999999, 'a') | list }}"),
    ("slices", "{{ [1] | slice(99999999) | list }}"),
    ("yaml", "{{ fromyaml('[' * 100000) }}{{ nothing }}"),
    ("a sum of lists", "{{ [[1] * 1000000] * 1000 | sum(start=[]) }}{{ nothing }}"),
]  # fmt: skip
WRONG = [
    ("an undefined name", "select\n{{ nope }}", "'nope' is undefined", 2),
    ("an undefined attribute", "select\n\n{{ this_one.name }}", "'this_one' is undefined", 3),
    ("an undefined filter", "select\n{{ 1 | nope }}", "nope", 2),
    ("an undefined test", "select\n{{ 1 is nope }}", "nope", 2),
    ("an undefined macro", "select\n{{ my_macro(1) }}", "'my_macro' is undefined", 2),
    ("an undefined var", "select {{ var('nope') }}", "var 'nope' is not defined", 1),
    ("an undefined model", "select * from\n{{ ref('nope') }}", "unknown model or seed 'nope'", 2),
    ("an undefined source", "select * from {{ source('a', 'b') }}", "unknown source 'a.b'", 1),
    ("a model of another project", "select * from {{ ref('other', 'scores') }}", "unknown project 'other'", 1),
    ("ref of nothing", "select * from {{ ref() }}", "takes the name of a model", 1),
    ("ref of a number", "select * from {{ ref(1) }}", "takes the name of a model", 1),
    ("ref of a list", "select * from {{ ref(['scores']) }}", "takes the name of a model", 1),
    ("source of one name", "select * from {{ source('a') }}", "takes the name of a source and of a table", 1),
    ("an environment variable that is not set", "select '{{ env_var('NO_SUCH_VAR') }}'", "'NO_SUCH_VAR' is not set", 1),
    ("a secret", "select '{{ env_var('DBT_ENV_SECRET_X', 'd') }}'", "only be used in profiles.yml", 1),
    ("an error of its own", "{{ exceptions.raise_compiler_error('not on Mondays') }}", "not on Mondays", 1),
    ("a division by zero", "select\n{{ 1 / 0 }}", "division by zero", 2),
    ("a type error", "select\n{{ 1 + 'a' }}", "unsupported operand", 2),
    ("a call of a number", "select\n{{ 1() }}", "not callable", 2),
    ("too many arguments", "select {{ var('least', 1, 2, 3) }}", "positional", 1),
    ("return outside of a macro", "{{ return(1) }}", "return() stands outside of a macro", 1),
    ("config of a text", "{{ config('table') }} select 1", "keyword arguments", 1),
    ("a required config", "{{ config.require('unique_key') }} select 1", "'unique_key' is required", 1),
    ("an unclosed expression", "select {{ 1", "Jinja", 1),
    ("an unclosed block", "select 1\n{% if true %}", "Unexpected end of template", 2),
    ("an unclosed comment", "select 1 {# here", "comment", 1),
    ("an unknown tag", "select 1\n{% iff x %}", "unknown tag 'iff'", 2),
    ("an end without a start", "select 1\n{% endfor %}", "endfor", 2),
    ("a loop without in", "{% for x of [1] %}{% endfor %}", "expected", 1),
    ("an assignment to nothing", "{% set = 1 %}", "unexpected", 1),
    ("an expression that is none", "select {{ + }}", "unexpected", 1),
    ("an empty expression", "select {{ }}", "Expected an expression", 1),
    ("an unclosed quote", "select {{ 'a }}", "Jinja", 1),
    ("a character that is none", "select '\ufdd0'", "not a character", 1),
    ("run_query", "select {{ run_query('select 1') }}", "'run_query' is undefined", 1),
    ("adapter", "select {{ adapter.get_relation() }}", "adapter.get_relation is not there", 1),
    ("nothing is left", "{% if false %}select 1{% endif %}", "the SQL is empty", 1),
    ("only a comment is left", "{# select 1 #}", "the SQL is empty", 1),
]  # fmt: skip


@pytest.mark.parametrize("text", ESCAPES)
def test_no_way_out_of_the_sandbox(text: str, project: Project) -> None:
    with pytest.raises(RenderError) as caught:
        render_inline(f"select 1\n, {text}", project)
    assert caught.value.location is not None
    assert caught.value.location.line in (None, 1, 2)
    assert "root:" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["{{ [''] | map(attribute='__class__') | list }}", "{{ [''] | groupby('__class__') | list }}",
     "{{ [''] | sort(attribute='__class__') | first }}", "{{ [ref] | map(attribute='__globals__') | list }}"],
)  # fmt: skip
def test_attributes_of_filters_give_nothing(text: str, project: Project) -> None:
    try:
        rendered = render_inline(f"select 1 {text}", project).sql
    except RenderError:
        return
    assert "class" not in rendered
    assert "function" not in rendered


@pytest.mark.parametrize("text", [text for _, text in BOMBS], ids=[name for name, _ in BOMBS])
def test_a_bomb_is_stopped_in_time(text: str, project: Project) -> None:
    began = time.monotonic()
    with pytest.raises(RenderError):
        render_inline(f"select 1 {text}", project, flags=RenderFlags(seconds=1.0))
    assert time.monotonic() - began < patience(6)


@pytest.mark.parametrize(("text", "message", "line"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_mistake_is_named_at_its_line(text: str, message: str, line: int, project: Project) -> None:
    with pytest.raises(RenderError) as caught:
        render_inline(text, project, path=Path("models/x.sql"))
    error = caught.value
    assert message.casefold() in error.message.casefold()
    assert error.location is not None
    assert (str(error.location.path), error.location.line) == ("models/x.sql", line)


def test_a_template_of_ten_megabytes_is_refused(project: Project) -> None:
    with pytest.raises(RenderError, match="longer than"):
        render_inline("select 1 -- " + "a" * 10_000_001, project)


@pytest.mark.parametrize(
    ("macro", "message"),
    [("{% macro a() %}{{ nope }}{% endmacro %}", "'nope' is undefined"), ("{% macro a() %}", "Unexpected end"),
     ("{% macro a() %}{{ ''.__class__ }}{% endmacro %}", "unsafe"), ("{% macro a() %}{{ a() }}{% endmacro %}", "too deeply"),
     ("{% macro a(x) %}{{ x }}{% endmacro %}", "not provided"), ("{% macro a() %}{{ 'a' * 99999999 }}{% endmacro %}", "characters")],
)  # fmt: skip
def test_a_mistake_in_a_macro_is_placed_in_its_file(macro: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, {**FILES, "macros/m.sql": f"\n{macro}\n", "models/scores.sql": "select {{ a() }} as x"})
    with pytest.raises(SqlinferError) as caught:
        load(tmp_path, env={"HOME": "/nowhere"})
    assert message.casefold() in caught.value.message.casefold()
    assert caught.value.location is not None
    assert caught.value.location.path is not None
    assert (caught.value.location.path.name, caught.value.location.line) in (("m.sql", 2), ("m.sql", 3))


def test_ordinary_jinja_still_renders(project: Project) -> None:
    text = (
        "{% set names = ['a', 'b'] %}{% do names.append('c') %}"
        "select {% for n in names %}{{ n | upper }}{{ ', ' if not loop.last }}{% endfor %} from {{ ref('scores') }}"
        "{% raw %} where x = '{{ y }}'{% endraw %}"
    )
    assert render_inline(text, project).sql == """select A, B, C from "wh"."main"."scores" where x = '{{ y }}'"""
