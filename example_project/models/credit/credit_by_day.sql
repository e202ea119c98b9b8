-- What the risk committee reads: decisions and money of each day.
select
    application_date,
    count(*) as applications,
    sum(case when decision = 'approve' then 1 else 0 end) as approved,
    sum(case when decision = 'refer' then 1 else 0 end) as referred,
    sum(case when decision = 'decline' then 1 else 0 end) as declined,
    sum(case when decision = 'approve' then loan_amount else 0 end) as amount_approved,
    cast(sum(case when decision = 'approve' then loan_amount * p_default else 0 end) as decimal(18, 2)) as expected_loss
from {{ ref('credit_decisions') }}
group by application_date
