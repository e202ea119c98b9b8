{#-
  `prediction`: sqlinfer scores the node (`sqlinfer run --dbt`, `sqlinfer dbt build`). A plain dbt run cannot, so here the
  node succeeds only where its predictions are newer than all of its inputs; yesterday's are never reported as today's.
-#}
{%- materialization prediction, default -%}
  {%- set reason = sqlinfer.why_stale() -%}
  {%- if reason and not sqlinfer.setting('allow_stale', false) -%}
    {%- do exceptions.raise_compiler_error(
        "prediction '" ~ model.name ~ "' is not up to date: " ~ reason ~ "\n"
        ~ "  dbt cannot score it. Run `sqlinfer run --dbt --select " ~ model.name ~ "`, or the whole graph with `sqlinfer dbt build`.\n"
        ~ "  To go on with the old predictions: {{ config(meta={'sqlinfer': {'allow_stale': true}}) }}") -%}
  {%- endif -%}
  {%- if load_relation(this) is none -%}
    {%- do exceptions.raise_compiler_error("prediction '" ~ model.name ~ "' has never been scored: run `sqlinfer dbt build`") -%}
  {%- endif -%}
  {#- Hooks as in dbt's own materialisations. The statement opens the transaction that is committed below. -#}
  {{- run_hooks(pre_hooks, inside_transaction=False) -}}
  {%- call statement('sqlinfer_begin') -%}select 1{%- endcall -%}
  {{- run_hooks(pre_hooks, inside_transaction=True) -}}
  {%- call noop_statement('main', 'STALE' if reason else 'UP TO DATE', 'STALE' if reason else 'UP TO DATE') -%}{%- endcall -%}
  {{- run_hooks(post_hooks, inside_transaction=True) -}}
  {%- do adapter.commit() -%}
  {{- run_hooks(post_hooks, inside_transaction=False) -}}
  {{ return({'relations': [this]}) }}
{%- endmaterialization -%}
