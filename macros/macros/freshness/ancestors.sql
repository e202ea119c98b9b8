{#- unique_id → node of everything that a node depends on, directly or not. -#}
{%- macro ancestors(unique_id) -%}
{%- set found = {} -%}
{%- set queue = [unique_id] -%}
{%- for _ in range((graph.nodes | length) + (graph.sources | length) + 1) if queue -%}
  {%- set current = queue.pop() -%}
  {%- set node = graph.nodes.get(current) -%}
  {%- for parent in (node.depends_on.nodes if node else []) if parent not in found -%}
    {%- do found.update({parent: graph.nodes.get(parent) or graph.sources.get(parent)}) -%}
    {%- do queue.append(parent) -%}
  {%- endfor -%}
{%- endfor -%}
{{ return(found) }}
{%- endmacro -%}
