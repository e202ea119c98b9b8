-- One row a store and day that is ahead, by the newest forecast that knows it.
with long as (
    {% for horizon in range(1, 8) %}
    select
        store_id,
        made_on,
        made_on + {{ horizon }} as day,
        {{ horizon }} as horizon,
        day_{{ horizon }} as units
    from {{ ref('demand_forecast') }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

ranked as (
    select
        *,
        row_number() over (partition by store_id, day order by made_on desc) as age
    from long
)

select
    store_id,
    day,
    made_on,
    horizon,
    units
from ranked
where age = 1
