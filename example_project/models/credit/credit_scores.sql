{{ config(materialized='incremental', unique_key='application_id', lineage=true, tags=['nightly']) }}

-- One score an application, made in the night after it arrived: a slice by application date.
select
    application_id,
    application_date,
    loan_amount,
    annual_income,
    debt_to_income,
    employment_years,
    late_payments,
    credit_history_months,
    card_utilisation,
    predict(
        'credit_default',
        annual_income, debt_to_income, employment_years, late_payments, credit_history_months, card_utilisation
    ) as p_default
from {{ ref('stg_applications') }}
{% if is_incremental() %}
where application_date > (select max(application_date) from {{ this }})
{% endif %}
