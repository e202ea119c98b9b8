-- Whom to call: the customers most likely to leave in each region.
with ranked as (
    select
        customer_id,
        region,
        contract,
        churn_probability,
        row_number() over (partition by region order by churn_probability desc, customer_id) as call_order
    from {{ ref('churn_scores') }}
    where churn_probability >= 0.5
)

select
    customer_id,
    region,
    contract,
    cast(churn_probability as decimal(4, 3)) as churn_probability,
    call_order
from ranked
where call_order <= 100
