{{ config(materialized='incremental', unique_key='application_id', tags=['nightly']) }}

-- One decision an application, taken once: a night adds the days after the last one and touches no older row,
-- whatever became of the model, of the thresholds or of the application since.
{% set features = ['annual_income', 'debt_to_income', 'employment_years', 'late_payments', 'credit_history_months',
                   'card_utilisation'] %}
-- What an applicant without trouble looks like. The reason is the input that would help most if it were so.
{% set ordinary = {'annual_income': 40000, 'debt_to_income': 0.2, 'employment_years': 6, 'late_payments': 0,
                   'credit_history_months': 120, 'card_utilisation': 0.25} %}

with scores as (
    select *
    from {{ ref('credit_scores') }}
    {% if is_incremental() %}
    where application_date > (select max(application_date) from {{ this }})
    {% endif %}
),

-- Only what is not approved needs a reason, and only that is scored again.
effects as (
    select
        application_id,
        {% for changed in features %}
        p_default - predict(
            'credit_default'
            {%- for name in features %}, {{ ordinary[name] if name == changed else name }}{% endfor %}
        ) as {{ changed }}{{ ',' if not loop.last }}
        {% endfor %}
    from scores
    where p_default >= {{ var('credit_refer_from') }}
),

reasons as (
    select
        application_id,
        case greatest({{ features | join(', ') }})
            {% for name in features %}
            when {{ name }} then '{{ name }}'
            {% endfor %}
        end as reason
    from effects
)

select
    scores.application_id,
    scores.application_date,
    scores.loan_amount,
    scores.p_default,
    case
        when scores.p_default >= {{ var('credit_decline_from') }} then 'decline'
        when scores.p_default >= {{ var('credit_refer_from') }} then 'refer'
        else 'approve'
    end as decision,
    reasons.reason
from scores
left join reasons on reasons.application_id = scores.application_id
