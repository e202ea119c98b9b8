{{ config(materialized='incremental', unique_key='customer_id', on_missing='delete') }}

select
    customer_id,
    predict('churn_score', tenure_months, monthly_charges, support_tickets) as churn_probability
from {{ ref('customers') }}
