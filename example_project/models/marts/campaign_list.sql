-- Whom to call: the customers most likely to leave in each region.
select
    customer_id,
    region,
    contract,
    round(churn_probability, 3) as churn_probability,
    row_number() over (partition by region order by churn_probability desc, customer_id) as call_order
from {{ ref('churn_scores') }}
where churn_probability >= 0.5
qualify call_order <= 100
