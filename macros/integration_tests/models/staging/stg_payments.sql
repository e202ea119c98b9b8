-- amounts are in cents
select id as payment_id, order_id, method, amount / 100.0 as amount, failed
from {{ ref('raw_payments') }}
