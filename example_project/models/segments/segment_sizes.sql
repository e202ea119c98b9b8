{{ config(materialized='incremental', unique_key=['night', 'segment']) }}

-- Size and worth of each segment, one row a night: tonight's are added, earlier ones stay.
select
    {{ var('night') }} as night,
    segment,
    count(*) as shoppers,
    cast(sum(spend) as decimal(18, 2)) as spend,
    cast(count(*) as {{ double() }}) / sum(count(*)) over () as share,
    avg(distance) as mean_distance
from {{ ref('shopper_segments') }}
group by segment
