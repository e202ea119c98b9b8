{{ config(materialized='incremental', unique_key='customer_id', on_missing='delete', lineage=true, tags=['nightly']) }}

select
    customer_id,
    region,
    contract,
    predict(
        'churn_score',
        tenure_months, monthly_charges, support_tickets, late_payments, days_since_login, is_monthly, autopay
    ) as churn_probability
from {{ ref('stg_customers') }}
