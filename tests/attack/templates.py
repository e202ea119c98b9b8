# ruff: noqa: E501
"""Templates that grow without end, and templates that look for what they should not see."""

from __future__ import annotations

import random

DOUBLED = "{% set n = namespace(x=START) %}{% for i in range(60) %}{% set n.x = STEP %}{% endfor %}"


def doubled(start: str, step: str) -> str:
    """A value in ``n.x`` that holds itself 2^60 times."""
    return DOUBLED.replace("START", start, 1).replace("STEP", step)


GROWING = [
    "{{ 'a'.encode().center(3000000000) }}",
    "{{ 'a'.encode().zfill(3000000000) }}",
    "{{ (5).to_bytes(3000000000, 'big') }}",
    "{{ range(100000)|join('x'*100000) }}",
    "{{ range(100000)|map('string')|join('x'*100000) }}",
    "{{ ('x'*100000).join(range(90000)|map('string')) }}",
    "{{ ('x'*100000).join({}.fromkeys(range(90000)|map('string')|list).keys()) }}",
    "{{ ('a\n'*1000)|indent('x'*1000000) }}",
    "{{ ('a '*40000)|wordwrap(1, wrapstring='x'*100000) }}",
    "{{ range(100000)|list|tojson(indent=100000) }}",
    "{{ range(100000)|map('center', 1000000)|list|length }}",
    "{{ ('a'*10000).translate({97: 'b'*1000000}) }}",
    "{% set l=[] %}{% for i in range(100000) %}{% do l.append('a'*9000000) %}{% endfor %}{{ l|length }}",
    "{% set l=[] %}{% for i in range(100000) %}{% set x %}{{ 'a'*9000000 }}{% endset %}{% do l.append(x) %}{% endfor %}{{ l|length }}",
    "{% set l = range(100000)|list %}{% set m = l+l+l+l+l %}{% for i in range(100000) %}{% if -1 in m %}{% endif %}{% endfor %}x",
    "{% set l = range(100000)|list %}{% set m = l+l+l+l+l %}{% for i in range(100000) %}{% if -1 is in m %}{% endif %}{% endfor %}x",
    "{% set l = range(100000)|list %}{% set m = l+l+l+l+l %}{% for i in range(100000) %}{% if m.count(-1) %}{% endif %}{% endfor %}x",
    "{% set l = range(100000)|list %}{% for i in range(100000) %}{% if l == l+[] %}{% endif %}{% endfor %}x",
    doubled("[1]", "[n.x,n.x]") + "{% set m=n.x %}" + doubled("[1]", "[n.x,n.x]") + "{{ m == n.x }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ {n.x: 1}|length }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ set([n.x])|length }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ {}[n.x] }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ {}.get(n.x) }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ [n.x]|unique|list|length }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ n }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ {1:n.x}.values() }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ n.x|string }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ '%s'|format(n.x) }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ '{}'.format(n.x) }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ n ~ 'a' }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ toyaml(n.x) }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ [n.x,n.x]|sort }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ [n.x,n.x]|max }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ [n.x].index(n.x[0]) }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ [n.x]|groupby(0) }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ {'a': n.x}|dictsort(by='value') }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ n.x is eq(n.x[0]) }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ [n.x]|map('string')|list }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ [[n.x]]|map('join')|list }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ [n.x]|select('eq', n.x[0])|list }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ config(meta=n.x) }}x",
    doubled("(1,)", "(n.x,n.x)") + "{{ var(n.x) }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ ref(n.x) }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ exceptions.raise_compiler_error(n.x) }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ return(n.x) }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ namespace(y=n.x) }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ dict(a=n.x) }}",
    doubled("(1,)", "(n.x,n.x)") + "{{ zip([n.x],[1]) }}",
    "{% set n = namespace(l=[]) %}{% for i in range(60) %}{% set m=[] %}{% do m.append(n.l) %}{% do m.append(n.l) %}{% set n.l=m %}{% endfor %}{{ n.l }}",
    "{{ modules.datetime.datetime.now().strftime('%999999999Y') }}",
    "{{ '{:%999999999Y}'.format(modules.datetime.datetime.now()) }}",
    "{{ '{:{w}}'.format('a', w=3000000000) }}",
    "{{ '{:{}}'.format('a', 3000000000) }}",
    "{{ '{0:{1}}'.format_map({'0': 1}) }}",
    "{{ '%(a)3000000000d'|format(a=1) }}",
    "{{ '%.3000000000f' % 1.5 }}",
    "{{ '{:.3000000000f}'.format(1.5) }}",
    "{{ 5|round(-1000000000) }}",
    "{{ 5|round(1000000000, 'ceil') }}",
    "{{ [[1]]|sum(start=[]) }}",
    "{{ 'a'|truncate(3, true, 'x'*100000000) }}",
    "{{ ('a'*5000000).strip('b'*5000000 ~ 'a') }}",
    "{{ ('a'*5000000)|trim('b'*5000000 ~ 'a') }}",
    "{{ [1]|batch(2000000000, 'x')|list }}",
    "{{ [1]|slice(2000000000)|list }}",
    "{{ 'a'.expandtabs(3000000000) ~ 'a\t'.expandtabs(3000000000) }}",
    "{{ 'abc'.ljust(width=3000000000) }}",
    "{{ ''.join(['a'*9000000]*1000000) }}",
    "{{ (['a'*9000000]*100)|join }}",
    "{{ (['a'*9000000]*100)|tojson }}",
    "{{ (['a'*9000000]*100)|string }}",
    "{{ 'x'|replace('', 'b'*9000000)|replace('b','c'*100) }}",
    "{{ ('a'*9000)|safe|replace('a','b'*90000) }}",
    "{% macro m() %}{{ 'a'*9000000 }}{% endmacro %}{% set l=[] %}{% for i in range(1000) %}{% do l.append(m()) %}{% endfor %}x",
    "{% set l=[] %}{% for i in range(100000) %}{% do l.append([[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]) %}{% endfor %}{{ l|length }}",
    "{% set d={} %}{% for i in range(100000) %}{% for j in range(100) %}{% do d.update({(i,j): [i]}) %}{% endfor %}{% endfor %}{{ d|length }}",
    "{% set n=namespace(x=3) %}{% for i in range(100000) %}{% set n.x = n.x - (-n.x) %}{% endfor %}{{ n.x % 7 }}",
    "{% set n=namespace(x=3) %}{% for i in range(100000) %}{% set n.x = n.x * n.x %}{% endfor %}{{ n.x % 7 }}",
    "{{ fromjson('['*5000000) }}",
    "{{ fromjson('[' ~ '[],'*3000000 ~ '[]]')|length }}",
    "{{ ('a,'*4900000).split(',')|length }}",
    "{{ ('a'*9900000)|list|length }}",
    "{{ ('漢'*9000000)|list|length }}",
    "{{ ('ab'*4000000)|reverse }}{{ ('a\n'*4900000).splitlines()|length }}",
    "{{ ref('a'*9000000) }}",
    "{{ var('a'*9000000) }}",
    "{{ source('a'*9000000, 'b') }}",
    "{{ config.require('a'*9000000) }}",
    "{{ env_var('a'*9000000) }}",
    "{{ ('a '*4900000)|wordwrap(3) }}",
    "{{ ('a '*4900000)|title|wordcount }}",
    "{{ ('<'*4000000)|e|e|e|e }}",
    "{{ ('%'*900000)|urlencode|urlencode|urlencode|urlencode }}",
    "{% for i in range(100000) recursive %}{{ loop(range(100000)) }}{% endfor %}",
    "{% set l=[1] %}{% for i in l %}{% do l.append(1) %}{% endfor %}x",
    "{% set l = [1] %}{% for i in range(60) %}{% do l.extend(l|map('string')) %}{% endfor %}",
    "{% set l=[] %}{% for i in range(1000) %}{% do l.append((range(100000)|list)) %}{% endfor %}x",
    "{% set l=[] %}{% for i in range(1000) %}{% do l.append((range(100000)|map('string')|list)) %}{% endfor %}x",
    "{% set s='a'*9000000 %}{% set l=[] %}{% for i in range(1000) %}{% do l.append(s[1:]) %}{% endfor %}x",
    "{% set s='a'*9000000 %}{% set l=[] %}{% for i in range(1000) %}{% do l.append(s.upper()) %}{% endfor %}x",
    "{% set s='a'*9000000 %}{% set l=[] %}{% for i in range(1000) %}{% do l.append(s.encode()) %}{% endfor %}x",
    "{% set s='a'*9000000 %}{% for i in range(100000) %}{% if s.count('b') %}{% endif %}{% endfor %}x",
    "{% set s='a'*9000000 %}{% for i in range(100000) %}{% if 'b' in s %}{% endif %}{% endfor %}x",
    "{% set s='a'*9000000 %}{% for i in range(100000) %}{% if s is eq('b'~s) %}{% endif %}{% endfor %}x",
]

LOOKING = [
    "{{ env_var.known }}",
    "{{ env_var.known.get('DBT_ENV_SECRET_Z') }}",
    "{{ var.known }}",
    "{{ var._known }}",
    "{{ config._scope }}",
    "{{ (env_var|attr('_known')) }}",
    "{{ ['a']|map(attribute='__class__')|list }}",
    "{{ [env_var]|map(attribute='known')|list }}",
    "{{ env_var['known'] }}",
    "{{ env_var['_known'] }}",
    "{{ '{0.known}'.format(env_var) }}",
    "{{ '{0._known}'.format(env_var) }}",
    "{{ '{0[known]}'.format(env_var) }}",
    "{{ ref.cr_frame }}",
    "{{ dict.mro() }}",
    "{{ range.start }}",
    "{{ this.relation.catalog }}",
    "{{ exceptions.warn.x }}",
    "{{ modules.datetime.datetime.mro() }}",
    "{{ ''|safe|attr('escape') }}{{ (''|safe).escape }}",
    "{{ self.x }}",
    "{{ namespace.x }}",
    "{{ caller }}",
    "{{ [1]|map('list').gi_frame }}",
]

NUMBERS = ("0", "1", "-1", "7", "60", "99999", "3000000000", "-3000000000", "10**18", "1.5", "true")
TEXTS = ("''", "'a'", "'a\\n'", "'%s'", "'{}'", "'{:>9}'", "'x'*90000", "'a,b'", "'漢'", "'%5000000d'", "'a'.encode()")
METHODS = (
    "center", "ljust", "zfill", "expandtabs", "replace", "join", "format", "translate", "split", "strip", "encode",
    "splitlines", "count", "upper", "title", "partition", "format_map", "maketrans", "hex", "decode", "append",
    "extend", "insert", "index", "pop", "update", "get", "setdefault", "fromkeys", "items", "to_bytes", "bit_length",
)  # fmt: skip
FILTERS = (
    "batch", "center", "default", "dictsort", "escape", "first", "float", "format", "groupby", "indent", "int", "items",
    "join", "length", "list", "map", "max", "replace", "reverse", "round", "select", "slice", "sort", "string", "sum",
    "title", "tojson", "trim", "truncate", "unique", "upper", "urlencode", "wordcount", "wordwrap", "as_number",
)  # fmt: skip


def generate(seed: int) -> str:
    """A random template: values that are doubled, repeated, filtered and asked in loops within loops."""
    dice = random.Random(seed)

    def value(deep: int) -> str:
        kind = dice.randrange(10 if deep else 3)
        if kind == 0:
            return dice.choice(NUMBERS)
        if kind == 1:
            return dice.choice(TEXTS)
        if kind == 2:
            return dice.choice(("n.x", "n.y", "l", "range(100000)", "env_var", "var", "namespace", "[]", "{}"))
        if kind == 3:
            return f"[{value(deep - 1)}, {value(deep - 1)}]"
        if kind == 4:
            return (
                f"({value(deep - 1)} {dice.choice(('+', '*', '~', '%', '**', '-', 'in', '==', '<'))} {value(deep - 1)})"
            )
        if kind in (5, 6):
            arguments = ", ".join(value(deep - 1) for _ in range(dice.randrange(3)))
            return f"({value(deep - 1)}).{dice.choice(METHODS)}({arguments})"
        if kind in (7, 8):
            arguments = ", ".join(value(deep - 1) for _ in range(dice.randrange(3)))
            return f"({value(deep - 1)})|{dice.choice(FILTERS)}({arguments})"
        return f"({value(deep - 1)})[{value(deep - 1)}:]"

    steps = "".join(
        dice.choice(
            ("{{% set n.x = {0} %}}", "{{% set n.y = {0} %}}", "{{% do l.append({0}) %}}", "{{{{ {0} }}}}")
        ).format(value(3))
        for _ in range(dice.randrange(1, 4))
    )
    loops = dice.randrange(3)
    head = "{% set n = namespace(x='aa', y=[1]) %}{% set l = [1] %}"
    return head + "{% for i in range(1000) %}" * loops + steps + "{% endfor %}" * loops
