"""What hostile or careless Jinja may not do, and what dbt's idioms still may."""

import time

import pytest
from project_files import loaded

from sqlinfer.compiler.template.render import RenderFlags, render_inline
from sqlinfer.errors import RenderError
from sqlinfer.testing.patience import patience


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return loaded(tmp_path_factory.mktemp("p"))


ATTACKS = [
    "{{ ''.__class__.__mro__ }}",
    "{{ (''|attr('__class__')) }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ ref.__globals__ }}",
    "{{ config.__init__.__globals__ }}",
    "{{ config._scope.env }}",
    "{{ var.known.__class__ }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ lipsum(1000000) }}",
    "{{ range(10000000)|list }}",
    "{{ 'a' * 200000000 }}",
    "{{ 2 ** 10000000 }}",
    "{{ 'a'.center(200000000) }}",
    "{{ 'a'|center(200000000) }}",
    "{{ 'a'.ljust(200000000) }}",
    "{{ 'a'.zfill(200000000) }}",
    "{{ '%0200000000d' % 1 }}",
    "{{ '%0200000000d'|format(1) }}",
    "{{ '{:>200000000}'.format(1) }}",
    "{{ ('a\n'*1000)|indent(10000000) }}",
    "{{ ('a'*3000).replace('', 'b'*5000) }}",
    "{% set n = namespace(x='aa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "{% set n = namespace(x='aa') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "{% set l = [1] %}{% for i in range(60) %}{% do l.extend(l) %}{% endfor %}",
    "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x|string }}",
    "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ tojson(n.x) }}",
    "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}",
    "{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}",
    "{% include '../../etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% extends 'x' %}",
    "{{ modules.os.system('ls') }}",
    "{{ modules.datetime.datetime.__subclasses__() }}",
    "{{ return(1) }}",
    "select \ufdd00\ufdd1",
]


@pytest.mark.parametrize("text", ATTACKS, ids=range(len(ATTACKS)))
def test_hostile_templates_end_soon_with_a_message(project, text):
    started = time.perf_counter()
    with pytest.raises(RenderError) as caught:
        render_inline(text, project, flags=RenderFlags(seconds=2))
    assert caught.value.message
    assert caught.value.location is not None
    assert time.perf_counter() - started < patience(4)


USEFUL = [
    ("{% set l = [] %}{% do l.append(1) %}{% do l.extend([2, 3]) %}{{ l|join('+') }}", "1+2+3"),
    ("{% set d = {} %}{% do d.update({'a': 1}) %}{{ d.a }}", "1"),
    ("{% for c in ['a', 'b'] %}{{ c }}{{ ',' if not loop.last }}{% endfor %}", "a,b"),
    ("{% for k, v in {'a': 1}.items() %}{{ k ~ v }}{% endfor %}", "a1"),
    ("{{ modules.datetime.date(2026, 1, 31).isoformat() }}", "2026-01-31"),
    ("{{ fromjson('[1, 2]')[1] + var('min_age') }}", "20"),
    ("{{ tojson({'a': [1]}) }}", '{"a": [1]}'),
    ("{{ fromyaml('a: 3').a }} {{ toyaml([1])|trim }}", "3 [1]"),
    ("{{ 'a b'.upper().replace(' ', '_') }}", "A_B"),
    ("{{ '%s-%d' % ('x', 3) }}{{ '{}'.format('y') }}", "x-3y"),
    ("{{ target.name }} {{ target.schema }} {{ target.type }}", "dev main duckdb"),
    ("{{ env_var('GONE', 'fallback') }}", "fallback"),
    ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
    ("{{ log('x', info=true) }}1", "1"),
    ("{% if execute %}1{% else %}2{% endif %}", "1"),
    ("{{ range(3)|map('string')|list|join(',') }}", "0,1,2"),
    ("{{ 'x' if var.has_var('min_age') }}{{ var('q', 'd') }}", "xd"),
]


@pytest.mark.parametrize(("text", "expected"), USEFUL)
def test_idioms_of_dbt_work(project, text, expected):
    assert render_inline(text, project).sql == expected
