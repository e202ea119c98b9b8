{{ config(materialized='view') }}

-- Letters as of tonight: the newest row of each. A letter without text is NULL.
with arrived as (
    select
        *,
        row_number() over (partition by document_id order by night desc) as age
    from {{ ref('documents') }}
    where night <= {{ var('night') }}
)

select
    document_id,
    body,
    answered_with
from arrived
where age = 1
