select customer_id,
       {{ sqlinfer.predict('churn_score', 'orders', 'returns', 'spent', 'failed_payments', 'days_since_order') }} as churn_probability
from {{ ref('customers') }}
