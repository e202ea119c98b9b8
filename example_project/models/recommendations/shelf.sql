-- What the front page shows where nobody has signed in, and what editors look at: how often each title is recommended.
-- A title that a fifth of all viewers get is left to the shelf; the others are worth a place in the letter.
with counted as (
    select
        title_id,
        title,
        genre,
        count(*) as viewers,
        avg(affinity) as affinity
    from {{ ref('recommendations') }}
    group by title_id, title, genre
)

select
    title_id,
    title,
    genre,
    viewers,
    affinity,
    case when viewers * 5 >= (select count(*) from {{ ref('stg_viewers') }}) then 'shelf' else 'letter' end as decision
from counted
