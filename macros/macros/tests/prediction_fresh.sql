{#- The last run that published this relation finished at most `hours` ago. Reads sqlinfer's run record. -#}
{%- test prediction_fresh(model, hours=24) -%}
{{ adapter.dispatch('test_prediction_fresh', 'sqlinfer')(model, hours) }}
{%- endtest -%}

{%- macro default__test_prediction_fresh(model, hours) -%}
{%- set runs = api.Relation.create(database=model.database, schema=model.schema, identifier='sqlinfer_runs') -%}
{%- set name = (model.database ~ '.' if model.database else '') ~ model.schema ~ '.' ~ model.identifier -%}
select finished_at
from (
  select max(finished_at) as finished_at from {{ runs }}
  where lower(relation) = lower('{{ name }}') and status = 'success'
) as last_run
where finished_at is null
   or finished_at < {{ dbt.dateadd('hour', -1 * hours, dbt.current_timestamp()) }}
{%- endmacro -%}
