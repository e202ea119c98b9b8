{{ config(materialized='view') }}

-- What is known of a store at the end of each day: the days before it and the means of a week and of four.
with known as (
    select
        store_id,
        day,
        cast({{ weekday('day') }} as integer) as weekday,
        units,
        {% for days in range(1, 7) %}
        lag(units, {{ days }}) over (partition by store_id order by day) as lag_{{ days }},
        {% endfor %}
        {% for days in (7, 28) %}
        cast(sum(units) over (
            partition by store_id order by day rows between {{ days - 1 }} preceding and current row
        ) as {{ double() }}) / {{ days }} as mean_{{ days }},
        {% endfor %}
        row_number() over (partition by store_id order by day) as days_known,
        row_number() over (partition by store_id order by day desc) as age
    from {{ ref('stg_sales') }}
)

select *
from known
where days_known >= 28
