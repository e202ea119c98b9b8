{{ config(materialized='prediction', unique_key='customer_id', tags=['nightly']) }}

select customer_id,
       {{ sqlinfer.predict('churn_score', orders='orders', returns='returns', spent='spent',
                           failed_payments='failed_payments', days_since_order='days_since_order') }} as churn_probability
from {{ ref('customers') }}
