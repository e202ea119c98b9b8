{{ config(materialized='view') }}

select
    title_id,
    title,
    genre,
    minutes,
    year,
    popularity
from {{ ref('titles') }}
where night <= {{ var('night') }}
