{{ config(materialized='view') }}

-- The customer base with the changes that have arrived by tonight: one row a customer.
with changed as (
    select *
    from {{ ref('customer_changes') }}
    where night <= {{ var('night') }}
),

customers as (
    {% set columns %}
    customer_id, region, contract, tenure_months, monthly_charges, support_tickets, late_payments, days_since_login,
    autopay, is_active
    {% endset %}
    select {{ columns }}
    from {{ ref('raw_customers') }}
    where customer_id not in (select customer_id from changed)
    union all
    select {{ columns }}
    from changed
    where operation <> 'delete'
)

select
    customer_id,
    region,
    contract,
    tenure_months,
    monthly_charges,
    support_tickets,
    late_payments,
    days_since_login,
    autopay,
    contract = 'month-to-month' as is_monthly
from customers
where is_active
