{{ config(materialized='view') }}

-- What is known of each shopper as of tonight: the newest row.
with arrived as (
    select
        *,
        row_number() over (partition by shopper_id order by night desc) as age
    from {{ ref('shoppers') }}
    where night <= {{ var('night') }}
)

select
    shopper_id,
    orders,
    spend,
    days_since_order,
    discount_share,
    return_share,
    categories
from arrived
where age = 1
