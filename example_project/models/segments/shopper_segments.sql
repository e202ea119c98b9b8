{{ config(materialized='incremental', unique_key='shopper_id', on_missing='delete', lineage=true, tags=['nightly']) }}

with assigned as (
    select
        shopper_id,
        spend,
        predict('shopper_segment', orders, spend, days_since_order, discount_share, return_share, categories) as found
    from {{ ref('stg_shoppers') }}
)

select
    shopper_id,
    spend,
    (found).segment as segment,
    (found).distance as distance
from assigned
