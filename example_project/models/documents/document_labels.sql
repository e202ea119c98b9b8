{{ config(materialized='incremental', unique_key='document_id', on_missing='delete', lineage=true, tags=['nightly']) }}

select
    document_id,
    body,
    answered_with,
    predict('document_topic', body).label as topic,
    predict('document_topic', body).score as score,
    predict('document_vector', body) as vector
from {{ ref('stg_documents') }}
