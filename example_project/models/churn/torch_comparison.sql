-- How far the committed ONNX file is from the PyTorch network it came from. Only with --vars 'use_torch: true'.
{{ config(materialized='table', enabled=var('use_torch')) }}

select
    count(*) as customers,
    max(abs(
        predict('churn_score', *) - predict('churn_score_torch', *)
    )) as largest_difference
from {{ ref('stg_customers') }}
