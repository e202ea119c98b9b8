{{ config(materialized='incremental', unique_key='shopper_id', on_missing='delete', lineage=true, tags=['nightly']) }}

-- Written twice, called once: equal calls are one.
{% set found %}
predict('shopper_segment', orders, spend, days_since_order, discount_share, return_share, categories)
{%- endset %}

select
    shopper_id,
    spend,
    {{ found }}.segment as segment,
    {{ found }}.distance as distance
from {{ ref('stg_shoppers') }}
