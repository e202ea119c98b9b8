select c.customer_id, c.first_name, c.last_name, s.churn_probability
from {{ ref('churn_scores') }} as s
join {{ ref('customers') }} as c on c.customer_id = s.customer_id
where s.churn_probability > 0.5
