{{ config(materialized='view') }}

-- What viewers have watched in the last sixty days, as of tonight: the newest row of each.
with arrived as (
    select
        *,
        row_number() over (partition by viewer_id order by night desc) as age_of_row
    from {{ ref('viewers') }}
    where night <= {{ var('night') }}
)

select
    viewer_id,
    age,
    minutes_a_day,
    drama,
    comedy,
    documentary,
    crime,
    family,
    science_fiction
from arrived
where age_of_row = 1
