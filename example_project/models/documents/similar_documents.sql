-- The three answered letters that are nearest to each one that waits.
with pairs as (
    select
        waiting.document_id,
        answered.document_id as similar_id,
        answered.answered_with,
        {{ dot('waiting.vector', 'answered.vector') }} as similarity
    from {{ ref('document_labels') }} as waiting
    cross join {{ ref('document_labels') }} as answered
    where waiting.answered_with is null
      and answered.answered_with is not null
      and waiting.vector is not null
      and answered.vector is not null
),

ranked as (
    select
        *,
        row_number() over (partition by document_id order by similarity desc, similar_id) as place
    from pairs
)

select
    document_id,
    place,
    similar_id,
    answered_with,
    similarity
from ranked
where place <= 3
