{{ config(materialized='view') }}

-- Applications that have arrived by tonight.
select
    application_id,
    cast(application_date as date) as application_date,
    loan_amount,
    annual_income,
    debt_to_income,
    employment_years,
    late_payments,
    credit_history_months,
    card_utilisation
from {{ ref('credit_applications') }}
where night <= {{ var('night') }}
