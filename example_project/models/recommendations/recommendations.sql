{{ config(materialized='incremental', unique_key=['viewer_id', 'place'], on_missing='delete', tags=['nightly']) }}

-- Ten titles for each viewer. Each viewer and each title goes through its tower once; the products are the warehouse's.
with viewer_vectors as (
    select
        viewer_id,
        predict('viewer_tower', age, minutes_a_day, drama, comedy, documentary, crime, family, science_fiction) as vector
    from {{ ref('stg_viewers') }}
),

title_vectors as (
    select
        title_id,
        title,
        genre,
        minutes,
        predict('title_tower', genre, minutes, year, popularity) as vector
    from {{ ref('stg_titles') }}
),

fits as (
    select
        viewer_vectors.viewer_id,
        title_vectors.title_id,
        title_vectors.title,
        title_vectors.genre,
        title_vectors.minutes,
        {{ dot('viewer_vectors.vector', 'title_vectors.vector') }} as affinity
    from viewer_vectors
    cross join title_vectors
),

-- qualify, spelled so that PostgreSQL takes it too.
ranked as (
    select
        *,
        row_number() over (partition by viewer_id order by affinity desc, title_id) as place
    from fits
)

select
    viewer_id,
    place,
    title_id,
    title,
    genre,
    minutes,
    affinity
from ranked
where place <= 10
