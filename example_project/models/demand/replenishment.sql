-- What to order tonight: three days ahead, an eighth more than is expected, less what is there.
with tonight as (
    select
        store_id,
        made_on,
        day_1 + day_2 + day_3 as expected,
        row_number() over (partition by store_id order by made_on desc) as age
    from {{ ref('demand_forecast') }}
),

stock as (
    select
        store_id,
        on_hand
    from {{ ref('store_stock') }}
    where night = {{ var('night') }}
)

select
    tonight.store_id,
    tonight.made_on,
    tonight.expected,
    stock.on_hand,
    cast(greatest(0, ceil(1.125 * tonight.expected - stock.on_hand)) as integer) as order_units,
    case
        when stock.on_hand >= 1.125 * tonight.expected then 'enough'
        when stock.on_hand < tonight.expected / 3 then 'tomorrow morning'
        else 'next round'
    end as decision
from tonight
inner join stock on stock.store_id = tonight.store_id
where tonight.age = 1
