{{ config(materialized='view') }}

select
    store_id,
    cast(day as date) as day,
    units
from {{ ref('daily_sales') }}
where night <= {{ var('night') }}
