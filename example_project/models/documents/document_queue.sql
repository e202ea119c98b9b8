-- Where each waiting letter goes: to the queue of its topic where that is sure, with the article that answered the three
-- nearest letters where they agree; else to a person.
with nearest as (
    select
        document_id,
        min(answered_with) as article,
        count(distinct answered_with) as articles,
        min(similarity) as similarity
    from {{ ref('similar_documents') }}
    group by document_id
)

select
    labels.document_id,
    labels.topic,
    labels.score,
    case when labels.score >= 0.8 then labels.topic else 'a person' end as queue,
    case when nearest.articles = 1 and nearest.similarity >= 0.8 then nearest.article end as suggested_article
from {{ ref('document_labels') }} as labels
left join nearest on nearest.document_id = labels.document_id
where labels.answered_with is null
