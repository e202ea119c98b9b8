with orders as (
    select customer_id,
           count(*) as orders,
           sum(case when status = 'returned' then 1 else 0 end) as returns,
           max(ordered_at) as last_order
    from {{ ref('stg_orders') }}
    group by customer_id
),

payments as (
    select o.customer_id,
           sum(case when p.failed then 0 else p.amount end) as spent,
           sum(case when p.failed then 1 else 0 end) as failed_payments
    from {{ ref('stg_payments') }} as p
    join {{ ref('stg_orders') }} as o on o.order_id = p.order_id
    group by o.customer_id
)

select c.customer_id,
       c.first_name,
       c.last_name,
       coalesce(o.orders, 0) as orders,
       coalesce(o.returns, 0) as returns,
       coalesce(p.spent, 0) as spent,
       coalesce(p.failed_payments, 0) as failed_payments,
       cast('2026-11-01' as date) - coalesce(o.last_order, c.signed_up) as days_since_order
from {{ ref('stg_customers') }} as c
left join orders as o on o.customer_id = c.customer_id
left join payments as p on p.customer_id = c.customer_id
