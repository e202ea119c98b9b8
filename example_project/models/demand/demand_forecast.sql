{{ config(materialized='incremental', unique_key=['store_id', 'made_on'], lineage=true, tags=['nightly']) }}

-- One row a store and night: the next seven days at once. Earlier nights stay, so that they can be compared with what came.
select
    store_id,
    day as made_on,
    {% for horizon in range(1, 8) %}
    predict(
        'demand', weekday, mean_7, mean_28, units, lag_1, lag_2, lag_3, lag_4, lag_5, lag_6
    ).day_{{ horizon }} as day_{{ horizon }}{{ ',' if not loop.last }}
    {% endfor %}
from {{ ref('store_days') }}
where age = 1
